//! Each case is bytes, a mode, and the events expected of them; then the same through every way of
//! cutting the bytes in two.

use super::*;

const LIMITS: Limits = Limits { max_line_bytes: 16, join: true };

/// The events of `cut` as `text|flags` and their offsets.
fn events(slab: &Slab, cut: &Cut) -> Vec<(u32, String, u16)> {
    let text = |start: usize, len: usize| {
        assert_eq!(slab[start + len], b'\n', "a newline ends every line");
        String::from_utf8_lossy(&slab[start..start + len]).into_owned()
    };
    match &cut.lines {
        Lines::Table(table) => table
            .iter()
            .map(|line| (line.source_off, text(line.start as usize, line.len as usize), line.flags))
            .collect(),
        Lines::Plain => {
            let mut start = 0;
            let ends = memchr_iter(b'\n', &slab[..cut.content]);
            let all = ends.map(|end| {
                let event = (start as u32, text(start, end - start), 0);
                start = end + 1;
                event
            });
            all.filter(|(_, text, _)| !text.is_empty()).collect()
        }
    }
}

fn texts(events: &[(u32, String, u16)]) -> Vec<(&str, u16)> {
    events.iter().map(|(_, text, flags)| (text.as_str(), *flags)).collect()
}

#[test]
fn table_of_cases() {
    use Mode::{Last, More};
    const P: u16 = Flags::PARTIAL;
    const T: u16 = Flags::TRUNCATED;
    type Case<'a> = (&'a str, Mode, &'a [(&'a str, u16)], usize);
    let cases: &[Case<'_>] = &[
        ("", More, &[], 0),
        ("a\nb\n", More, &[("a", 0), ("b", 0)], 4),
        ("a\nb", More, &[("a", 0)], 2),
        ("a\nb", Last, &[("a", 0), ("b", P)], 3),
        ("{\"a\":1}", Last, &[("{\"a\":1}", P)], 7),
        ("{}\r\n{\"b\":2}\r\n", More, &[("{}", 0), ("{\"b\":2}", 0)], 13),
        ("x\0y\n\n\nz\n", More, &[("x\0y", 0), ("z", 0)], 8),
        ("\r\n\n", More, &[], 3),
        ("a\n\r\nb\n", More, &[("a", 0), ("b", 0)], 6),
        ("0123456789abcdef\n", More, &[("0123456789abcdef", 0)], 17),
        ("0123456789abcdef\r\n", More, &[("0123456789abcdef", 0)], 18),
        ("0123456789abcdefg\nb\n", More, &[("0123456789abcdef", T), ("b", 0)], 20),
        ("a\n0123456789abcdefgh", More, &[("a", 0), ("0123456789abcdef", T)], 20),
        ("0123456789abcde\u{fc}gh\n", More, &[("0123456789abcde", T)], 20),
        ("a\n0123456789abcdef", More, &[("a", 0)], 2),
    ];
    for (bytes, mode, expected, consumed) in cases {
        let mut slab = Slab::from_bytes(bytes.as_bytes());
        let cut = PlainCutter::new(LIMITS, false).cut(&mut slab, *mode);
        assert_eq!(texts(&events(&slab, &cut)), *expected, "{bytes:?}");
        assert_eq!(cut.consumed, *consumed, "{bytes:?}");
        assert_eq!(cut.n_events, expected.len() as u64, "{bytes:?}");
    }
}

/// Ordinary lines must not pay for a table.
#[test]
fn ordinary_chunks_stay_plain() {
    for bytes in ["{\"a\":1}\n{\"b\":2}\n", "text\n\nINFO x\n  indented\n", "ValueError: one\nx\n"]
    {
        let mut slab = Slab::from_bytes(bytes.as_bytes());
        let cut = PlainCutter::new(LIMITS, false).cut(&mut slab, Mode::More);
        assert!(matches!(cut.lines, Lines::Plain), "{bytes:?}");
        assert_eq!(&slab[..cut.content], bytes.as_bytes());
    }
}

/// What is cut is blanked: no byte of it may reach a frame.
#[test]
fn the_rest_of_a_long_line_is_blank() {
    let mut slab = Slab::from_bytes(b"0123456789abcdefSECRET\nok\n");
    let cut = PlainCutter::new(LIMITS, false).cut(&mut slab, Mode::More);
    assert_eq!(cut.n_truncated, 1);
    assert!(memchr::memmem::find(&slab, b"ECRET").is_none());
}

/// Reads `bytes` in two pieces, as a reader does, and returns the events by stream position.
fn in_two(bytes: &[u8], at: usize, limits: Limits) -> Vec<(u32, String, u16)> {
    let mut cutter = PlainCutter::new(limits, false);
    let (mut base, mut seen, mut all) = (0, at, Vec::new());
    for mode in [Mode::More, Mode::Last] {
        let mut slab = Slab::from_bytes(&bytes[base..seen]);
        let cut = cutter.cut(&mut slab, mode);
        slab.truncate(cut.content.max(cut.consumed));
        let found = events(&slab, &cut).into_iter();
        all.extend(found.map(|(off, text, flags)| (off + base as u32, text, flags)));
        base += cut.consumed;
        seen = bytes.len();
    }
    assert_eq!(base, bytes.len(), "cut at {at}");
    all
}

/// Where the reads happened to end changes nothing, at every byte.
#[test]
fn borders_change_nothing() {
    let python = "Traceback (most recent call last):\n  File \"a.py\"\n    f()\nValueError: no\n\n";
    let text = format!("a\r\n{python}{{\"b\":1}}\n{python}{}\nlast\r\nend", "long ".repeat(20));
    let limits = Limits { max_line_bytes: 90, join: true };
    let whole = in_two(text.as_bytes(), text.len(), limits);
    let begins: Vec<_> = whole.iter().map(|(off, _, flags)| (*off, *flags)).collect();
    let (joined, cut) = (Flags::JOINED, Flags::TRUNCATED);
    let expected = [(0, 0), (3, joined), (76, 0), (84, joined), (157, cut), (258, 0)];
    assert_eq!(begins[..6], expected);
    assert_eq!(whole[1].1, python.trim_end());
    assert_eq!(whole[6], (264, "end".to_owned(), Flags::PARTIAL));
    for at in 0..text.len() {
        assert_eq!(in_two(text.as_bytes(), at, limits), whole, "cut at {at}");
    }
}

/// An open block waits for more and goes when none comes.
#[test]
fn open_blocks_wait() {
    let bytes = b"x\nTraceback (most recent call last):\n  File\n";
    let limits = Limits { max_line_bytes: 100, join: true };
    for (mode, consumed, holds) in [(Mode::More, 2, true), (Mode::Quiet, bytes.len(), false)] {
        let mut slab = Slab::from_bytes(bytes);
        let cut = PlainCutter::new(limits, false).cut(&mut slab, mode);
        assert_eq!((cut.consumed, cut.holds), (consumed, holds));
    }
    let limits = Limits { join: false, ..limits };
    let mut slab = Slab::from_bytes(bytes);
    assert_eq!(PlainCutter::new(limits, false).cut(&mut slab, Mode::More).n_events, 3);
}
