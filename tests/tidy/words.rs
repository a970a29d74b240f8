//! Words that have no place here, each with what to say or do instead.
//!
//! Owns names without a meaning, panics without a reason, tests that wait or are left out, prints
//! in a library, and what only one machine understands. Clippy's lints (Cargo.toml) hold the rest.

use super::file::{File, Offence};
use super::lexer::{Class, Source, is_word};

/// Parts of a name that say nothing about the thing.
const EMPTY_NAMES: &[&str] =
    &["manager", "managers", "helper", "helpers", "util", "utils", "handler", "handlers"];

/// What declares the name behind it.
const DECLARING: &[&str] =
    &["struct", "enum", "union", "trait", "type", "mod", "fn", "const", "static", "macro_rules"];

/// Notes to oneself; spelled so that this file holds none.
const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders of one machine; spelled so that this file names none.
const PLACES: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Calls that wait for a time to pass.
const WAITS: &[&str] = &["sleep", "sleep_ms", "sleep_until"];

const PRINTS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];

pub(crate) fn names(file: &File, found: &mut Vec<Offence>) {
    if !file.is_rust() {
        return;
    }
    let is_empty = |name: &str| words_in(name).any(|word| EMPTY_NAMES.contains(&word.as_str()));
    let advice = "name it for what it owns or does (no Manager, Helper, Util, Handler)";
    if is_empty(file.path.trim_end_matches(".rs").rsplit('/').next().unwrap_or_default()) {
        found.push(file.offence_of_all(advice));
    }
    let words: Vec<_> = file.source.words().collect();
    for pair in words.windows(2) {
        let [(_, before), (at, name)] = *pair else { continue };
        if DECLARING.contains(&before) && is_empty(name) {
            found.push(file.offence(at, format!("`{name}`: {advice}")));
        }
    }
}

/// The words of `CamelCase` and `snake_case`, in lower case.
fn words_in(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() || c == '_' {
            spaced.push(' ');
        }
        spaced.push(c.to_ascii_lowercase());
    }
    let words: Vec<String> =
        spaced.split([' ', '_']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

pub(crate) fn panics(file: &File, found: &mut Vec<Offence>) {
    if !file.is_rust() {
        return;
    }
    let source = &file.source;
    let product = source.words().filter(|(at, _)| !file.is_test(*at));
    for (at, word) in product {
        let is_method = source.code[..at].trim_end().ends_with('.');
        let behind = at + word.len();
        match word {
            "unwrap" | "unwrap_err" if is_method && is_call(source, behind) => {
                let what = "unwrap() outside of tests: return the error, or say with \
                            expect(\"BUG: …\") why it cannot be";
                found.push(file.offence(at, what));
            }
            "expect" | "expect_err"
                if is_method && is_call(source, behind) && !has_reason(source, behind, true) =>
            {
                let what = "expect() outside of tests is for true invariants: \"BUG: …\"";
                found.push(file.offence(at, what));
            }
            "panic" | "unreachable"
                if source.code[behind..].starts_with('!')
                    && !has_reason(source, behind + 1, false) =>
            {
                let what = format!("{word}! outside of tests is for bugs alone: \"BUG: …\"");
                found.push(file.offence(at, what));
            }
            _ => {}
        }
    }
}

fn is_call(source: &Source, at: usize) -> bool {
    source.next_code(at).is_some_and(|(_, byte)| byte == b'(')
}

/// Whether the first argument in the brackets at `at` is a literal that begins with `BUG:`. What is
/// no literal at all passes where `or_no_literal`: a parser may have an `expect` of its own.
fn has_reason(source: &Source, at: usize, or_no_literal: bool) -> bool {
    let Some(open) = source.code[at..].find('(').map(|open| at + open) else { return false };
    let rest = source.text[open + 1..].trim_start();
    match rest.strip_prefix('"') {
        Some(text) => text.starts_with("BUG: "),
        None => or_no_literal && !rest.starts_with(')'),
    }
}

pub(crate) fn markers(file: &File, found: &mut Vec<Offence>) {
    let source = &file.source;
    for marker in MARKERS {
        for (at, _) in source.text.match_indices(marker) {
            let is_here = !file.is_rust() || source.classes[at] == Class::Comment;
            if is_here && is_whole_word(&source.text, at, marker.len()) {
                let what =
                    format!("{marker}: do it now, or open an issue and leave the code whole");
                found.push(file.offence(at, what));
            }
        }
    }
}

/// Whether nothing of a longer word, or of a pattern like a masked number, stands around it.
fn is_whole_word(text: &str, at: usize, len: usize) -> bool {
    let bytes = text.as_bytes();
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| is_word(*byte) || *byte == b'-');
    !is_part(at.checked_sub(1).and_then(|before| bytes.get(before)))
        && !is_part(bytes.get(at + len))
}

pub(crate) fn no_ignored_tests(file: &File, found: &mut Vec<Offence>) {
    let code = &file.source.code;
    for (at, _) in code.match_indices("#[") {
        let attribute = &code[at + 2..file.source.closing(at + 1)];
        let mut words = attribute.split(|c: char| !is_word(c as u8)).filter(|w| !w.is_empty());
        let is_ignore = match words.next() {
            Some("ignore") => true,
            Some("cfg_attr") => words.any(|word| word == "ignore"),
            _ => false,
        };
        if file.is_rust() && is_ignore {
            let what =
                "an ignored test is no test: make it fast, or let SIDEWAKE_SLOW=1 lengthen it";
            found.push(file.offence(at, what));
        }
    }
}

pub(crate) fn no_sleeping_tests(file: &File, found: &mut Vec<Offence>) {
    // A benchmark may measure an idle process.
    if !file.is_rust() || file.path.starts_with("tests/bench/") {
        return;
    }
    let source = &file.source;
    for (at, word) in source.words().filter(|(at, _)| file.is_test(*at)) {
        if !WAITS.contains(&word) || !is_call(source, at + word.len()) {
            continue;
        }
        // On tokio's paused clock a sleep takes no time and cannot be too short. Written out, so
        // that a reader sees whose sleep it is.
        let is_tokio = source.code[..at].ends_with("tokio::time::");
        if !is_tokio || !has_paused_clock(file) {
            let what = "a test that sleeps is slow and still fails by chance: wait for the event \
                        itself, or write tokio::time::sleep on a paused clock";
            found.push(file.offence(at, what));
        }
    }
}

/// Whether all asynchronous tests of the file start with a paused clock. What tests share
/// (`tests/support`) cannot be told from here: its callers are judged.
fn has_paused_clock(file: &File) -> bool {
    let code = &file.source.code;
    let tests: Vec<_> = code.match_indices("#[tokio::test").map(|(at, _)| at).collect();
    let is_paused = |at: &usize| {
        code[*at..file.source.closing(at + 1)].replace(' ', "").contains("start_paused=true")
    };
    file.path.starts_with("tests/support/") || (!tests.is_empty() && tests.iter().all(is_paused))
}

pub(crate) fn no_prints(file: &File, found: &mut Vec<Offence>) {
    let is_library = file.path.starts_with("src/") && file.is_rust();
    let may_print = ["src/main.rs", "src/cli.rs"].contains(&file.path.as_str());
    if !is_library || may_print || file.path.starts_with("src/cli/") {
        return;
    }
    for (at, word) in file.source.words() {
        let is_macro = file.source.code[at + word.len()..].starts_with('!');
        if is_macro && PRINTS.contains(&word) && !file.is_test(at) {
            let what = format!("{word}! in a library: `tracing` for our own log, without payload");
            found.push(file.offence(at, what));
        }
    }
}

pub(crate) fn no_places(file: &File, found: &mut Vec<Offence>) {
    for place in PLACES {
        for (at, _) in file.source.text.match_indices(place) {
            let what = format!("{place} exists on one machine only: use a relative path");
            found.push(file.offence(at, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;

    #[test]
    fn empty_names() {
        for (text, name) in [
            ("struct SinkManager;", "SinkManager"),
            ("enum Util {}", "Util"),
            ("mod string_utils;", "string_utils"),
            ("fn request_handler() {}", "request_handler"),
            ("trait HelperOf {}", "HelperOf"),
        ] {
            check(names, "src/a.rs", text, &[&format!("src/a.rs:1: `{name}`")]);
        }
        check(names, "tests/http_helpers.rs", "", &["tests/http_helpers.rs: name it"]);
        let fine = "struct Utilization; fn handle() {} // a Manager\nuse tower::Handler; fn f(x: Helper) {}";
        check(names, "src/a.rs", fine, &[]);
    }

    #[test]
    fn panics_without_a_reason() {
        for text in [
            "fn f() { a.unwrap(); }",
            "fn f() { a\n.unwrap() ; }",
            "fn f() { a.expect(\"a\"); }",
            "fn f() { panic!(\"no\"); }",
            "fn f() { unreachable!(); }",
        ] {
            let line = if text.contains('\n') { 2 } else { 1 };
            check(panics, "src/a.rs", text, &[&format!("src/a.rs:{line}: ")]);
            check(panics, "src/a.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}"), &[]);
            check(panics, "tests/a.rs", text, &[]);
        }
        let fine = "fn f() { a.unwrap_or(b); a.expect(\"BUG: x\"); self.expect(b'{'); self.expect(x);\n\
                    unreachable!(\"BUG: y\"); panic!(\"BUG: z\"); std::panic::catch_unwind(g) } // .unwrap()\n\
                    #[expect(clippy::unwrap_used)] const S: &str = \".unwrap()\";";
        check(panics, "src/a.rs", fine, &[]);
    }

    #[test]
    fn notes_to_oneself() {
        for marker in MARKERS {
            check(markers, "src/a.rs", &format!("// {marker}: x"), &["src/a.rs:1: "]);
            check(markers, "src/a.rs", &format!("/* a\n{marker} */"), &["src/a.rs:2: "]);
            check(markers, "deploy/a.yaml", &format!("# {marker}"), &["deploy/a.yaml:1: "]);
            check(markers, "src/a.rs", &format!("const A: &str = \"{marker}\";"), &[]);
            check(markers, "run.sh", &format!("mktemp {marker}{marker}; a-{marker}-b"), &[]);
        }
    }

    #[test]
    fn tests_left_out_or_waiting() {
        for text in ["#[ignore]", "#[ignore = \"slow\"]", "# [ignore]", "#[cfg_attr(unix, ignore)]"]
        {
            let text = text.replace("# [", "#[");
            check(no_ignored_tests, "tests/a.rs", &text, &["tests/a.rs:1: an ignored"]);
        }
        let fine = "// #[ignore]\n#[serde(ignore)] #[cfg_attr(test, derive(Debug))] struct A;";
        check(no_ignored_tests, "src/a.rs", fine, &[]);

        let call = "fn f() { std::thread::sleep(d); tokio::time::sleep (d).await; sleep_until(t) }";
        let three = ["tests/a.rs:1: a test that sleeps"; 3];
        check(no_sleeping_tests, "tests/a.rs", call, &three);
        check(no_sleeping_tests, "src/a.rs", call, &[]);
        check(no_sleeping_tests, "tests/bench/a.rs", call, &[]);
        let inside = format!("#[cfg(test)]\nmod tests {{ use tokio::time::sleep;\n{call} }}");
        check(no_sleeping_tests, "src/a.rs", &inside, &["src/a.rs:3: "; 3]);

        let paused = format!("#[tokio::test(start_paused = true)]\nasync {call}");
        check(no_sleeping_tests, "tests/a.rs", &paused, &["tests/a.rs:2: "; 2]);
        let mixed = format!("{paused}\n#[tokio::test]\nasync fn g() {{}}");
        check(no_sleeping_tests, "tests/a.rs", &mixed, &["tests/a.rs:2: "; 3]);
        check(no_sleeping_tests, "tests/support/a.rs", call, &["tests/support/a.rs:1: "; 2]);
    }

    #[test]
    fn prints_and_places() {
        let text = "fn f() { println!(\"a\"); eprint!(\"b\"); }";
        check(
            no_prints,
            "src/spool.rs",
            text,
            &["src/spool.rs:1: println!", "src/spool.rs:1: eprint!"],
        );
        for path in ["src/cli.rs", "src/cli/show.rs", "src/main.rs", "tests/a.rs"] {
            check(no_prints, path, text, &[]);
        }
        check(no_prints, "src/a.rs", "fn print() { writeln!(f); print(); } // println!(", &[]);
        for place in PLACES {
            check(no_places, "README.md", &format!("see\n{place}a"), &["README.md:2: "]);
        }
        check(no_places, "README.md", "see ./network/a and /var/lib/sidewake", &[]);
    }
}
