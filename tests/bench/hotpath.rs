//! scratch
mod corpus;
use sidewake::event::json::{block::*, doc::*, skeleton::*, walk::walk};
fn main() {
    let mut data = corpus::seeds(200_000);
    let n = data.len();
    println!("{} B/line", n / 200_000);
    data.resize(n + 64, 0);
    let first = data.iter().position(|b| *b == b'\n').unwrap();
    let mut found = DocBuffers::default();
    walk::<Native>(&data, 0, first, &mut found).unwrap();
    let doc = Doc { line: &data[..first], found: &found };
    for gate in [Gate::Pass, Gate::Prefilter] {
        let (sk, _) = Skeleton::learn::<Native>(&doc, |i, m| {
            if doc.path(m) == b"event" || doc.path(m) == b"level" {
                Gate::Literal
            } else if doc.path(m) == b"timestamp" {
                Gate::Pass
            } else {
                gate
            }
        })
        .unwrap();
        for _ in 0..5 {
            let mut f = Found::default();
            let t = std::time::Instant::now();
            let (mut at, mut hits, mut sus) = (0, 0, 0);
            while at < n {
                match sk.fit::<Native>(&data, at, n, &mut f) {
                    Some(e) => {
                        hits += 1;
                        sus += f.suspects.len();
                        at = e + 1
                    }
                    None => at += memchr::memchr(b'\n', &data[at..]).unwrap() + 1,
                }
            }
            println!(
                "{gate:?} fit native {:?} ns/line hits {hits} suspects {sus}",
                t.elapsed().as_nanos() / 200_000
            );
        }
        let mut f = Found::default();
        let t = std::time::Instant::now();
        let (mut at, mut hits) = (0, 0);
        while at < n {
            match sk.fit::<Swar>(&data, at, n, &mut f) {
                Some(e) => {
                    hits += 1;
                    at = e + 1
                }
                None => panic!(),
            }
        }
        println!("fit swar {:?} ns/line hits {hits}", t.elapsed().as_nanos() / 200_000);
    }
    let t = std::time::Instant::now();
    let mut at = 0;
    while at < n {
        let e = at + memchr::memchr(b'\n', &data[at..]).unwrap();
        walk::<Native>(&data, at, e, &mut found).unwrap();
        at = e + 1;
    }
    println!("walk {:?} ns/line", t.elapsed().as_nanos() / 200_000);
}
