//! From a line appended to a file to its arrival at the destination.

use std::time::{Duration, Instant};

use super::files::config;
use super::loki::Loki;
use super::rig::{Place, until};

/// Of each of 200 lines, one after the other, beside a batch age of 20 ms.
#[test]
fn an_appended_line_arrives_soon() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let mut daemon = place.daemon(&[]);
    place.append("model.log", "the first line\n");
    until("the first line", || loki.n_stored() == 1);
    let mut taken = Vec::new();
    for n in 0..200 {
        let begun = Instant::now();
        place.append("model.log", &format!("line {n}\n"));
        until("the line", || loki.fake.came_at().len() > n + 1);
        taken.push(loki.fake.came_at()[n + 1] - begun);
    }
    daemon.stop();
    taken.sort_unstable();
    println!(
        "append to arrival: p50 {:?}, p99 {:?}, most {:?}",
        taken[100], taken[197], taken[199]
    );
    // A debug build beside other tests; what must not be is a poll of seconds.
    assert!(taken[197] < Duration::from_millis(500), "p99 {:?}", taken[197]);
}
