//! `sidewake spool`: what it says of a spool that waits, of one that is damaged, and letters that
//! are sent again.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::fake_loki::Act;
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Place, until};

const TIER: &str = "application_logs";

#[test]
fn ls_and_verify_say_what_waits_and_what_is_damaged() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let mut place = Place::with(&config(&loki));
    place.append("model.log", &text(&lines(0..1000)));
    let mut daemon = place.daemon(&["--grace", "1s"]);
    daemon.metrics_when("all is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 1000
    });
    // Beside the daemon, and without it.
    for is_running in [true, false] {
        if !is_running {
            daemon.stop();
        }
        let (code, said, _) = place.output(&["spool", "ls", "spool"]);
        assert_eq!(code, 0);
        assert!(said.contains("  loki: 1000 events wait"), "{said}");
        let (_, said, _) = place.output(&["spool", "ls", "spool", "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let tier = &said["tiers"][0];
        assert_eq!((&tier["tier"], &tier["sinks"][0]["events"]), (&TIER.into(), &1000.into()));
        let (code, said, _) = place.output(&["spool", "verify", "spool"]);
        assert_eq!((code, &*said), (0, "1000 events are sound; 0 places are damaged\n"));
    }
    let segment = place.files(&format!("spool/{TIER}"));
    let segment = segment.iter().find(|path| path.extension().is_some_and(|end| end == "seg"));
    let segment = segment.expect("a segment");
    let file = File::options().read(true).write(true).open(segment).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2000).expect("read");
    file.write_all_at(&[byte[0] ^ 1], 2000).expect("written");
    let (code, said, _) = place.output(&["spool", "verify", "spool"]);
    assert_eq!(code, 1);
    let name = segment.file_name().and_then(|name| name.to_str()).expect("text");
    assert!(said.contains(&format!("{TIER}/{name}:")) && said.contains("checksum"), "{said}");
    assert!(said.ends_with("1 places are damaged\n"), "{said}");
    let (code, _, said) = place.output(&["spool", "ls", "nowhere"]);
    assert!(code == 64 && said.starts_with("error: nowhere: "), "{code} {said}");
    std::fs::create_dir(place.path("empty")).expect("made");
    let (code, _, said) = place.output(&["spool", "verify", "empty"]);
    assert!(code == 64 && said.contains("is no spool"), "{code} {said}");
}

/// Letters are sent again beside a running daemon, which goes on writing letters: what is taken is
/// gone from the disk, what is refused again is a letter again, and what cannot be sent stays.
#[test]
fn letters_are_sent_again() {
    let loki = Loki::start();
    let all = lines(0..100);
    let mut place = Place::with(&config(&loki));
    let usual = {
        let mut usual = 0;
        loki.fake.limit(|limits| usual = std::mem::replace(&mut limits.max_line_bytes, 10));
        usual
    };
    place.append("model.log", &text(&all));
    let mut daemon = place.daemon(&[]);
    let n_letters = 100;
    let settled = |n: u64| {
        move |metrics: &super::http::Metrics| {
            metrics.route("dead_letter_events_total", TIER, "loki") == n
                && metrics.route("spooled_events", TIER, "loki") == 0
        }
    };
    daemon.metrics_when("the letters", settled(n_letters));
    let replay = |more: &[&str]| {
        place.output(&[&["spool", "replay", "--config", "sidewake.yaml"], more].concat())
    };
    // Nobody is there: all stays.
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let (code, said, _) = replay(&["--timeout", "1ms"]);
    assert!(code == 1 && said.contains(&format!("{n_letters} left (")), "{said}");
    loki.fake.recover();
    // Refused again.
    let (code, said, err) = replay(&[]);
    assert_eq!(code, 1, "{said}{err}");
    assert!(
        said.contains(&format!("{TIER} to loki: 0 of {n_letters} events delivered, ")),
        "{said}"
    );
    assert!(said.contains(&format!("{n_letters} refused again (")), "{said}");
    // The daemon writes letters meanwhile, to a file that nobody has taken.
    let more = "x".repeat(60);
    place.append("model.log", &format!("{more}\n"));
    daemon.metrics_when("one more letter", settled(n_letters + 1));
    loki.fake.limit(|limits| limits.max_line_bytes = usual);
    let (code, said, err) = replay(&["--tier", TIER, "--sink", "loki"]);
    assert_eq!(code, 0, "{said}{err}");
    let n_letters = n_letters + 1;
    assert_eq!(said, format!("{TIER} to loki: {n_letters} of {n_letters} events delivered\n"));
    until("all lines", || loki.n_stored() >= 101);
    let times = loki.times();
    for line in all.iter().chain([&more]) {
        assert_eq!(times.get(line), Some(&1), "{line}");
    }
    assert_eq!(place.output(&["spool", "dead-letters", "spool"]).0, 1);
    let (code, _, err) = replay(&[]);
    assert!(code == 1 && err.contains("no dead letters"), "{err}");
    assert_eq!(replay(&["--sink", "other"]).0, 64);
    daemon.stop();
}

/// A second daemon on the same spool ends with words and code 1, and the first does not notice.
#[test]
fn a_spool_has_one_daemon() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..200);
    place.append("model.log", &text(&all[..100]));
    let mut first = place.daemon(&[]);
    until("the first lines", || loki.n_stored() >= 100);
    let before = place.files("spool");
    let mut second = place.daemon(&[]);
    assert_eq!(second.wait(), Some(1));
    let path = place.path("spool");
    let words = format!("the spool \"{}\" is held by another process", path.display());
    assert!(second.stderr().replace('\\', "").contains(&words), "{}", second.stderr());
    assert_eq!(place.files("spool"), before);
    place.append("model.log", &text(&all[100..]));
    until("all lines", || loki.n_stored() >= all.len());
    first.stop();
    loki.assert_exactly(&all);
}
