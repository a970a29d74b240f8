//! A named pipe, as two containers of a pod share one in an `emptyDir`.
//!
//! Opened for reading *and* writing, so that it has a writer at all times and a model that restarts
//! is no end of the stream (fifo(7)). What the pipe holds at a SIGKILL of ours is lost: a fifo has
//! no position.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::pipe::{self, LineOptions, Pipe};
use super::{Context, Ended, Intake, Source, SourceError, Stop};

/// What can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the fifo is.
    pub path: PathBuf,
    /// Makes it, with these permissions, if there is none.
    pub create_mode: Option<u32>,
    /// How lines are cut.
    pub lines: LineOptions,
}

/// The source.
#[derive(Debug)]
pub struct Fifo {
    context: Context,
    options: Options,
}

impl Fifo {
    /// Reads the fifo that `options` name.
    #[must_use]
    pub fn new(context: Context, options: Options) -> Self {
        Self { context, options }
    }

    fn open(&self) -> Result<OwnedFd, SourceError> {
        let path = &self.options.path;
        let failed = |error: Errno| SourceError::Open { path: path.clone(), source: error.into() };
        let mut is_new = false;
        if let Some(mode) = self.options.create_mode {
            match rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(mode), 0) {
                Ok(()) => is_new = true,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            let what = format!("{path:?} as a fifo: it is something else");
            return Err(SourceError::Options { what });
        }
        if let Some(mode) = self.options.create_mode.filter(|_| is_new) {
            // The umask took some of them, and the model often runs as another user.
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(failed)?;
        }
        Ok(fd)
    }
}

impl Source for Fifo {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let fd = self.open()?;
        let path = self.options.path.to_string_lossy().into_owned();
        let origin = self.context.origin("", vec![("log.file.path".into(), path)]);
        pipe::run(Pipe::new(fd, origin, &self.context, self.options.lines), intake, &stop)
    }
}
