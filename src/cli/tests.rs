//! The grammar of the command line, and what a wrong one says.

use super::*;
use crate::config::env::Env;
use crate::diagnostic::Style;

fn ok(line: &str) -> Command {
    parse(line.split(' ')).unwrap_or_else(|exit| panic!("{line}: {}", exit.text)).command
}

fn wrong(line: &str) -> Exit {
    parse(line.split(' ')).expect_err(line)
}

#[test]
fn run_takes_a_config_or_a_command() {
    let Command::Run(run) = ok("sidewake run -- python serve.py --port 1") else { panic!("run") };
    assert_eq!(run.command, ["python", "serve.py", "--port", "1"]);
    assert_eq!((run.config.clone(), run.grace), (None, HumanDuration::secs(30)));
    assert_eq!(run.overrides().command.as_deref(), Some(&run.command[..]));

    let line = "sidewake run -c a.yaml --echo none --grace 1m --data-dir /d";
    let Command::Run(run) = ok(line) else { panic!("run") };
    assert_eq!(run.config, Some(PathBuf::from("a.yaml")));
    assert_eq!(run.grace, HumanDuration::secs(60));
    let Overrides { command, data_dir, echo } = run.overrides();
    assert_eq!((command, data_dir, echo), (None, Some("/d".into()), Some(Echo::None)));
}

#[test]
fn the_other_commands() {
    let Command::Validate(validate) = ok("sidewake validate a.yaml b.yaml") else { panic!("v") };
    assert_eq!(validate.files.len(), 2);
    let Command::Show(show) = ok("sidewake show 7f3c9a --json") else { panic!("show") };
    assert_eq!((show.request_id.as_str(), show.json, show.data_dir), ("7f3c9a", true, None));
    let Command::Policy(policy) = ok("sidewake policy --json") else { panic!("policy") };
    assert_eq!((policy.config, policy.json), (None, true));
    assert_eq!(ok("sidewake schema"), Command::Schema);
    assert_eq!(ok("sidewake version"), Command::Version);
}

/// A wrong call says what is wrong with it and ends with 64; help and version are no errors.
#[test]
fn exit_codes_and_words() {
    for (line, code, words) in [
        ("sidewake", 64, "Usage: sidewake <COMMAND>"),
        ("sidewake --help", 0, "sidewake run -- python serve.py"),
        ("sidewake run --help", 0, "--echo <MODE>"),
        ("sidewake validate --help", 0, "Example"),
        ("sidewake --version", 0, "sidewake 0.1.0"),
        ("sidewake run", 64, "sidewake run -- python serve.py"),
        ("sidewake run python", 64, "unexpected argument 'python'"),
        ("sidewake run --conf x", 64, "'--config'"),
        ("sidewake runn", 64, "'run'"),
        ("sidewake validate", 64, "<FILE>..."),
        ("sidewake show", 64, "<REQUEST_ID>"),
        ("sidewake show ", 64, "a value is required for '<REQUEST_ID>'"),
        ("sidewake show --config a --data-dir b x", 64, "cannot be used with"),
        ("sidewake help show", 0, "Exit code 1 when nothing is found"),
        ("sidewake run --config a --grace 30", 64, "\"30\" has no unit of time. Write 30ms, 30s"),
        ("sidewake run --config a --echo loud", 64, "write one of: protected, raw, none"),
    ] {
        let exit = wrong(line);
        assert_eq!(exit.code, code, "{line}");
        assert!(exit.text.contains(words), "{line}: {}", exit.text);
    }
}

struct NoEnv;

impl Env for NoEnv {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// One bad file among good ones decides the exit code, and hides nothing of the others.
#[test]
fn validate_goes_through_all_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    };
    let good = file("good.yaml", "sources: { in: { type: stdin } }\n");
    let bad = file("bad.yaml", "sources: { in: { type: stdio } }\nsink: {}\n");
    let gone = dir.path().join("gone.yaml");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = Validate { files: vec![bad, gone, good], no_environment: false };
    let code = validate(&args, &NoEnv, (&mut out, &mut err), Style::Plain).expect("it can write");
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert_eq!(code, 64);
    assert!(out.ends_with("good.yaml: ok (1 source, 4 tiers, 1 sink)\n"), "{out}");
    assert_eq!(err.matches("error: ").count(), 3, "{err}");

    // In CI, nothing of what a config names has to be there.
    let text = "sources: { in: { type: stdin, max_line: \"${MAX}\" } }\n\
                sinks:\n  loki:\n    type: loki\n    endpoint: ${URL}\n    \
                auth: { type: bearer, token: { file: /none } }\n";
    let files = vec![file("env.yaml", text)];
    for (no_environment, n_problems) in [(false, 3), (true, 0)] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = Validate { files: files.clone(), no_environment };
        let _ = validate(&args, &NoEnv, (&mut out, &mut err), Style::Plain).expect("it can write");
        let err = String::from_utf8_lossy(&err);
        assert_eq!(err.matches("error: ").count(), n_problems, "{err}");
    }

    let mut out = Vec::new();
    assert_eq!(schema(&mut out).expect("it can write"), 0);
    assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
}
