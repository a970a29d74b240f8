//! Python tracebacks: which lines belong together.
//!
//! Owns [`Traceback`], a small state that says of each line whether it goes on the block begun
//! before. Deliberately holds no bytes and no bounds: who joins lines bounds what is joined.
//!
//! A block is `Traceback (most recent call last):`, indented frames, and the line that names the
//! exception; chained ones (`During handling of the above exception, …`) and exception groups
//! (`+ Exception Group Traceback`, `|` before each line) belong to it. The message of an
//! exception may have several lines; those that are not indented end the block, for nothing tells
//! them from the next log line.

const START: &[u8] = b"Traceback (most recent call last):";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

/// How far into a traceback the lines so far led.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traceback {
    /// In none.
    #[default]
    Outside,
    /// Behind the head or a frame: indented lines and the exception follow.
    Frames,
    /// Behind the exception: only a chained traceback goes on.
    Named,
    /// Behind an empty line that follows the exception.
    Gap,
}

/// What a line is to the block before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It belongs to no traceback, and ends the one before it.
    Alone,
    /// It begins a traceback. A log line directly before it (`logger.exception`) may be joined too.
    Begins,
    /// It belongs to the block before it.
    GoesOn,
}

impl Traceback {
    /// What `line`, without its newline, is.
    pub fn next(&mut self, line: &[u8]) -> Part {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let bare = strip_group(line);
        let starts = bare.starts_with(START)
            || bare.strip_prefix(b"Exception Group ").is_some_and(|rest| rest.starts_with(START));
        let (state, part) = match *self {
            Traceback::Outside if starts => (Traceback::Frames, Part::Begins),
            Traceback::Outside => (Traceback::Outside, Part::Alone),
            _ if starts && bare.len() < line.len() => (Traceback::Frames, Part::GoesOn),
            Traceback::Frames if is_indented(line) => (Traceback::Frames, Part::GoesOn),
            Traceback::Frames if names_exception(bare) => (Traceback::Named, Part::GoesOn),
            Traceback::Named if is_indented(line) => (Traceback::Named, Part::GoesOn),
            Traceback::Named if line.is_empty() => (Traceback::Gap, Part::GoesOn),
            Traceback::Named | Traceback::Gap if CHAINS.contains(&bare) => {
                (Traceback::Gap, Part::GoesOn)
            }
            Traceback::Gap if line.is_empty() => (Traceback::Gap, Part::GoesOn),
            Traceback::Gap if starts => (Traceback::Frames, Part::GoesOn),
            _ if starts => (Traceback::Frames, Part::Begins),
            _ => (Traceback::Outside, Part::Alone),
        };
        *self = state;
        part
    }
}

/// Takes an exception group's `  + ` or `  | ` off.
fn strip_group(line: &[u8]) -> &[u8] {
    let trimmed = line.trim_ascii_start();
    match trimmed {
        [b'+' | b'|', b' ', rest @ ..] => rest.trim_ascii_start(),
        _ => line,
    }
}

fn is_indented(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

/// `ValueError: text`, `KeyboardInterrupt`, `pkg.mod.Error: text`.
fn names_exception(line: &[u8]) -> bool {
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.".contains(byte);
    let len = line.iter().take_while(in_name).count();
    let ends = matches!(line.get(len), None | Some(b':'));
    len > 0 && ends && line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(block: &str) -> String {
        let mut state = Traceback::default();
        let part = |line: &str| match state.next(line.as_bytes()) {
            Part::Alone => '.',
            Part::Begins => 'B',
            Part::GoesOn => '+',
        };
        block.lines().map(part).collect()
    }

    const HEAD: &str = "Traceback (most recent call last):";

    #[test]
    fn blocks() {
        let check = |lines: &[&str], expected: &str| {
            assert_eq!(parts(&lines.join("\n")), expected, "{lines:?}");
        };
        let frame = "  File \"a.py\", line 1, in f";
        check(
            &["INFO x", HEAD, frame, "    g()", "    ~^^", "ValueError: bad", "INFO y"],
            ".B++++.",
        );
        let during = "During handling of the above exception, another exception occurred:";
        check(
            &[HEAD, frame, "KeyError: 'x'", "", during, "", HEAD, frame, "pkg.Error", "next"],
            "B++++++++.",
        );
        check(
            &[
                "  + Exception Group Traceback (most recent call last):",
                "  |   File \"a.py\"",
                "  | ExceptionGroup: two (2 sub-exceptions)",
                "  +-+---------------- 1 ----------------",
                "    | ValueError: 1",
                "    +------------------------------------",
                "{}",
            ],
            "B+++++.",
        );
        check(&[HEAD, "{\"a\":1}", "x"], "B..");
        check(&[HEAD, frame, "E: x", "", "INFO y"], "B+++.");
        check(&[HEAD, frame, "E: x", HEAD, frame], "B++B+");
        check(&["a", "", "  b"], "...");
    }
}
