//! scratch
mod corpus;
#[allow(dead_code)]
mod floor;
mod middle;
mod plan;
use plan::{Protection, plan as make};
fn main() {
    let which: Vec<String> = std::env::args().collect();
    let n = 200_000;
    for (name, data) in [
        ("seeds", corpus::seeds(n)),
        ("full", corpus::full(n)),
        ("hostile", corpus::hostile(n / 2)),
    ] {
        if which.len() > 2 && which[1] != name {
            continue;
        }
        for (label, protection, rate) in [
            ("off", Protection::Off, 1.0),
            ("detectors", Protection::Detectors, 1.0),
            ("fields", Protection::Fields, 1.0),
            ("10% app", Protection::Detectors, 0.1),
        ] {
            let (ns, lines) = middle::run(&data, &make(protection, rate), 3);
            println!(
                "{name:8} {label:10} {ns:7.0} ns/line  {lines} lines {} B/line",
                data.len() as u64 / lines
            );
        }
    }
}
