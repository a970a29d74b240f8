//! Our own standard input, as in `python serve.py | sidewake run`.
//!
//! The end of the input ends the source, the last line kept. Deliberately leaves the descriptor
//! blocking: its flags belong to everyone who shares it.

use std::os::fd::OwnedFd;

use super::pipe::{self, LineOptions, Pipe};
use super::{Context, Ended, Intake, Source, SourceError, Stop};

/// What can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How lines are cut.
    pub lines: LineOptions,
}

/// The source.
#[derive(Debug)]
pub struct Stdin {
    context: Context,
    options: Options,
    fd: Option<OwnedFd>,
}

impl Stdin {
    /// Reads descriptor 0.
    #[must_use]
    pub fn new(context: Context, options: Options) -> Self {
        Self { context, options, fd: None }
    }

    /// Reads `fd` in its place.
    #[must_use]
    pub fn from_fd(context: Context, options: Options, fd: OwnedFd) -> Self {
        Self { context, options, fd: Some(fd) }
    }
}

impl Source for Stdin {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let fd = match self.fd {
            Some(fd) => fd,
            None => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
                .map_err(std::io::Error::from)?,
        };
        let origin = self.context.origin("stdin", Vec::new());
        pipe::run(Pipe::new(fd, origin, &self.context, self.options.lines), intake, &stop)
    }
}
