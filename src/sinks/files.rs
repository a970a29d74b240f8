//! The embedded store: telemetry as local files by tier and day, in formats that the tools people
//! have can read. Predictions become Parquet, one typed row each; every other tier becomes JSON
//! lines. Owns the two encodings and the names of the files. Deliberately does not enforce
//! retention (`tiers`), read anything back (`store`) or decide when a file closes (`deliver`, by
//! [`CLOSE_AGE`] and [`Format::close_bytes`]).
//!
//! ```text
//! <root>/<tier>/<yyyy-mm-dd>/<from>-<to>.parquet      from, to: positions in the tier's log,
//! <root>/<tier>/<yyyy-mm-dd>/<from>-<to>.jsonl        16 hex digits each
//! <root>/<tier>/<yyyy-mm-dd>/<from>-<to>.2.jsonl      of another log, see `place`
//! <root>/<tier>/<yyyy-mm-dd>/.<from>-<to>.jsonl.tmp   while it is written
//! ```
//!
//! # Why
//! A body is one file and a file has one day: the UTC day on which the first event of the batch was
//! *observed*. That day is in the spool with the batch, so a repeat after a crash finds the same
//! folder; the event's own time would let one wrong clock open a folder in 1970, which retention
//! would remove at once. A late event therefore lies in the folder of the day it arrived, and
//! is kept for the tier's retention from that day on.

pub mod name;
pub mod place;

mod group;
mod lines;
mod parquet;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::sinks::row::Names;
use crate::sinks::row::schema::Schema;
use crate::sinks::{Encoder, Response, Sink, Transport, Verdict};

/// A file closes when its first event is this old (design, section 5).
pub const CLOSE_AGE: Duration = Duration::from_secs(60);

/// How a tier's events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Typed rows; their columns are [`crate::sinks::row::schema`]'s.
    Parquet,
    /// One JSON object per event; the layout stands in the module `lines`.
    Lines,
}

impl Format {
    /// The format of the tier with this name: Parquet where predictions go, JSON lines elsewhere.
    #[must_use]
    pub fn of_tier(tier: &str) -> Self {
        if tier == "prediction_logs" { Format::Parquet } else { Format::Lines }
    }

    /// A file closes at this many bytes, as [`Encoder::len`] counts them.
    ///
    /// Parquet counts its *input* (16 MiB, design, section 5), of which it holds about a tenth.
    /// JSON lines are held as they will be written until they are sent, so they close earlier.
    #[must_use]
    pub fn close_bytes(self) -> usize {
        match self {
            Format::Parquet => 16 << 20,
            Format::Lines => 4 << 20,
        }
    }

    /// The end of the file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Lines => "jsonl",
        }
    }
}

/// What one route to the embedded store needs to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    /// The store's folder (`./sidewake-data`).
    pub root: PathBuf,
    /// The tier, which is the name of its folder.
    pub tier: Arc<str>,
    /// How its events are written.
    pub format: Format,
    /// Which columns rows have.
    pub schema: Schema,
    /// See [`Names`].
    pub names: Arc<Names>,
}

impl Files {
    /// The route of `tier` into the store at `root`, in the tier's default format.
    #[must_use]
    pub fn new(root: PathBuf, tier: &str) -> Self {
        let format = Format::of_tier(tier);
        let (schema, names) = (Schema::default(), Arc::default());
        Self { root, tier: tier.into(), format, schema, names }
    }
}

impl Sink for Files {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        match self.format {
            Format::Parquet => {
                let (tier, names) = (self.tier.clone(), self.names.clone());
                Box::new(parquet::Table::new(tier, self.schema, names))
            }
            Format::Lines => Box::new(lines::Lines::new(self.tier.clone())),
        }
    }

    /// The file transport answers 201 for a file in place and 507 (insufficient storage) for one
    /// that could not be put there; a full disk may be emptied, so everything else is tried again.
    fn judge(&self, response: &Response<'_>) -> Verdict {
        match response.status {
            200..=299 => Verdict::Delivered,
            _ => Verdict::Retry { reason: String::from_utf8_lossy(response.body).into_owned() },
        }
    }

    fn transport(&self) -> Transport {
        Transport::File { root: self.root.clone() }
    }
}
