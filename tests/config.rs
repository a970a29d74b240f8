//! What users meet of the config: every message about a broken one, word by word; every example,
//! accepted; and a schema that knows all of them.

#[path = "config/schema_check.rs"]
mod schema_check;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sidewake::config::env::Env;
use sidewake::config::{Config, parse};
use sidewake::diagnostic::{Diagnostic, Style, render_all};

/// The world in which all configs here are read.
struct World;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789ab\n";

impl Env for World {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "SET_TOKEN" => Some("hunter2-from-outside".to_owned()),
            "LOKI_URL_SET" => Some("http://loki:3100".to_owned()),
            _ => None,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/run/secrets/short") => Ok(b"hunter2\n".to_vec()),
            Some("/run/secrets/nothing") => Err(io::ErrorKind::NotFound.into()),
            Some(name) if name.starts_with("/run/secrets/") => Ok(KEY.as_bytes().to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The YAML files in a folder of the repository, by name.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join(folder)).expect(folder);
    let names = entries.map(|entry| entry.expect("the folder can be listed").file_name());
    let mut files: Vec<PathBuf> = names
        .filter(|name| name.to_string_lossy().ends_with(".yaml"))
        .map(|name| Path::new(folder).join(name))
        .collect();
    files.sort();
    files
}

fn text_of(file: &Path) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(file: &Path) -> Result<Config, Vec<Diagnostic>> {
    parse(&text_of(file), &file.display().to_string(), &World)
}

/// The messages are the interface. `UPDATE_GOLDEN=1` rewrites them; read each one as a user would.
#[test]
fn broken_configs_say_what_is_wrong() {
    let files = yaml_files("tests/config/bad");
    assert!(files.len() >= 30, "{} broken configs", files.len());
    let mut differing = Vec::new();
    for file in files {
        let problems = read(&file).expect_err(&format!("{} is broken", file.display()));
        let rendered = render_all(&problems, Style::Plain);
        let golden = file.with_extension("stderr");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&golden);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &rendered).expect("the golden file can be written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != rendered {
            differing.push(format!("{}:\n{rendered}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "UPDATE_GOLDEN=1 accepts these:\n{}", differing.join("\n"));
}

/// What every message owes its reader, whatever it is about.
#[test]
fn messages_keep_the_house_rules() {
    for file in yaml_files("tests/config/bad") {
        let problems = read(&file).expect_err("it is broken");
        let positions: Vec<_> = problems.iter().map(Diagnostic::position).collect();
        assert!(positions.is_sorted(), "{}: sorted by position", file.display());
        for problem in problems {
            let text = problem.to_string();
            assert!(!text.contains("hunter2"), "a secret in\n{text}");
            assert!(problem.hint.is_some(), "no hint in\n{text}");
            assert!(!problem.message.ends_with('.'), "a full stop in\n{text}");
            let starts_low = !problem.message.starts_with(char::is_uppercase);
            assert!(starts_low, "a capital in\n{text}");
            for word in ["invalid", "illegal", "unable", "bad "] {
                assert!(!problem.message.contains(word), "\"{word}\" in\n{text}");
            }
            assert!(problem.message.chars().count() <= 100, "too long:\n{text}");
        }
    }
}

/// Every line of every example, left out, cut off or with a value of another shape: always an
/// answer, and one that keeps the rules.
#[test]
fn mutilated_configs_get_an_answer() {
    let is_slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    let mut n_refused = 0;
    for file in yaml_files("config").into_iter().chain(yaml_files("tests/config/good")) {
        let text = text_of(&file);
        let lines: Vec<&str> = text.lines().collect();
        for n in (0..lines.len()).filter(|n| !lines[*n].trim_start().starts_with('#')) {
            let key = lines[n].split_once(": ").map_or(lines[n], |(key, _)| key);
            let half: String = lines[n].chars().take(lines[n].chars().count() / 2).collect();
            let values =
                ["", ": [x]", ": { y: z }", ": ~", ": \"${UNSET}\"", ": \"${SET_TOKEN}\"", ": -1"];
            let mut changed: Vec<String> = values.iter().map(|v| format!("{key}{v}")).collect();
            changed.extend([String::new(), half, format!("{key}: {}", lines[n])]);
            // Two of the ten a line are enough for every day, other ones on the next line.
            changed.rotate_left(n * 2 % values.len());
            changed.truncate(if is_slow { usize::MAX } else { 2 });
            for line in changed {
                let mut lines = lines.clone();
                lines[n] = &line;
                let Err(problems) = parse(&lines.join("\n"), "t.yaml", &World) else { continue };
                n_refused += 1;
                for problem in problems {
                    let text = problem.to_string();
                    assert!(!text.contains("hunter2"), "{}: {line}:\n{text}", file.display());
                    assert!(problem.hint.is_some(), "{}: {line}:\n{text}", file.display());
                }
            }
        }
    }
    assert!(n_refused > 150, "only {n_refused} were refused");
}

/// Examples, and the blocks of the README, run as they are.
#[test]
fn good_configs_are_accepted_by_us_and_by_the_schema() {
    let schema = sidewake::config::schema::json();
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let mut good: Vec<(String, String)> = Vec::new();
    for folder in ["config", "tests/config/good"] {
        let files = yaml_files(folder);
        assert!(!files.is_empty(), "{folder} has examples");
        good.extend(files.iter().map(|file| (file.display().to_string(), text_of(file))));
    }
    good.extend(readme_blocks());
    for (name, text) in good {
        if let Err(problems) = parse(&text, &name, &World) {
            panic!("{}", render_all(&problems, Style::Plain));
        }
        // As editors read it: "no" and "on" are words.
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: serde_json::Value =
            serde_saphyr::from_str_with_options(&text, options).expect("it is YAML");
        let complaints = schema_check::complaints(&schema, &value);
        assert!(complaints.is_empty(), "{name}: the schema refuses it: {complaints:#?}");
    }
}

/// The YAML blocks of the README that are configs: those with sources.
fn readme_blocks() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut blocks = Vec::new();
    for (n, part) in text.split("```yaml\n").skip(1).enumerate() {
        let block = part.split("```").next().unwrap_or_default();
        if block.lines().any(|line| line.starts_with("sources:")) {
            blocks.push((format!("README.md, block {}", n + 1), block.to_owned()));
        }
    }
    blocks
}

/// The commented reference names every field there is, so that nobody has to read the source.
#[test]
fn the_reference_config_names_every_field() {
    let schema = sidewake::config::schema::json();
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let reference = text_of(Path::new("config/sidewake.yaml"));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let written: BTreeSet<&str> = reference.split(|c| !word(c)).collect();
    let lacking: Vec<String> = schema_check::fields(&schema)
        .into_iter()
        .filter(|field| !written.contains(field.as_str()))
        .collect();
    assert!(lacking.is_empty(), "config/sidewake.yaml does not name {lacking:?}");
}
