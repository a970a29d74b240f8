//! The one body that was sent, or was about to be: on disk, until the next one takes its place.
//!
//! Owns the file and that what it says is whole. Knows nothing of what is in the body.
//!
//! ```text
//! head, 4 KiB:  JSON of the record and the CRC of what follows, and a newline
//! runs:         16 bytes each: frame (8), first event (4), how many (4), little-endian
//! body:         the bytes
//! ```
//!
//! # Why
//! The file is replaced as a whole ([`crate::durable`]): a crash leaves the body before or the new
//! one. That it was stored is then noted in the head, in place and without a sync: where that is
//! lost, the body is sent once more and BigQuery says that it is there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::super::span::{At, Run, Span};
use crate::durable;

const HEAD_BYTES: usize = 4096;
const RUN_BYTES: usize = 16;

/// See the module.
pub(super) struct Outbox {
    path: PathBuf,
    file: Option<File>,
    /// Of the body that is there.
    crc: u32,
}

/// What a body is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The stream's full name; empty where there is none.
    pub(super) stream: String,
    /// Rows of the stream before it.
    pub(super) offset: u64,
    /// Its own rows.
    pub(super) n_rows: u64,
    pub(super) span: Arc<Span>,
    /// Events that it holds.
    pub(super) n_events: u64,
    /// Events of the span that it does not hold: dead letters.
    pub(super) n_refused: u64,
    /// It is stored, or was given up.
    pub(super) is_settled: bool,
}

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    stream: String,
    offset: u64,
    n_rows: u64,
    /// Where reading goes on: frame and event.
    to: (u64, u32),
    /// Bytes of the runs that stand behind the head: those that the body holds, and others.
    n_held: usize,
    n_left: usize,
    n_events: u64,
    n_refused: u64,
    is_settled: bool,
    crc: u32,
}

const VERSION: u32 = 1;

impl Outbox {
    /// The outbox at `path`, and what is in it. One that cannot be read is as none.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Record>)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut outbox = Self { path: path.to_owned(), file: None, crc: 0 };
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((outbox, None)),
            Err(error) => return Err(error),
        };
        let mut head = vec![0; HEAD_BYTES];
        let n_read = file.read_at(&mut head, 0)?;
        let Some(head) = read_head(&head[..n_read]) else {
            tracing::warn!(path = %path.display(), "the outbox cannot be read: it begins anew");
            return Ok((outbox, None));
        };
        let n_bytes = head.n_held.saturating_add(head.n_left);
        let is_cut = n_bytes as u64 > file.metadata()?.len();
        let mut lists = vec![0; if is_cut { 0 } else { n_bytes }];
        if is_cut || file.read_exact_at(&mut lists, HEAD_BYTES as u64).is_err() {
            tracing::warn!(path = %path.display(), "the outbox is cut: it begins anew");
            return Ok((outbox, None));
        }
        (outbox.file, outbox.crc) = (Some(file), head.crc);
        let (held, left) = lists.split_at(head.n_held);
        let (frame, event) = head.to;
        let to = At { frame, event };
        let record = Record {
            stream: head.stream,
            offset: head.offset,
            n_rows: head.n_rows,
            span: Span { held: read_runs(held), left: read_runs(left), to }.into(),
            n_events: head.n_events,
            n_refused: head.n_refused,
            is_settled: head.is_settled,
        };
        Ok((outbox, Some(record)))
    }

    /// The body, if all of it is there.
    pub(super) fn body(&self) -> Option<Bytes> {
        let bytes = fs::read(&self.path).ok()?;
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        if crc32fast::hash(rest) != self.crc {
            return None;
        }
        let head = read_head(head)?;
        let start = HEAD_BYTES + head.n_held + head.n_left;
        (start <= bytes.len()).then(|| Bytes::from(bytes).slice(start..))
    }

    /// Puts a body into the place of the one before, durably.
    pub(super) fn write<'a>(
        &mut self,
        record: &Record,
        body: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> io::Result<()> {
        let mut hasher = crc32fast::Hasher::new();
        let Span { held, left, .. } = &*record.span;
        let lists = [push_runs(held), push_runs(left)].concat();
        hasher.update(&lists);
        body.clone().for_each(|part| hasher.update(part));
        let crc = hasher.finalize();
        let head = head(record, crc)?;
        let file = durable::replace(&self.path, |file| {
            file.write_all(&head)?;
            file.write_all(&lists)?;
            body.into_iter().try_for_each(|part| file.write_all(part))
        })?;
        (self.file, self.crc) = (Some(file), crc);
        Ok(())
    }

    /// Notes what became of the body that is there.
    pub(super) fn settle(&self, record: &Record) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(&head(record, self.crc)?, 0)
    }
}

fn head(record: &Record, crc: u32) -> io::Result<Vec<u8>> {
    let Record { stream, offset, n_rows, span, n_events, n_refused, is_settled } = record;
    let Span { held, left, to } = &**span;
    let mut head = serde_json::to_vec(&Head {
        version: VERSION,
        stream: stream.clone(),
        offset: *offset,
        n_rows: *n_rows,
        to: (to.frame, to.event),
        n_held: held.len() * RUN_BYTES,
        n_left: left.len() * RUN_BYTES,
        n_events: *n_events,
        n_refused: *n_refused,
        is_settled: *is_settled,
        crc,
    })?;
    head.push(b'\n');
    if head.len() > HEAD_BYTES {
        return Err(io::Error::other("the stream's name is too long"));
    }
    head.resize(HEAD_BYTES, 0);
    Ok(head)
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Head>(line).ok().filter(|head| head.version == VERSION)
}

fn push_runs(runs: &[Run]) -> Vec<u8> {
    let mut out = Vec::with_capacity(runs.len() * RUN_BYTES);
    for Run { from, len } in runs {
        out.extend_from_slice(&from.frame.to_le_bytes());
        out.extend_from_slice(&from.event.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
    }
    out
}

fn read_runs(bytes: &[u8]) -> Vec<Run> {
    let runs = bytes.as_chunks::<RUN_BYTES>().0.iter().map(|run| {
        let [a, b, c, d, e, f, g, h, event @ .., i, j, k, l] = *run;
        let frame = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let from = At { frame, event: u32::from_le_bytes(event) };
        Run { from, len: u32::from_le_bytes([i, j, k, l]) }
    });
    runs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u64) -> Record {
        let run = |frame, event, len| Run { from: At { frame, event }, len };
        let (held, left) = (vec![run(10, 0, 5), run(12, 3, 4)], vec![run(12, 2, 1)]);
        let span = Span { held, left, to: At { frame: 20, event: 3 } };
        Record {
            stream: "projects/p/datasets/d/tables/t/streams/s".to_owned(),
            offset,
            n_rows: 7,
            span: span.into(),
            n_events: 7,
            n_refused: 1,
            is_settled: false,
        }
    }

    #[test]
    fn the_last_body_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("routes/t-s.outbox");
        let (mut outbox, none) = Outbox::open(&path).expect("opens");
        assert!(none.is_none());
        let parts = [Bytes::from_static(b"head"), Bytes::from_static(b"rows")];
        outbox.write(&record(0), parts.iter()).expect("written");
        outbox.write(&record(5), parts[..1].iter()).expect("written");
        let (mut outbox, found) = Outbox::open(&path).expect("opens");
        assert_eq!(found, Some(record(5)));
        assert_eq!(outbox.body().as_deref(), Some(&b"head"[..]));
        outbox.settle(&Record { is_settled: true, ..record(5) }).expect("noted");
        let (_, found) = Outbox::open(&path).expect("opens");
        assert!(found.is_some_and(|found| found.is_settled));
        // A body that is not whole is none; a head that is not is no record.
        outbox.write(&record(6), parts.iter()).expect("written");
        let file = File::options().write(true).open(&path).expect("opens");
        file.set_len(HEAD_BYTES as u64 + 50).expect("cut");
        let (outbox, found) = Outbox::open(&path).expect("opens");
        assert_eq!((found, outbox.body()), (Some(record(6)), None));
        file.set_len(10).expect("cut");
        assert!(Outbox::open(&path).expect("opens").1.is_none());
    }
}
