//! Why the spool did not take, or does not have, a batch.

use std::io;
use std::path::Path;

/// An error of the spool; cheap to clone, for one disk error answers many tickets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The options contradict themselves.
    #[error("the spool cannot be opened: {0}")]
    Options(String),
    /// The disk refused; retried unless the spool was just being opened.
    #[error("could not {op} \"{path}\": {message}")]
    Disk {
        /// What was tried: `write`, `sync`, `create`.
        op: &'static str,
        /// On which file or folder.
        path: String,
        /// The kind, for decisions.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// Another process has the folder.
    #[error("the spool \"{0}\" is held by another process")]
    Locked(String),
    /// Appended after [`super::Spool::close`], or still unwritten when the spool ended.
    #[error("the spool is closed")]
    Closed,
    /// Dropped because the tier's share was used up and memory for waiting batches too; counted.
    #[error("the batch was dropped: the tier's share of the spool is full")]
    Full,
    /// Dropped because the disk refused and memory for waiting batches was used up; counted.
    #[error("the batch was dropped: the disk refuses writes")]
    Refused,
    /// Longer than a frame, or than the tier's whole share; counted as dropped.
    #[error("the batch was dropped: {0} bytes are more than the tier can hold")]
    TooLarge(u64),
    /// No tier has this number.
    #[error("there is no tier with number {0}")]
    NoTier(u8),
}

impl SpoolError {
    /// An I/O error with what was tried on which path.
    pub(super) fn disk(op: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Disk {
            op,
            path: path.display().to_string(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    /// Whether the disk, or the quota on it, has no room.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        let full =
            [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        matches!(self, Self::Disk { kind, .. } if full.contains(kind))
    }
}
