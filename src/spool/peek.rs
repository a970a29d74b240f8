//! Looks at what a tier's log holds without opening the spool: for `show`, beside a running daemon.
//!
//! Takes no lock and writes nothing. A segment that is freed or packed meanwhile is passed over,
//! and so is the end of one that is being written.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk::os::OsDisk;
use super::scan::{self, Depth};
use super::segment::{self, Form};
use crate::event::batch::Batch;
use crate::protect::protected::Protected;

/// Largest segment that is looked at; the spool's own are a few MiB.
pub(super) const SEGMENT_MAX: u64 = 256 << 20;

/// Hands every batch of the log in the folder `tier` to `take`, oldest first.
pub fn peek(tier: &Path, take: &mut dyn FnMut(&Batch)) {
    peek_since(tier, UNIX_EPOCH, take);
}

/// The same of segments that were written to since `since`.
pub fn peek_since(tier: &Path, since: SystemTime, take: &mut dyn FnMut(&Batch)) {
    let Ok(entries) = std::fs::read_dir(tier) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let segments = names.filter_map(|name| segment::parse_name(&name)).collect();
    for (base, form) in oldest_first(segments) {
        let path = segment::path(tier, base, form);
        let written = std::fs::metadata(&path).and_then(|about| about.modified());
        if written.is_ok_and(|written| written < since) {
            continue;
        }
        let Ok(bytes) = scan::load(&OsDisk::default(), &path, SEGMENT_MAX) else { continue };
        let scan = scan::scan(&bytes, form, base, u64::MAX, Depth::Checksum);
        for frame in scan.frames.iter().filter(|frame| frame.own().is_none()) {
            if let Ok(batch) = Protected::from_frame(frame.bytes(&bytes)) {
                take(&batch);
            }
        }
    }
}

/// Each segment of a folder once, in the order of the log.
pub(super) fn oldest_first(mut segments: Vec<(u64, Form)>) -> Vec<(u64, Form)> {
    segments.sort_unstable_by_key(|(base, _)| *base);
    // While a segment is packed both forms are there for a moment.
    segments.dedup_by_key(|(base, _)| *base);
    segments
}
