//! Whole files through every way of reading them in two, and the cases that peers got wrong.

use super::*;

const LIMITS: Limits = Limits { max_line_bytes: 120, join: true };
const T: &str = "2026-01-02T03:04:05.6Z";

type Event = (u32, String, u16);

fn events(slab: &Slab, cut: &Cut) -> Vec<Event> {
    let Lines::Table(table) = &cut.lines else { panic!("a framing has a table") };
    let mut behind = 0;
    let mut all = Vec::new();
    for line in table {
        assert_eq!(line.start, behind, "contents lie one behind the other");
        behind = line.start + line.len + 1;
        let (start, end) = (line.start as usize, (line.start + line.len) as usize);
        assert_eq!(slab[end], b'\n');
        let text = String::from_utf8_lossy(&slab[start..end]).into_owned();
        all.push((line.source_off, text, line.flags));
    }
    assert_eq!(behind as usize, cut.content, "nothing but lines is left");
    all
}

/// Reads a file as the source does: up to each of `ends`, again from what was not consumed.
fn read(framing: Framing, bytes: &[u8], limits: Limits, steps: &[(usize, Mode)]) -> Vec<Event> {
    let mut cutter = FramedCutter::new(framing, limits, Dropping::default());
    let (mut base, mut all) = (0, Vec::new());
    for (end, mode) in steps {
        let mut slab = Slab::from_bytes(&bytes[base..*end]);
        let cut = cutter.cut(&mut slab, *mode);
        all.extend(events(&slab, &cut).into_iter().map(|(o, t, f)| (o + base as u32, t, f)));
        base += cut.consumed;
    }
    all.sort();
    all
}

fn whole(framing: Framing, text: &str) -> Vec<Event> {
    read(framing, text.as_bytes(), LIMITS, &[(text.len(), Mode::Last)])
}

fn cri(lines: &[(&str, &str, &str)]) -> String {
    let line = |(stream, tag, text): &(&str, &str, &str)| format!("{T} {stream} {tag} {text}\n");
    lines.iter().map(line).collect()
}

/// Partial lines are put together per stream, whatever lies between their parts.
#[test]
fn partials_join_per_stream() {
    let text = cri(&[
        ("stdout", "P", "{\"a\":"),
        ("stderr", "P", "err"),
        ("stdout", "P", "1,"),
        ("stderr", "F", "or"),
        ("stderr", "F", "whole"),
        ("stdout", "F", "\"b\":2}"),
        ("stdout", "F", "{}"),
    ]);
    let found = whole(Framing::Cri, &text);
    let texts: Vec<_> = found.iter().map(|(_, text, flags)| (text.as_str(), *flags)).collect();
    let expected = [
        ("{\"a\":1,\"b\":2}", Flags::JOINED),
        ("error", Flags::JOINED | Flags::STDERR),
        ("whole", Flags::STDERR),
        ("{}", 0),
    ];
    assert_eq!(texts, expected);
}

/// Two reads that meet at any byte give what one read gives; no event twice, none lost.
#[test]
fn borders_change_nothing() {
    let text = cri(&[
        ("stdout", "F", "{\"n\":0}"),
        ("stderr", "F", "Traceback (most recent call last):"),
        ("stdout", "P", "{\"n\""),
        ("stderr", "F", "  File \"a.py\""),
        ("stderr", "P", "ValueError:"),
        ("stdout", "F", ":1}"),
        ("stderr", "F", " no"),
        ("stdout", "F", ""),
        ("stderr", "F", "text\r"),
    ]) + "no frame\n"
        + &cri(&[("stdout", "P", &"x".repeat(100)), ("stdout", "P", &"y".repeat(100))])
        + &cri(&[("stdout", "F", "dropped"), ("stdout", "F", "last")]);
    let expected = whole(Framing::Cri, &text);
    let texts: Vec<_> = expected.iter().map(|(_, text, _)| text.as_str()).collect();
    let trace = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no";
    let long = "x".repeat(100) + &"y".repeat(20);
    assert_eq!(texts, ["{\"n\":0}", trace, "{\"n\":1}", "text", "no frame", &long, "last"]);
    assert_eq!(expected[5].2, Flags::JOINED | Flags::TRUNCATED);
    for at in 0..text.len() {
        let steps = [(at, Mode::More), (text.len(), Mode::Last)];
        let found = read(Framing::Cri, text.as_bytes(), LIMITS, &steps);
        assert_eq!(found, expected, "cut at {at}");
    }
}

#[test]
fn docker_partials() {
    let line = |log: &str, stream: &str| {
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"{T}\"}}\n")
    };
    let text = [
        line("{\\\"a\\\":", "stdout"),
        line("warn\\n", "stderr"),
        line("1}\\n", "stdout"),
        "broken\n".to_owned(),
    ]
    .concat();
    let found = whole(Framing::Docker, &text);
    let texts: Vec<_> = found.iter().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!(texts, ["{\"a\":1}", "warn", "broken"]);
    for at in 0..text.len() {
        let steps = [(at, Mode::More), (text.len(), Mode::Last)];
        let found_again = read(Framing::Docker, text.as_bytes(), LIMITS, &steps);
        assert_eq!(found_again, found, "cut at {at}");
    }
}

/// A writer that died inside a line: its part goes after a while, and what follows is not lost.
#[test]
fn dangling_parts() {
    let head = cri(&[("stdout", "F", "a"), ("stdout", "P", "part")]);
    let text = head.clone() + &cri(&[("stdout", "F", "next")]);
    for (mode, expected) in [
        (Mode::More, &["a", "partnext"][..]),
        (Mode::Quiet, &["a", "partnext"]),
        (Mode::Stale, &["a", "part", "next"]),
    ] {
        let steps = [(head.len(), mode), (text.len(), Mode::Last)];
        let found = read(Framing::Cri, text.as_bytes(), LIMITS, &steps);
        let texts: Vec<_> = found.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(texts, expected, "{mode:?}");
    }
    let torn = &text[..text.len() - 2];
    let found = read(Framing::Cri, torn.as_bytes(), LIMITS, &[(torn.len(), Mode::Last)]);
    assert_eq!(found[1].1, "partnex");
    assert_eq!(found[1].2, Flags::JOINED | Flags::PARTIAL);
}

/// Parts without end, and raw lines without end: one marked head each, no memory, no second event.
#[test]
fn endless_lines_are_bounded() {
    let part = cri(&[("stdout", "P", &"x".repeat(50))]);
    let mut cutter = FramedCutter::new(Framing::Cri, LIMITS, Dropping::default());
    let (mut n_events, mut n_truncated) = (0, 0);
    for _ in 0..1000 {
        let mut slab = Slab::from_bytes(part.repeat(20).as_bytes());
        let cut = cutter.cut(&mut slab, Mode::More);
        assert_eq!(cut.consumed, part.len() * 20);
        n_events += cut.n_events;
        n_truncated += cut.n_truncated;
    }
    assert_eq!((n_events, n_truncated), (1, 1));
    let mut cutter = FramedCutter::new(Framing::Cri, LIMITS, Dropping::default());
    let endless = format!("{T} stdout F {}", "x".repeat(5000));
    let mut found = Vec::new();
    for bytes in [endless.as_str(), &"x".repeat(5000), &format!("x\n{T} stdout F ok\n")] {
        let mut slab = Slab::from_bytes(bytes.as_bytes());
        let cut = cutter.cut(&mut slab, Mode::More);
        assert_eq!(cut.consumed, bytes.len());
        found.extend(events(&slab, &cut));
    }
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, "x".repeat(LIMITS.max_line_bytes));
    assert_eq!(found[0].2, Flags::TRUNCATED);
    assert_eq!(found[1].1, "ok");
}
