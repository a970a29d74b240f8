//! `sidewake show REQUEST_ID`: what the local files, and the spool behind them, hold of a request.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::{self, Config, DATA_DIR};
use crate::diagnostic::{Style, render_all};
use crate::spool;
use crate::store::render;
use crate::store::{Query, Search};

use super::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, Show};

/// Where to look.
struct Places {
    /// Folders with files by tier and day.
    stores: Vec<PathBuf>,
    spool: Option<PathBuf>,
}

/// Prints the request; 1 when nothing is found.
///
/// # Errors
/// What reading a store's folder or writing gave.
pub fn show(
    args: &Show,
    env: &dyn config::env::Env,
    (out, err): (&mut dyn Write, &mut dyn Write),
    style: Style,
) -> io::Result<u8> {
    let places = match &args.config {
        None => Places::of_folder(args.data_dir.clone().unwrap_or_else(default_root)),
        Some(file) => match config::load(file, env) {
            Ok(config) => Places::of_config(&config),
            Err(problems) => {
                write!(err, "{}", render_all(&problems, style))?;
                return Ok(EXIT_USAGE);
            }
        },
    };
    if let Some((what, hint)) = places.nothing_there() {
        writeln!(err, "error: {what}\nhint: {hint}")?;
        return Ok(EXIT_FAILED);
    }
    let query = Query { id: args.request_id.clone(), is_prefix: false, days: None };
    let mut search = Search::new(query);
    loop {
        let n_traces = search.n_traces();
        places.search(&mut search)?;
        if search.n_traces() == n_traces {
            break;
        }
    }
    for problem in &search.problems {
        writeln!(err, "warning: cannot read {}: {}", problem.file.display(), problem.reason)?;
    }
    let found = search.finish();
    if found.is_empty() {
        writeln!(err, "error: nothing is known of {:?} in {}", args.request_id, places.names())?;
        return Ok(EXIT_FAILED);
    }
    let text = match args.json {
        true => render::to_json(&args.request_id, &found),
        false => render::page(&args.request_id, &found),
    };
    out.write_all(text.as_bytes())?;
    Ok(EXIT_OK)
}

impl Places {
    /// The embedded store's, as `run -- COMMAND` fills it.
    fn of_folder(root: PathBuf) -> Self {
        Self { spool: Some(root.join("spool")), stores: vec![root] }
    }

    fn of_config(config: &Config) -> Self {
        let files = config.sinks.iter().filter_map(|(_, sink)| match sink {
            config::sinks::Sink::Files(files) => Some(files.path.clone()),
            _ => None,
        });
        Self { stores: files.collect(), spool: config.spool.path.clone() }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.stores.iter().chain(&self.spool)
    }

    /// What is wrong, and how to mend it, where there is no place to look at.
    fn nothing_there(&self) -> Option<(String, &'static str)> {
        if self.all().next().is_none() {
            let what = "this config keeps nothing on this machine".to_owned();
            return Some((what, "Ask its sinks, or give it one of type \"files\"."));
        }
        let what = || format!("there are no files of sidewake in {}", self.names());
        let hint = "Say where they are: sidewake show --data-dir DIR ID, or --config FILE.";
        (!self.all().any(|place| place.is_dir())).then(|| (what(), hint))
    }

    fn names(&self) -> String {
        // A spool within a store is a part of it to who reads this.
        let is_within = |place: &Path, store: &Path| place != store && place.starts_with(store);
        let outermost =
            self.all().filter(|place| !self.stores.iter().any(|store| is_within(place, store)));
        let names: Vec<String> = outermost.map(|place| place.display().to_string()).collect();
        names.join(", ")
    }

    fn search(&self, search: &mut Search) -> io::Result<()> {
        for store in self.stores.iter().filter(|store| store.is_dir()) {
            search.scan(store)?;
        }
        if let Some(spool) = &self.spool {
            add_spooled(spool, search);
        }
        Ok(())
    }
}

/// What is spooled and in no file yet: each tier's segments, read without disturbing the daemon.
fn add_spooled(spool: &Path, search: &mut Search) {
    let Ok(tiers) = std::fs::read_dir(spool) else { return };
    for tier in tiers.flatten() {
        let Some(name) = tier.file_name().to_str().map(str::to_owned) else { continue };
        spool::peek(&tier.path(), &mut |batch| search.add_events(&name, batch));
    }
}

fn default_root() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from(DATA_DIR), PathBuf::from)
}
