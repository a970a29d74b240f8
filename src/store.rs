//! Floor 4: reading the embedded store: everything that belongs to one request, over all tiers'
//! files and what is still in the spool. The library behind `sidewake show`. Owns the search and
//! its two renderings ([`render`]); deliberately writes nothing and knows no config: it reads the
//! folder as it lies there, by the names of `sinks::files`.
//!
//! A search finds what names the id, and what shares a trace with that:
//!
//! - rows whose `request_id`, `client_request_id` or `trace_id` is the id (or begins with it);
//! - lines in which the id stands as a word of its own, under whatever key, or in plain text: what
//!   an application logs *about* a request belongs to it.
//!
//! # Why
//! Events out of the spool go through the very encoder that would have written them and are then
//! read as a file: there is one way to read, so a request looks the same a minute earlier or later.

pub mod render;

mod lines;
mod parquet;
mod wanted;

use std::collections::HashSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use time::Date;

use crate::event::batch::Batch;
use crate::sinks::files::{Files, Format, name};
use crate::sinks::{Body, LogRange, Sink};
use wanted::Wanted;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// A request, client request or trace id.
    pub id: String,
    /// Whether ids that only begin with it count.
    pub is_prefix: bool,
    /// Days to look at (of arrival, which name the folders); all where there are none.
    pub days: Option<RangeInclusive<Date>>,
}

/// One event or row of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The tier.
    pub tier: String,
    /// The file; none for what is still in the spool.
    pub file: Option<PathBuf>,
    /// When it happened, in nanoseconds since 1970.
    pub ts_ns: i64,
    /// `prediction`, `request_only`, `application`, …
    pub kind: String,
    /// `info`, … or empty.
    pub level: String,
    /// The source in the config (lines) or the service (rows).
    pub source: String,
    /// Its stable id.
    pub record_id: String,
    /// Its fields in their order, each value as JSON text, numbers to the byte. Nulls are left out.
    pub fields: Vec<(String, String)>,
    /// The message, for lines that have one.
    pub text: Option<String>,
}

impl Found {
    /// The field's JSON text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of a field that is a string, or the JSON text of any other.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<String> {
        let value = self.field(name)?;
        Some(serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned()))
    }
}

/// A file that could not be read; the search went on without it.
#[derive(Debug)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

/// A search under way. [`Self::scan`] and [`Self::add_events`] come in any order and may be
/// repeated: what was found is not found twice, and a trace learned from one counts in the next.
#[derive(Debug)]
pub struct Search {
    wanted: Wanted,
    days: Option<RangeInclusive<Date>>,
    seen: HashSet<(String, String)>,
    found: Vec<Found>,
    /// Files that could not be read.
    pub problems: Vec<Problem>,
}

impl Search {
    /// A search that has found nothing yet.
    #[must_use]
    pub fn new(query: Query) -> Self {
        Self {
            wanted: Wanted::new(query.id, query.is_prefix),
            days: query.days,
            seen: HashSet::new(),
            found: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Searches all tiers' files below `root`, newest day first.
    ///
    /// # Errors
    /// When `root` or a folder in it cannot be listed. A file that cannot be read is a
    /// [`Problem`] and no error.
    pub fn scan(&mut self, root: &Path) -> io::Result<()> {
        for file in &files(root, self.days.as_ref())? {
            self.scan_file(file);
        }
        Ok(())
    }

    /// Traces that the request was found to belong to. Where a round over all places found new
    /// ones, another finds what shares them.
    #[must_use]
    pub fn n_traces(&self) -> usize {
        self.wanted.n_traces()
    }

    fn scan_file(&mut self, file: &StoreFile) {
        let found = match file.format {
            Format::Parquet => std::fs::File::open(&file.path)
                .map_err(|error| error.to_string())
                .and_then(|reader| parquet::search(reader, &self.wanted)),
            Format::Lines => std::fs::read(&file.path)
                .map(|bytes| lines::search(&bytes, &self.wanted))
                .map_err(|error| error.to_string()),
        };
        match found {
            Ok(found) => self.take(&file.tier, Some(&file.path), found),
            // Retention may remove a file between listing and reading it.
            Err(_) if !file.path.exists() => {}
            // A further round meets it again.
            Err(_) if self.problems.iter().any(|known| known.file == file.path) => {}
            Err(reason) => self.problems.push(Problem { file: file.path.clone(), reason }),
        }
    }

    /// Searches events of `tier` that no file holds yet.
    pub fn add_events(&mut self, tier: &str, batch: &Batch) {
        let files = Files::new(PathBuf::new(), tier);
        let mut encoder = files.encoder(0);
        for (index, event) in batch.events().enumerate() {
            if self.wanted.is_in(event.bytes) {
                encoder.push(batch, index..index + 1);
            }
        }
        let mut body = Body::default();
        if encoder.is_empty() || encoder.finish(LogRange::default(), &mut body).is_err() {
            return;
        }
        let found = match files.format {
            Format::Parquet => {
                parquet::search(bytes::Bytes::from(body.bytes), &self.wanted).unwrap_or_default()
            }
            Format::Lines => lines::search(&body.bytes, &self.wanted),
        };
        self.take(tier, None, found);
    }

    fn take(&mut self, tier: &str, file: Option<&Path>, found: Vec<Found>) {
        for mut event in found {
            if !self.seen.insert((tier.to_owned(), event.record_id.clone())) {
                continue;
            }
            if let Some(trace) = event.text_of("trace_id").or_else(|| lines::trace_of(&event)) {
                self.wanted.add_trace(&trace);
            }
            event.tier = tier.to_owned();
            event.file = file.map(Path::to_owned);
            self.found.push(event);
        }
    }

    /// What was found, in the order of time.
    #[must_use]
    pub fn finish(mut self) -> Vec<Found> {
        self.found.sort_by(|a, b| (a.ts_ns, &a.record_id).cmp(&(b.ts_ns, &b.record_id)));
        self.found
    }
}

/// One file of the store.
#[derive(Debug)]
struct StoreFile {
    tier: String,
    day: Date,
    format: Format,
    path: PathBuf,
}

/// The store's files within `days`, newest day first, within a day the newest file.
fn files(root: &Path, days: Option<&RangeInclusive<Date>>) -> io::Result<Vec<StoreFile>> {
    let mut files = Vec::new();
    for (tier, tier_path) in folders(root)? {
        if !name::is_tier(&tier) {
            continue;
        }
        for (folder, path) in folders(&tier_path)? {
            let Some(day) = name::parse_day(&folder) else { continue };
            if days.is_some_and(|days| !days.contains(&day)) {
                continue;
            }
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                let file = entry.file_name();
                let parsed = file.to_str().and_then(name::parse_file);
                if let Some((_, format)) = parsed.filter(|_| is_type(&entry, |t| t.is_file())) {
                    files.push(StoreFile { tier: tier.clone(), day, format, path: entry.path() });
                }
            }
        }
    }
    files.sort_by(|a, b| (b.day, &b.path).cmp(&(a.day, &a.path)));
    Ok(files)
}

/// Folders (not links to some) in `parent`, with their names.
fn folders(parent: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str()
            && is_type(&entry, |file_type| file_type.is_dir())
        {
            folders.push((name.to_owned(), entry.path()));
        }
    }
    Ok(folders)
}

fn is_type(entry: &std::fs::DirEntry, is: impl Fn(&std::fs::FileType) -> bool) -> bool {
    entry.file_type().is_ok_and(|file_type| is(&file_type))
}
