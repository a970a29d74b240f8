//! What people write: the config, and the quantities in it.

use std::io;
use std::path::Path;
use std::time::Duration;

use sidewake::config::{self, env::Env};
use sidewake::diagnostic::{Style, render_all};
use sidewake::units::{ByteSize, HumanDuration, Ratio};

/// A world with one variable and one secret, both of which must never be shown.
struct World;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

impl Env for World {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| SECRET.to_owned())
    }

    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Ok(SECRET.into())
    }
}

/// A config runs, or every problem has its place in it; what the environment and the secret files
/// hold is shown nowhere.
pub(crate) fn config(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match config::parse(text, "sidewake.yaml", &World) {
        Ok(config) => assert!(!config.sources.is_empty(), "a config without sources"),
        Err(problems) => {
            assert!(!problems.is_empty());
            let n_lines = text.lines().count().max(1);
            for place in problems.iter().filter_map(|problem| problem.place.as_ref()) {
                assert!((1..=n_lines + 1).contains(&place.line), "{place:?} of {n_lines} lines");
                assert!(place.column >= 1, "{place:?}");
            }
            let shown = render_all(&problems, Style::Coloured);
            assert!(text.contains(SECRET) || !shown.contains(SECRET), "{shown}");
        }
    }
}

/// Quantities: what is read prints as something that reads the same.
pub(crate) fn units(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse(), Ok(size), "{size}");
    }
    if let Ok(duration) = text.parse::<HumanDuration>() {
        let printed: HumanDuration = duration.to_string().parse().expect("a printed time is one");
        // Nobody writes parts of a microsecond, and they are not printed.
        assert!(duration.0.abs_diff(printed.0) < Duration::from_micros(1), "{duration}");
    }
    if let Ok(ratio) = text.parse::<Ratio>() {
        assert!((0.0..=1.0).contains(&ratio.get()));
        let printed: Ratio = ratio.to_string().parse().expect("a printed ratio is one");
        // Nine digits of a percentage are printed.
        assert!((printed.get() - ratio.get()).abs() < 1e-11, "{ratio}");
    }
}
