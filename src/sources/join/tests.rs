//! Blocks as interpreters print them: each case is one text and the line numbers that begin events.

use super::*;

fn begins(text: &str) -> Vec<usize> {
    let mut joiner = Joiner::new(4096);
    let steps = text.lines().map(|line| joiner.step(line.as_bytes()));
    steps.enumerate().filter(|(_, step)| *step != Step::Joins).map(|(n, _)| n).collect()
}

/// A block is one event, and what stands around it stays out.
#[test]
fn blocks() {
    let python = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n\
                  \x20   f()\nValueError: no\n";
    let during = "During handling of the above exception, another exception occurred:";
    let cause = "The above exception was the direct cause of the following exception:";
    let cases: &[(&str, &str, &[usize])] = &[
        ("plain", "a\nb\n  c\n", &[0, 1, 2]),
        ("python", python, &[0]),
        ("text follows", &format!("x\n{python}2026-01-01 text\n"), &[0, 1, 5]),
        ("json follows", &format!("{python}{{\"a\":1}}\n"), &[0, 4]),
        ("two in a row", &format!("{python}{python}"), &[0, 4]),
        ("chained", &format!("{python}\n{during}\n\n{python}ok\n"), &[0, 11]),
        ("direct cause", &format!("{python}\n{cause}\n\n{python}"), &[0]),
        (
            "bare exception",
            "Traceback (most recent call last):\n  File\nKeyboardInterrupt\nx\n",
            &[0, 3],
        ),
        (
            "local class",
            "Traceback (most recent call last):\n  F\na.<locals>.E: x\n    more\nx y\n",
            &[0, 4],
        ),
        ("interrupted", "Traceback (most recent call last):\n  File\n{\"a\":1}\n", &[0, 2]),
        (
            "group",
            "  + Exception Group Traceback (most recent call last):\n  |   File\n\
               \x20 | ExceptionGroup: x\n  +-+---\n    | ValueError\n    +----\nx\n",
            &[0, 6],
        ),
        (
            "java",
            "2026 ERROR x\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\
             \t... 3 more\nCaused by: java.io.IOException\n\tat a.D\nnext\n",
            &[0, 1, 6],
        ),
        ("node", "TypeError: x is not a function\n    at f (a.js:1:2)\nok\n", &[0, 2]),
        ("only a header", "ValueError: x\nValueError: y\nz\n", &[0, 1, 2]),
        (
            "go",
            "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1\nexit status 2\n",
            &[0, 5],
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(begins(text), *expected, "{name}");
    }
}

/// No text keeps a block open for ever, in lines or in bytes.
#[test]
fn bounded() {
    let mut joiner = Joiner::new(1 << 20);
    joiner.step(PYTHON);
    let n_joined = (0..10_000).take_while(|_| joiner.step(b"  File") == Step::Joins).count();
    assert_eq!(n_joined as u32, LINES_MAX - 1);
    let mut joiner = Joiner::new(100);
    joiner.step(PYTHON);
    assert_eq!(joiner.step(&[b' '; 60]), Step::Joins);
    assert_eq!(joiner.step(&[b' '; 60]), Step::Alone);
    assert_eq!(joiner.step(PYTHON), Step::Begins);
}
