//! `sidewake run -- COMMAND`: the child's end is ours, its output is kept to the last byte, and
//! nothing that we do or that others hold makes it wait.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::rig::{Place, until};

/// A prediction as a model would log it.
pub(crate) fn prediction(id: &str) -> String {
    format!(
        concat!(
            r#"{{"event":"prediction_completed","request_id":"{id}","#,
            r#""model_name":"fraud_detector","model_version":"v2.3.1","#,
            r#""features":{{"amount":150.5,"merchant":"M123"}},"#,
            r#""prediction":{{"label":"fraud","score":0.87}},"latency_ms":23}}"#,
        ),
        id = id
    )
}

#[test]
fn exit_codes_are_the_childs() {
    for (script, expected) in
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + 9), ("kill -TERM $$", 128 + 15)]
    {
        let mut place = Place::new();
        let mut daemon = place.shell(&[], script);
        assert_eq!(daemon.wait(), Some(expected), "{script}: {}", daemon.stderr());
    }
    let mut place = Place::new();
    let mut daemon = place.run(&["run", "--", "no-such-program-at-all"], |_| {});
    assert_eq!(daemon.wait(), Some(127), "{}", daemon.stderr());
    assert!(daemon.stderr().contains("no-such-program-at-all"), "{}", daemon.stderr());
}

/// Without any config: predictions typed in Parquet, log lines as JSON lines, the last line without
/// its newline, standard error; and nothing is left to deliver.
#[test]
fn all_that_the_child_said_is_in_the_store() {
    let mut place = Place::new();
    let said = format!("echo '{}'; echo 'r-1 is slow' >&2; printf 'last words'", prediction("r-1"));
    let mut daemon = place.shell(&[], &said);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());

    let found = place.show("r-1");
    let found = found["found"].as_array().expect("a list");
    let row = found.iter().find(|event| event["tier"] == "prediction_logs").expect("a prediction");
    let file = row["file"].as_str().expect("a file");
    assert!(file.ends_with(".parquet"), "{file}");
    assert_eq!(row["fields"]["model_name"], "fraud_detector");
    assert_eq!(row["fields"]["features"]["amount"], 150.5);
    let slow = found.iter().find(|event| event["tier"] == "application_logs").expect("a line");
    assert!(slow["file"].as_str().expect("a file").ends_with(".jsonl"));

    let logs = place.jsonl("sidewake-data", "application_logs");
    let text: Vec<String> = logs.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text.iter().any(|line| line.contains("last words")), "{text:?}");
    assert!(text.iter().any(|line| line.contains("r-1 is slow") && line.contains("stderr")));
    let temporary = place.files("sidewake-data").into_iter();
    let is_part = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    let temporary: Vec<_> = temporary.filter(is_part).collect();
    assert!(temporary.is_empty(), "{temporary:?}");

    // Nothing is left: the next run delivers its own line alone.
    let mut daemon = place.shell(&[], "echo again");
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(place.jsonl("sidewake-data", "application_logs").len(), 3);
}

/// The child hears of the signal, says its last words and chooses the code.
#[test]
fn signals_reach_the_child() {
    for (signal, name, code) in [(Signal::TERM, "TERM", 3), (Signal::INT, "INT", 4)] {
        let mut place = Place::new();
        let script = format!(
            "trap 'echo farewell; exit {code}' {name}; : > up; while :; do sleep 0.02; done"
        );
        let mut daemon = place.shell(&[], &script);
        until("the child runs", || place.path("up").exists());
        daemon.signal(signal);
        assert_eq!(daemon.wait(), Some(code), "{}", daemon.stderr());
        let logs = place.jsonl("sidewake-data", "application_logs");
        assert!(logs.iter().any(|line| line.to_string().contains("farewell")), "{logs:?}");
    }
    // Others are passed on and end nobody.
    let mut place = Place::new();
    let script = "trap ': > hup' HUP; trap 'exit 5' USR1; : > up; while :; do sleep 0.02; done";
    let mut daemon = place.shell(&[], script);
    until("the child runs", || place.path("up").exists());
    daemon.signal(Signal::HUP);
    until("the child was told", || place.path("hup").exists());
    daemon.signal(Signal::USR1);
    assert_eq!(daemon.wait(), Some(5));
}

/// What holds the pipe after the child's end does not hold us.
#[test]
fn a_grandchild_does_not_keep_us() {
    let mut place = Place::new();
    let begun = Instant::now();
    let mut daemon = place.shell(&[], "echo parting; sleep 50 & echo $! > pid; exit 6");
    assert_eq!(daemon.wait(), Some(6));
    assert!(begun.elapsed() < Duration::from_secs(30));
    let pid = std::fs::read_to_string(place.path("pid")).expect("written");
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().expect("a number"));
    let _ = rustix::process::kill_process(pid.expect("a pid"), Signal::KILL);
    assert_eq!(place.jsonl("sidewake-data", "application_logs").len(), 1);
}

#[test]
fn echo_is_raw_protected_or_none() {
    let script = "echo mail ada@example.com; echo to bob@example.com >&2; printf tail";
    for (mode, on_stdout, on_stderr) in [
        (&["--echo", "raw"][..], Some("ada@example.com"), Some("bob@example.com")),
        (&["--echo", "none"], None, None),
        (&["--echo", "protected"], Some("mail "), Some("to ")),
        // Not on a terminal.
        (&[], Some("mail "), Some("to ")),
    ] {
        let mut place = Place::new();
        let mut daemon = place.shell(mode, script);
        assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
        let (out, err) = (daemon.stdout(), daemon.stderr());
        match on_stdout {
            Some(text) => assert!(out.contains(text) && out.contains("tail"), "{mode:?}: {out}"),
            None => assert_eq!(out, "", "{mode:?}"),
        }
        let said = err.lines().find(|line| line.starts_with("to "));
        assert_eq!(said.is_some(), on_stderr.is_some(), "{mode:?}: {err}");
        assert_eq!(out.contains("ada@"), mode == ["--echo", "raw"], "{mode:?}: {out}");
        assert_eq!(err.contains("bob@"), mode == ["--echo", "raw"], "{mode:?}: {err}");
    }
}

/// What a file says is no output of the child.
#[test]
fn only_the_child_is_repeated() {
    let script = "until [ -e go ]; do sleep 0.02; done; echo said by the child";
    let mut place = Place::with(&format!(
        "sources:\n  model: {{ type: exec, command: [sh, -c, '{script}'] }}\n  \
         logs: {{ type: file, include: [\"@/app.log\"] }}\n\
         sinks: {{ store: {{ type: files, path: \"@/data\" }} }}\n\
         spool: {{ type: disk, path: \"@/data/spool\" }}\n"
    ));
    place.append("app.log", "said by the file\n");
    let mut daemon = place.daemon(&["--echo", "protected"]);
    daemon.metrics_when("the file is read", |metrics| {
        metrics.get("sidewake_source_received_events_total{source=\"logs\"}") == 1.0
    });
    place.append("go", "");
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    assert_eq!(daemon.stdout(), "said by the child\n");
}

/// A reader of our output that is gone, or reads nothing, never stops the child.
#[test]
fn the_echo_blocks_nobody() {
    let n_lines = 20_000;
    let script = format!(
        "i=0; while [ $i -lt {n_lines} ]; do \
         echo \"a line that is long enough to fill a pipe soon $i\"; i=$((i+1)); done; : > done"
    );
    for (mode, is_closed) in
        [("raw", true), ("raw", false), ("protected", true), ("protected", false)]
    {
        let mut place = Place::new();
        let args = ["run", "--echo", mode, "--", "sh", "-c", &script];
        let mut daemon = place.run(&args, |command| {
            command.stdout(Stdio::piped());
        });
        let mut reader = daemon.child.stdout.take();
        if is_closed {
            drop(reader.take());
        }
        until("the child is through", || place.path("done").exists());
        assert_eq!(daemon.wait(), Some(0), "{mode} {is_closed}: {}", daemon.stderr());
        if let Some(mut reader) = reader {
            let mut said = String::new();
            reader.read_to_string(&mut said).expect("read");
            assert!(said.starts_with("a line that is long"), "{said}");
        }
        let n_kept = place.jsonl("sidewake-data", "application_logs").len();
        assert_eq!(n_kept, n_lines, "{mode} {is_closed}");
    }
}
