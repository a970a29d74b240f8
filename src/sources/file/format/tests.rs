//! Formats are told by the first line, and any chunk end is a place to go on from.

use std::io::Write;

use super::*;

const LIMITS: Limits = Limits { max_line_bytes: 100, join: true };
const T: &str = "2026-01-02T03:04:05.6Z";

fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().expect("file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

#[test]
fn first_lines() {
    let docker = format!("{{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"{T}\"}}\n");
    let cases: &[(&str, Option<Option<Framing>>)] = &[
        ("", None),
        ("half a line", None),
        (&docker[..docker.len() - 1], None),
        ("text\n", Some(None)),
        ("{\"log\":\"x\"}\n", Some(None)),
        (&format!("{T} stdout F x\n"), Some(Some(Framing::Cri))),
        (&docker, Some(Some(Framing::Docker))),
        (&"x".repeat(FIRST_LINE_BYTES), Some(None)),
        (&format!("{T} stderr F {}", "x".repeat(FIRST_LINE_BYTES)), Some(Some(Framing::Cri))),
    ];
    for (text, expected) in cases {
        let found = framing(&file(text), Format::Auto).expect("read");
        assert_eq!(found, *expected, "{:?}", &text[..text.len().min(50)]);
    }
}

/// Cuts `text` in slabs of `slab_bytes`, with the same cutter throughout or a new one at each
/// chunk.
fn events(text: &str, format: Format, slab_bytes: usize, anew: bool) -> u64 {
    let file = file(text);
    let open =
        |position| Cutter::open(&file, position, format, LIMITS).expect("read").expect("told");
    let (mut cutter, mut position, mut n_events) = (open(0), 0, 0);
    while (position as usize) < text.len() {
        if anew {
            cutter = open(position);
        }
        let mut slab = Slab::with_capacity(slab_bytes);
        let n = read_at_most(&file, slab.spare(), position).expect("read");
        slab.advance(n);
        let cut = cutter.cut(&mut slab, Mode::More);
        assert!(cut.consumed > 0, "at {position}");
        position += cut.consumed as u64;
        n_events += cut.n_events;
    }
    n_events
}

/// Starting anew at every chunk changes nothing, not even inside a line that is being dropped.
#[test]
fn goes_on_anywhere() {
    let long = "x".repeat(2000);
    let plain = format!("a\n{long}\nb\n{long}{long}\nc\n").repeat(3);
    let part = |stream: &str| format!("{T} {stream} P {}\n", "y".repeat(40));
    let whole = |stream: &str| format!("{T} {stream} F z\n");
    let mut cri = String::new();
    for _ in 0..3 {
        cri += &whole("stdout");
        cri += &(part("stdout") + &whole("stderr")).repeat(30);
        cri += &(part("stdout") + &part("stderr")).repeat(10);
        cri += &(whole("stdout") + &whole("stderr"));
        cri += &format!("{T} stdout F {long}{long}\n{}", whole("stderr"));
    }
    for (text, format) in [(plain, Format::Plain), (cri, Format::Cri)] {
        for slab_bytes in [2600, 3700, 9000] {
            let expected = events(&text, format, slab_bytes, false);
            assert_eq!(
                events(&text, format, slab_bytes, true),
                expected,
                "{format:?} {slab_bytes}"
            );
        }
    }
}
