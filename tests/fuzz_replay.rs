//! Every parser on its corpus and on mutations of it, on stable Rust.
//!
//! Owns the replay of `tests/fuzz/corpus/TARGET/*` and the bounds: seconds in all, or minutes a
//! target with `SIDEWAKE_SLOW=1`. The seed is printed; `SIDEWAKE_SEED=N` repeats a run. What fails
//! is written to the corpus's folder, from where the next run replays it: commit it with the fix.
//! Deliberately without coverage feedback: for that, see `tests/fuzz/Cargo.toml`.

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;

/// Random cases a target, unless time ends them first.
const CASES: usize = 100_000;
/// No target takes longer than this.
const WITHIN: Duration = Duration::from_secs(3);
const WITHIN_SLOW: Duration = Duration::from_secs(180);

type Run = fn(&[u8]);

macro_rules! replay_tests {
    ($($name:ident: $run:path,)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), $run);
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}
targets::for_each_target!(replay_tests);

fn replay(name: &str, run: Run) {
    let corpus = corpus(name);
    for (path, bytes) in &corpus {
        if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
            panic!("{name} fails on {}", path.display());
        }
    }
    let is_slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    let (cases, within) = if is_slow { (usize::MAX, WITHIN_SLOW) } else { (CASES, WITHIN) };
    let seed = seed();
    let mut mutator = Mutator::new(seed, corpus.into_iter().map(|(_, bytes)| bytes).collect());
    let (begun, mut case) = (Instant::now(), 0);
    while case < cases && begun.elapsed() < within {
        let bytes = mutator.next();
        if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
            let path = folder(name).join(format!("crash-{seed:016x}-{case}"));
            let kept = std::fs::write(&path, bytes).map(|()| format!("kept in {}", path.display()));
            let kept = kept.unwrap_or_else(|error| format!("not kept: {error}"));
            let input = bytes.escape_ascii();
            panic!("{name} fails on case {case} of SIDEWAKE_SEED={seed}, {kept}: {input}");
        }
        case += 1;
    }
    println!("{name}: {case} random cases of SIDEWAKE_SEED={seed} in {:?}", begun.elapsed());
}

fn seed() -> u64 {
    let given = std::env::var("SIDEWAKE_SEED").ok();
    let now = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    given.map_or_else(now, |seed| seed.parse().expect("SIDEWAKE_SEED is a number"))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(name)).expect("the target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("can be listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of {name} is empty");
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a corpus file can be read");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// A target has a binary for the fuzzer, and no corpus and no binary is without its target.
#[test]
fn targets_binaries_and_corpora_are_the_same() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let names = manifest.lines().skip_while(|line| *line != "[[bin]]");
    let names = names.filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let binaries: BTreeSet<String> = names.map(str::to_owned).collect();
    let entries = std::fs::read_dir(fuzz.join("corpus")).expect("corpora");
    let names = entries.map(|entry| entry.expect("can be listed").file_name());
    let corpora: BTreeSet<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let targets: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(binaries, targets, "tests/fuzz/Cargo.toml and tests/fuzz/targets.rs differ");
    assert_eq!(corpora, targets, "tests/fuzz/corpus and tests/fuzz/targets.rs differ");
}

/// The net has no holes: a target that fails on one byte in a million is caught within the bound.
#[test]
fn the_mutator_reaches_what_it_should() {
    let seed = seed();
    let seeds = vec![b"{\"a\":\"x\"}".to_vec(), b"[1,2,3]".to_vec()];
    for (what, wanted) in [
        (
            "a joined input",
            &(|b: &[u8]| b.len() > 12 && b.contains(&b'{') && b.contains(&b'3'))
                as &dyn Fn(&[u8]) -> bool,
        ),
        ("a cut input", &|b: &[u8]| b.len() < 4),
        ("a byte above ASCII", &|b: &[u8]| b.iter().any(|byte| *byte > 0x7f)),
        ("a backslash", &|b: &[u8]| b.contains(&b'\\')),
        ("a long input", &|b: &[u8]| b.len() > 64),
        ("a repeated part", &|b: &[u8]| b.windows(6).any(|w| w == b"\"x\"\"x\"" || w == b"1,2,2,")),
    ] {
        let mut mutator = Mutator::new(seed, seeds.clone());
        let is_found = (0..CASES).any(|_| wanted(mutator.next()));
        assert!(is_found, "{what} never came (SIDEWAKE_SEED={seed})");
    }
}
