//! Who may import whom.
//!
//! Owns the table of floors. A module imports from the floors below its own, never from above, and
//! never from a neighbour on its own floor unless [`SIDEWAYS`] says so. Tests inside a module obey
//! as well: an oracle that needs a higher floor lives on that floor. `main.rs` stands on the roof.

use super::file::{File, Offence};
use super::lexer::{Source, is_word};

/// The floors, from the ground. A module is one of `src/*.rs`, with what lies under it.
pub(crate) const FLOORS: &[&[&str]] = &[
    &["event", "diagnostic", "durable", "units", "secret", "telemetry", "trust"],
    &["protect"],
    &["pipeline", "spool"],
    &["sources", "sinks"],
    &["config", "deliver", "store", "tiers"],
    &["admin", "cli", "daemon"],
];

/// Neighbours that may be imported all the same: the first imports the second.
const SIDEWAYS: &[(&str, &str)] = &[
    // `run` is a command, and the daemon is what it runs.
    ("cli", "daemon"),
    // The daemon starts the server that answers for it.
    ("daemon", "admin"),
];

pub(crate) fn imports(file: &File, found: &mut Vec<Offence>) {
    let Some(module) = module_of(&file.path) else { return };
    let Some(floor) = floor_of(module) else {
        let what = format!(
            "module `{module}` stands on no floor: give it one in tests/tidy/floors.rs, as low as \
             what it imports allows"
        );
        found.push(file.offence_of_all(what));
        return;
    };
    for (at, imported) in imported_modules(file) {
        if imported == module || SIDEWAYS.contains(&(module, imported.as_str())) {
            continue;
        }
        let what = match floor_of(&imported) {
            None => format!("`{imported}` stands on no floor (tests/tidy/floors.rs)"),
            Some(other) if other < floor => continue,
            Some(other) if other == floor => format!(
                "`{module}` imports its neighbour `{imported}` on floor {floor}: move what both need \
                 down, or let a higher floor bring them together"
            ),
            Some(other) => format!(
                "`{module}` (floor {floor}) imports `{imported}` (floor {other}): imports only go \
                 down; take a value or a trait of a lower floor instead"
            ),
        };
        found.push(file.offence(at, what));
    }
}

/// The module that a file belongs to: `spool` for `src/spool/segment.rs`. None for the two roots
/// and for what is not in src.
pub(crate) fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = inside.split('/').next()?;
    (!matches!(inside, "lib" | "main")).then_some(module)
}

pub(crate) fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Every path of the code that begins at the crate's root, by `crate::` or by enough `super::`.
fn imported_modules(file: &File) -> Vec<(usize, String)> {
    let source = &file.source;
    let file_depth = file.path.trim_start_matches("src/").split('/').count();
    let mut imported = Vec::new();
    let mut done = 0;
    for (at, word) in source.words() {
        if at < done {
            continue;
        }
        let behind_root = match word {
            "crate" => path_separator(source, at + word.len()),
            "super" => {
                let (n_supers, end) = supers(source, at);
                done = end;
                let is_root = n_supers == file_depth + file.inline_depth(at);
                is_root.then_some(end)
            }
            _ => None,
        };
        let first = behind_root.map(|end| first_names(source, end)).unwrap_or_default();
        imported.extend(first.into_iter().map(|name| (at, name)));
    }
    imported
}

/// The position behind the `::` at `at`, if one stands there.
fn path_separator(source: &Source, at: usize) -> Option<usize> {
    let (at, _) = source.next_code(at)?;
    source.code[at..].starts_with("::").then_some(at + 2)
}

/// How many `super::` stand from `at`, and the position behind the last.
fn supers(source: &Source, mut at: usize) -> (usize, usize) {
    let mut n_supers = 0;
    while let Some((word_at, _)) = source.next_code(at)
        && source.code[word_at..].starts_with("super")
        && let Some(behind) = path_separator(source, word_at + "super".len())
    {
        n_supers += 1;
        at = behind;
    }
    (n_supers, at.max(1))
}

/// The name at `at`, or the first names of the paths in the braces there. A macro is no module.
fn first_names(source: &Source, at: usize) -> Vec<String> {
    let Some((start, byte)) = source.next_code(at) else { return Vec::new() };
    if byte != b'{' {
        let len = source.code[start..].bytes().take_while(|byte| is_word(*byte)).count();
        let is_macro = source.code.as_bytes().get(start + len) == Some(&b'!');
        let is_name = len > 0 && !is_macro;
        return is_name.then(|| source.code[start..start + len].to_owned()).into_iter().collect();
    }
    let mut names = first_names(source, start + 1);
    let mut at = start + 1;
    while let Some((next, byte)) = source.next_code(at) {
        match byte {
            b'}' => break,
            b'{' => at = source.closing(next) + 1,
            b',' => {
                names.extend(first_names(source, next + 1));
                at = next + 1;
            }
            _ => at = next + 1,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;

    #[test]
    fn down_is_right() {
        for (path, text) in [
            ("src/protect.rs", "use crate::event::batch::Batch;"),
            ("src/protect/mask.rs", "use super::policy; use crate::protect::policy;"),
            ("src/config.rs", "use crate::{sinks::{Sink, Body}, sources, pipeline};"),
            ("src/sinks/loki.rs", "use crate::pipeline::classify; use super::super::event;"),
            ("src/cli/run.rs", "use crate::daemon::run;"),
            ("src/pipeline.rs", "// use crate::sinks;\nlet x = \"crate::sinks\";"),
            ("src/pipeline.rs", "mod tests { use super::super::event; }"),
            ("src/protect/a.rs", "pub(in crate::protect) fn a() {} pub(crate) struct B;"),
            ("src/main.rs", "use sidewake::{cli, daemon};"),
            ("tests/spool.rs", "use crate::anything;"),
        ] {
            check(imports, path, text, &[]);
        }
    }

    #[test]
    fn up_and_sideways_are_wrong() {
        for (path, text, expected) in [
            (
                "src/event.rs",
                "\nuse crate::protect;",
                ":2: `event` (floor 0) imports `protect` (floor 1)",
            ),
            ("src/event/json/walk.rs", "use crate::spool::Spool;", ":1: `event` (floor 0)"),
            (
                "src/units.rs",
                "use crate::diagnostic::D;",
                ":1: `units` imports its neighbour `diagnostic`",
            ),
            (
                "src/sinks/loki.rs",
                "use crate::sources;",
                ":1: `sinks` imports its neighbour `sources`",
            ),
            (
                "src/pipeline.rs",
                "use crate::{event, sinks::Sink};",
                ":1: `pipeline` (floor 2) imports `sinks`",
            ),
            (
                "src/pipeline.rs",
                "use crate::{event::{a, b}, spool};",
                ":1: `pipeline` imports its neighbour",
            ),
            ("src/pipeline.rs", "use super::config;", ":1: `pipeline` (floor 2) imports `config`"),
            ("src/pipeline/a/b.rs", "use super::super::super::admin;", ":1: `pipeline` (floor 2)"),
            (
                "src/pipeline.rs",
                "mod m { mod n { use super::super::super::cli; } }",
                ":1: `pipeline`",
            ),
            ("src/pipeline.rs", "mod m { use super::super::{event, cli}; }", ":1: `pipeline`"),
            ("src/pipeline.rs", "fn f() { crate::deliver::send() }", ":1: `pipeline` (floor 2)"),
            ("src/pipeline.rs", "#[cfg(test)] mod t { use crate::config::C; }", ":1: `pipeline`"),
            ("src/pipeline.rs", "crate :: sinks :: f!()", ":1: `pipeline` (floor 2)"),
            ("src/daemon.rs", "use crate::cli;", ":1: `daemon` imports its neighbour `cli`"),
            ("src/sinks.rs", "use crate::nowhere::X;", ":1: `nowhere` stands on no floor"),
            ("src/newcomer/a.rs", "", ": module `newcomer` stands on no floor"),
        ] {
            check(imports, path, text, &[&format!("{path}{expected}")]);
        }
    }
}
