//! Which lines belong to the line before: Python tracebacks (chained, and exception groups), JVM
//! and Node stack traces, Go panics.
//!
//! A machine over whole lines that says of each whether it stands alone, begins a block or joins
//! the open one. Bounded in lines and bytes; the time bound is the reader's, which closes a block
//! that nothing was added to. Deliberately holds no bytes and knows no chunks.
//!
//! # Why
//! Joining must cost nothing where there is nothing to join: a JSON line is told by its first byte
//! and never comes here while no block is open. Nothing is ever dropped: a block at its bound is
//! closed, and what follows stands alone.

/// Lines of one block. Python abbreviates recursion, so real blocks stay far below.
const LINES_MAX: u32 = 2048;

/// What a line is to the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An event of its own; an open block ended before it.
    Alone,
    /// The first line of what may become a block; an open block ended before it.
    Begins,
    /// A further line of the open block.
    Joins,
}

/// The state of one stream's open block.
#[derive(Clone, Debug, Default)]
pub(super) struct Joiner {
    open: Option<Block>,
    n_lines: u32,
    n_bytes: usize,
    bytes_max: usize,
}

/// What kind of block is open, and where in it we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Behind `Traceback (most recent call last):`, before the exception's line.
    PythonFrames,
    /// Behind the exception's line; a chained traceback may follow.
    PythonRaised,
    /// Behind the empty line after it.
    PythonGap,
    /// Behind `During handling of …`.
    PythonChained,
    /// Inside an exception group, whose lines are all indented.
    PythonGroup,
    /// Behind a line that names an exception, or inside its stack.
    Stack,
    /// Inside a Go panic.
    Go,
}

const PYTHON: &[u8] = b"Traceback (most recent call last):";
const PYTHON_GROUP: &[u8] = b"+ Exception Group Traceback (most recent call last):";

impl Joiner {
    /// Blocks of at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Judges the next line (without newline and CR).
    pub(super) fn step(&mut self, line: &[u8]) -> Step {
        let n_bytes = self.n_bytes + line.len() + 1;
        if let Some(open) = self.open
            && self.n_lines < LINES_MAX
            && n_bytes <= self.bytes_max
            && let Some(next) = open.take(line)
        {
            self.open = Some(next);
            self.n_lines += 1;
            self.n_bytes = n_bytes;
            return Step::Joins;
        }
        self.open = if line.len() < self.bytes_max { Block::begun_by(line) } else { None };
        self.n_lines = 1;
        self.n_bytes = line.len();
        if self.open.is_some() { Step::Begins } else { Step::Alone }
    }
}

impl Block {
    /// The block that `line` begins, if any.
    fn begun_by(line: &[u8]) -> Option<Self> {
        match line.first()? {
            b'T' if line.trim_ascii_end() == PYTHON => Some(Self::PythonFrames),
            b' ' if line.trim_ascii() == PYTHON_GROUP => Some(Self::PythonGroup),
            b'p' if line.starts_with(b"panic: ") => Some(Self::Go),
            b'f' if line.starts_with(b"fatal error: ") => Some(Self::Go),
            b'E' if line.starts_with(b"Exception in thread \"") => Some(Self::Stack),
            b'A'..=b'Z' | b'a'..=b'z' if names_an_exception(line) => Some(Self::Stack),
            _ => None,
        }
    }

    /// The state behind `line` if it belongs to this block.
    fn take(self, line: &[u8]) -> Option<Self> {
        let indented = matches!(line.first(), Some(b' ' | b'\t'));
        let blank = line.trim_ascii().is_empty();
        match self {
            Self::PythonFrames if indented => Some(Self::PythonFrames),
            Self::PythonFrames => is_exception_line(line).then_some(Self::PythonRaised),
            Self::PythonRaised | Self::PythonGroup if blank => Some(Self::PythonGap),
            Self::PythonRaised if indented => Some(Self::PythonRaised),
            Self::PythonGap | Self::PythonRaised => {
                let chained = line.starts_with(b"During handling of the above exception")
                    || line.starts_with(b"The above exception was the direct cause");
                chained.then_some(Self::PythonChained)
            }
            Self::PythonChained if blank => Some(Self::PythonChained),
            Self::PythonChained => match Self::begun_by(line) {
                next @ Some(Self::PythonFrames | Self::PythonGroup) => next,
                _ => None,
            },
            Self::PythonGroup => indented.then_some(Self::PythonGroup),
            Self::Stack => {
                let text = line.trim_ascii_start();
                let of_stack = indented
                    && [&b"at "[..], b"... ", b"Suppressed: "].iter().any(|w| text.starts_with(w));
                (of_stack || line.starts_with(b"Caused by: ")).then_some(Self::Stack)
            }
            Self::Go => {
                let of_go = blank
                    || line[0] == b'\t'
                    || line.ends_with(b")")
                    || [&b"goroutine "[..], b"[signal ", b"created by ", b"panic: "]
                        .iter()
                        .any(|word| line.starts_with(word));
                of_go.then_some(Self::Go)
            }
        }
    }
}

/// `ValueError: text`, `pkg.mod.Error`, `KeyboardInterrupt`, `mod.<locals>.Error: text`.
fn is_exception_line(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.<>".contains(byte) || *byte > 127;
    !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(of_name)
}

/// Whether the first word is a class name as JVM languages and JavaScript give to exceptions.
fn names_an_exception(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| matches!(byte, b':' | b' ')).unwrap_or(line.len());
    let name = &line[..end];
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$".contains(byte);
    [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|word| name.ends_with(word))
        && name.iter().all(of_name)
}

#[cfg(test)]
mod tests;
