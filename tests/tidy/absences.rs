//! What is deliberately absent: the invariants that the map in `src/lib.rs` states.
//!
//! Owns the table of what a module must not know, with the reason. Tests inside the modules are
//! free.

use super::file::{File, Offence};
use super::floors::module_of;
use super::lexer::is_word;

/// In these modules, none of these paths.
struct Absence {
    modules: Modules,
    paths: &'static [&'static str],
    why: &'static str,
}

enum Modules {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const ABSENCES: &[Absence] = &[
    Absence {
        modules: Modules::Only(&["event", "protect", "pipeline"]),
        paths: &[
            "tokio",
            "std::fs",
            "std::process",
            "std::env",
            "std::thread",
            "TcpStream",
            "UdpSocket",
        ],
        why: "what is between the edges is a pure, synchronous function: no I/O, no runtime",
    },
    Absence {
        modules: Modules::Only(&["event", "protect", "pipeline"]),
        paths: &["Instant::now", "SystemTime::now", "OffsetDateTime::now_utc"],
        why: "the time comes in with the batch",
    },
    Absence {
        modules: Modules::AllBut(&["deliver", "sources"]),
        paths: &["reqwest::Client", "reqwest::get"],
        why: "only `deliver` sends, so that retry, limits and acks exist once; a source may ask",
    },
    Absence {
        modules: Modules::AllBut(&["cli"]),
        paths: &["std::process::exit", "process::exit"],
        why: "only the roof ends the process; everything below returns",
    },
];

pub(crate) fn absences(file: &File, found: &mut Vec<Offence>) {
    let Some(module) = module_of(&file.path) else { return };
    for absence in ABSENCES {
        let is_bound = match absence.modules {
            Modules::Only(modules) => modules.contains(&module),
            Modules::AllBut(modules) => !modules.contains(&module),
        };
        if !is_bound {
            continue;
        }
        for path in absence.paths {
            let places = file.source.code.match_indices(path).map(|(at, _)| at);
            for at in places.filter(|at| is_path(file, *at, path.len()) && !file.is_test(*at)) {
                let what = format!("`{module}` must not know `{path}`: {}", absence.why);
                found.push(file.offence(at, what));
            }
        }
    }
}

/// Whether no longer word and no longer path is around it.
fn is_path(file: &File, at: usize, len: usize) -> bool {
    let code = file.source.code.as_bytes();
    let before = at.checked_sub(1).map_or(b' ', |before| code[before]);
    !is_word(before) && before != b':' && !code.get(at + len).is_some_and(|byte| is_word(*byte))
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;

    #[test]
    fn what_a_module_must_not_know() {
        for (path, text, expected) in [
            ("src/event/slab.rs", "use tokio::sync;", "`event` must not know `tokio`"),
            ("src/protect.rs", "use std::fs;", "`protect` must not know `std::fs`"),
            ("src/protect.rs", "TcpStream::connect(a)", "`protect` must not know `TcpStream`"),
            (
                "src/pipeline/time.rs",
                "let t = Instant::now();",
                "`pipeline` must not know `Instant::now`",
            ),
            (
                "src/sinks/loki.rs",
                "reqwest::Client::new()",
                "`sinks` must not know `reqwest::Client`",
            ),
            ("src/spool.rs", "std::process::exit(1)", "`spool` must not know `std::process::exit`"),
        ] {
            check(absences, path, text, &[&format!("{path}:1: {expected}")]);
            check(absences, path, &format!("#[cfg(test)]\nmod tests {{ {text} }}"), &[]);
        }
        for (path, text) in [
            ("src/spool/disk.rs", "use std::fs; Instant::now()"),
            ("src/deliver/http.rs", "reqwest::Client::new()"),
            ("src/config.rs", "use reqwest::Url;"),
            ("src/protect.rs", "use std::net::IpAddr;"),
            ("src/pipeline.rs", "use time::Instant; mod my_tokio; // tokio"),
            ("src/main.rs", "std::process::exit(1)"),
        ] {
            check(absences, path, text, &[]);
        }
    }
}
