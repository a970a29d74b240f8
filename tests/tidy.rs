//! The house rules, as a test: `cargo test --test tidy`.
//!
//! Owns the walk over the repository and the list of rules. Each rule is a function in `tidy/`
//! that looks at one file, and has tests of its own that show it bad and good inputs. Deliberately
//! has no list of exceptions for sizes, and leaves to rustfmt and clippy what they can hold.

#[path = "tidy/absences.rs"]
mod absences;
#[cfg(test)]
#[path = "tidy/check.rs"]
mod check;
#[path = "tidy/file.rs"]
mod file;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/words.rs"]
mod words;

use std::path::Path;

use file::{File, Offence};
use lexer::Class;

/// Looks at one file and notes what it finds.
pub(crate) type Rule = fn(&File, &mut Vec<Offence>);

const RULES: &[Rule] = &[
    shape::opening,
    shape::file_length,
    shape::function_length,
    shape::line_length,
    shape::no_mod_rs,
    floors::imports,
    absences::absences,
    words::names,
    words::panics,
    words::markers,
    words::no_ignored_tests,
    words::no_sleeping_tests,
    words::no_prints,
    words::no_places,
];

/// What no one wrote, and what others did. `.git` is a file in a second work tree.
const SKIPPED: &[&str] = &[
    ".git",
    "target",
    "sidewake-data",
    ".cache",
    "__pycache__",
    "opentelemetry-proto",
    "prometheus-proto",
    "bigquery-proto",
];

#[test]
fn the_house_rules_hold() {
    let files = files();
    let mut found: Vec<Offence> = Vec::new();
    for file in &files {
        RULES.iter().for_each(|rule| rule(file, &mut found));
    }
    print_sizes(&files);
    found.sort();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} offences\n{}\n", found.len(), lines.join("\n"));
}

/// The map in `lib.rs` names every module, under the floor that the table gives it.
#[test]
fn the_map_is_the_table() {
    let files = files();
    let lib = files.iter().find(|file| file.path == "src/lib.rs").expect("src/lib.rs");
    for (floor, modules) in floors::FLOORS.iter().enumerate() {
        let line = lib.source.text.lines().find(|line| line.starts_with(&format!("//! {floor}  ")));
        let line = line.unwrap_or_else(|| panic!("src/lib.rs has no line for floor {floor}"));
        let named: Vec<_> = line.split([' ', ',']).collect();
        for module in modules.iter().filter(|module| is_declared(lib, module)) {
            assert!(named.contains(module), "floor {floor} lacks `{module}`: {line}");
        }
    }
    let words: Vec<_> = lib.source.words().collect();
    for pair in words.windows(2).filter(|pair| pair[0].1 == "mod") {
        let module = pair[1].1;
        assert!(floors::floor_of(module).is_some(), "`{module}` stands on no floor");
    }
}

/// What a page or the head of a file says in backticks under one of our folders is there.
#[test]
fn named_files_exist() {
    let files = files();
    let is_there = |path: &str| {
        let path = path.trim_end_matches('/');
        let is_below = |file: &File| {
            file.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        files.iter().any(is_below)
    };
    let mut missing = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md") || file.is_rust()) {
        for path in named_paths(file) {
            if !is_there(path) {
                missing.push(format!("{}: `{path}`", file.path));
            }
        }
    }
    assert!(missing.is_empty(), "named, and not there:\n{}\n", missing.join("\n"));
}

/// Paths in backticks that begin with a folder of ours and are no pattern.
fn named_paths(file: &File) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 5] = ["src/", "tests/", "deploy/", "config/", ".ci/"];
    let is_prose = |at: usize| !file.is_rust() || file.source.classes[at] == Class::Comment;
    let quoted = file.source.text.match_indices('`').filter(move |(at, _)| is_prose(*at));
    quoted.filter_map(|(at, _)| {
        let path = file.source.text[at + 1..].split('`').next()?;
        let is_plain = !path.contains([' ', '*', '<', '{', '\n', '…']);
        // A placeholder is written in capitals.
        let is_concrete =
            !path.split('/').any(|part| part.len() > 1 && part == part.to_uppercase());
        let is_ours = FOLDERS.iter().any(|folder| path.starts_with(folder));
        (is_plain && is_concrete && is_ours).then_some(path)
    })
}

#[test]
fn named_paths_are_found() {
    let text =
        "`tests/run` and `src/a/*.rs`, `tests/fuzz/corpus/TARGET`, `serde/src/x`, `src/b.rs`";
    let names = |path: &str, text: &str| {
        named_paths(&File::new(path, text)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("README.md", text), ["tests/run", "src/b.rs"]);
    assert_eq!(names("src/a.rs", &format!("//! {text}")), ["tests/run", "src/b.rs"]);
    assert!(names("src/a.rs", &format!("const A: &str = \"{text}\";")).is_empty());
}

fn is_declared(lib: &File, module: &str) -> bool {
    lib.source.code.contains(&format!("mod {module};"))
}

/// Every text file of the repository, in the order of the paths.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read_folder(root, root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let test_modules: Vec<String> = files.iter().flat_map(File::test_modules).collect();
    files.iter_mut().for_each(|file| file.mark_test(&test_modules));
    // A walk that found nothing would let everything pass.
    for path in ["src/lib.rs", "src/main.rs", "tests/tidy.rs", "Cargo.toml", ".ci/run"] {
        assert!(files.iter().any(|file| file.path == path), "the walk did not find {path}");
    }
    files
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder that can be read") {
        let entry = entry.expect("an entry that can be read");
        let kind = entry.file_type().expect("an entry has a type");
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if kind.is_dir() {
            read_folder(root, &entry.path(), files);
        }
        // What is not text (a corpus may hold anything) has no lines to judge.
        if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            let path = entry.path();
            let path = path.strip_prefix(root).expect("BUG: it lies under the root");
            files.push(File::new(&path.to_string_lossy().replace('\\', "/"), &text));
        }
    }
}

fn print_sizes(files: &[File]) {
    let sources = files.iter().filter(|file| file.is_rust() && file.path.starts_with("src/"));
    let mut sizes: Vec<usize> = sources.map(|file| file.source.lines().count()).collect();
    sizes.sort_unstable();
    let at = |share: usize| sizes.get(sizes.len() * share / 100).copied().unwrap_or_default();
    println!(
        "src: {} files, {} lines; median {}, p90 {}, longest {} (limit {})",
        sizes.len(),
        sizes.iter().sum::<usize>(),
        at(50),
        at(90),
        sizes.last().copied().unwrap_or_default(),
        shape::FILE_LINES_MAX
    );
}
