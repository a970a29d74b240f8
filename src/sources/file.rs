//! Log files: found by patterns, followed through every kind of rotation, read to the byte where
//! the spool's tiers left off.
//!
//! One thread reads all files of a source, blocking; directories are watched by inotify and looked
//! through every few seconds besides. Deliberately reads no compressed files and no file twice.
//!
//! # Why
//! - *After a change the thread rests for the linger, then reads.* A writer of five thousand lines
//!   a second then costs a hundred reads a second and not five thousand, with no bytes held
//!   meanwhile.
//! - *A last line without its newline waits*, as long as somebody may be writing it. It is handed
//!   on when the file was rotated or deleted and nothing came for `rotate_wait`, and at a stop when
//!   it is older than a second: the pod may be going for good.
//! - *A rotated file stays known as long as it exists.* Its new name may match the patterns;
//!   knowing it is what keeps it from being read again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::pipe::LineOptions;
use super::wait::wait_readable;
use super::{Context, Ended, Intake, Source, SourceError, Stage, Stop};

mod attributes;
mod format;
mod globs;
mod identity;
mod registry;
mod rotation;
mod tail;
mod tracked;
mod watch;

pub use format::Format;
use tail::Tail;

/// Where to begin in files that are there at the very first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At their first byte.
    #[default]
    Beginning,
    /// Behind their last whole line.
    End,
}

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Patterns of the files to read: `*`, `?`, `[…]`, and `**` for any number of directories.
    pub include: Vec<String>,
    /// Patterns of files not to read.
    pub exclude: Vec<String>,
    /// How they are framed.
    pub format: Format,
    /// Where to begin in files that are there at the very first start.
    pub start_at: StartAt,
    /// How lines are cut; `linger` is how long after a change a file is read.
    pub lines: LineOptions,
    /// Where the registry lies; made if it is not there.
    pub state_dir: PathBuf,
    /// How often everything is looked at, whatever the watches say. Default 10 s.
    pub rescan_interval: Duration,
    /// How long a rotated or deleted file must be quiet to be taken for finished. Default 5 s.
    pub rotate_wait: Duration,
    /// How many files are kept open. Default 256.
    pub open_files_max: usize,
}

impl Options {
    /// The defaults for the files that `include` names.
    #[must_use]
    pub fn new(include: Vec<String>, state_dir: PathBuf) -> Self {
        Self {
            include,
            exclude: Vec::new(),
            format: Format::default(),
            start_at: StartAt::default(),
            lines: LineOptions::default(),
            state_dir,
            rescan_interval: Duration::from_secs(10),
            rotate_wait: Duration::from_secs(5),
            open_files_max: 256,
        }
    }
}

/// The source.
#[derive(Debug)]
pub struct Files {
    context: Context,
    options: Options,
}

impl Files {
    /// Reads the files that `options` name.
    #[must_use]
    pub fn new(context: Context, options: Options) -> Self {
        Self { context, options }
    }
}

impl Source for Files {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let mut tail = Tail::open(self.options, self.context, intake)?;
        let mut rescan_at = Instant::now() + tail.rescan_interval();
        let mut rests_until = None;
        while stop.stage() == Stage::Running {
            tail.serve_due()?;
            let now = Instant::now();
            if rescan_at <= now {
                tail.rescan(false);
                tail.save_registry();
                rescan_at = now + tail.rescan_interval();
            }
            let resting = rests_until.filter(|at| *at > now);
            let next = [tail.next_due(), Some(rescan_at), resting].into_iter().flatten().min();
            let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
            if tail.next_due().is_none_or(|at| at > now) {
                tail.intake.rest();
            }
            let changed = resting.is_none().then(|| tail.watcher.fd());
            let fds = [Some(stop.woken_after(Stage::Running)), changed];
            let ready = wait_readable(&fds, timeout)?;
            if ready[1] {
                let changes = tail.watcher.changes()?;
                tail.note(&changes);
                if changes.is_rescan_needed {
                    rescan_at = Instant::now();
                }
                rests_until = Some(Instant::now() + tail.options.lines.linger);
            }
        }
        drain(&mut tail, &stop)?;
        Ok(Ended::default())
    }
}

/// Reads every file to where it ends at this moment.
fn drain(tail: &mut Tail, stop: &Stop) -> Result<(), SourceError> {
    let changes = tail.watcher.changes()?;
    tail.note(&changes);
    tail.rescan(false);
    for (key, size, mode) in tail.sizes() {
        while stop.stage() < Stage::Now
            && let Some(position) = tail.position(key)
            && position < size
        {
            tail.serve(key, Some(mode))?;
            if tail.position(key) == Some(position) {
                break;
            }
        }
    }
    tail.note_registry_stale();
    tail.save_registry();
    tail.intake.flush()?;
    Ok(())
}
