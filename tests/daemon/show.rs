//! `show`, `policy` and wrong calls as people meet them, beside a daemon that runs.

use super::exec::prediction;
use super::rig::{Place, until};

/// Two places that are not each other's parent, and a Loki that nobody listens at.
const APART: &str = r#"
sources: { model: { type: file, include: ["@/model.log"] } }
sinks:
  loki: { type: loki, endpoint: "http://127.0.0.1:9" }
  store: { type: files, path: "@/store", batch: { max_age: 1s } }
tiers:
  application_logs: { sinks: [loki] }
  prediction_logs: { sinks: [store] }
spool: { type: disk, path: "@/spool" }
"#;

/// A request is found wherever the config keeps it: in a file, and in the spool of a dead sink.
#[test]
fn show_looks_where_the_config_keeps() {
    let mut place = Place::with(APART);
    let mut daemon = place.daemon(&[]);
    let odd = r#"a "b" c\d/é*"#;
    let odd_line = prediction("ODD").replace("ODD", r#"a \"b\" c\\d/é*"#);
    place.append("model.log", &format!("{}\n{odd_line}\nr-1 is slow\n", prediction("r-1")));
    let show =
        |more: &[&str]| place.output(&[&["show", "--config", "sidewake.yaml"], more].concat());
    until("both are found, one of them in a file", || {
        let (code, out, _) = show(&["r-1", "--json"]);
        code == 0 && out.contains(".parquet") && out.contains("r-1 is slow")
    });
    let (_, out, err) = show(&["r-1", "--json"]);
    assert_eq!((out.matches('\n').count(), err.as_str()), (1, ""));
    let found: serde_json::Value = serde_json::from_str(&out).expect("one JSON object");
    let found = found["found"].as_array().expect("a list");
    let of_tier = |tier: &str| found.iter().find(|event| event["tier"] == tier).expect("found");
    assert!(of_tier("application_logs")["file"].is_null());
    assert!(of_tier("prediction_logs")["file"].as_str().expect("a file").contains("/store/"));

    let (code, page, err) = show(&[odd]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.starts_with(&format!("request {odd}\n")), "{page}");
    assert!(page.contains("model      fraud_detector v2.3.1\n"), "{page}");
    assert!(!page.contains("unknown"), "{page}");

    let (code, out, err) = show(&["r-2"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let said = "error: nothing is known of \"r-2\" in ";
    assert!(err.starts_with(said) && err.contains("/store, "), "{err}");

    // A file that is no file of ours any more costs a warning, and nothing of the rest.
    let file = place.files("store").pop().expect("a file");
    std::fs::write(file.with_file_name("00000000000000ff-0000000000000100.parquet"), "PAR1")
        .expect("written");
    let (code, out, err) = show(&["r-1"]);
    assert_eq!(code, 0);
    assert!(out.contains("r-1 is slow"), "{out}");
    assert_eq!(err.matches("warning: cannot read ").count(), 1, "{err}");
    daemon.kill();
}

/// What a wrong call says: one error, one hint that mends it, no empty line behind.
#[test]
fn wrong_calls_say_what_to_write() {
    let place = Place::new();
    std::fs::write(place.path("memory.yaml"), MEMORY).expect("written");
    for (call, code, said) in [
        (
            &["show", "r-1"][..],
            1,
            "error: there are no files of sidewake in ./sidewake-data\n\
             hint: Say where they are: sidewake show --data-dir DIR ID, or --config FILE.\n",
        ),
        (
            &["show", "r-1", "--config", "memory.yaml"],
            1,
            "error: this config keeps nothing on this machine\n\
             hint: Ask its sinks, or give it one of type \"files\".\n",
        ),
        (&["validate", "none.yaml"], 64, NO_FILE),
        (&["policy", "--config", "none.yaml"], 64, NO_FILE),
        (&["show", "r-1", "--config", "none.yaml"], 64, NO_FILE),
        (&["run", "--config", "none.yaml"], 64, NO_FILE),
    ] {
        assert_eq!(place.output(call), (code, String::new(), said.to_owned()), "{call:?}");
    }
}

const MEMORY: &str = "sources: { in: { type: stdin } }\nsinks: { out: { type: console } }\n\
                      spool: { type: memory }\n";
const NO_FILE: &str = "error: none.yaml: the config cannot be read: there is no such file\n\
                       hint: Give the path of a config file that sidewake may read.\n";

/// The matrix has a row for each field and tier that something feeds, and names the other tiers.
#[test]
fn the_policy_lists_what_can_be() {
    let place = Place::new();
    let (code, out, err) = place.output(&["policy"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("(detected email)         prediction_logs   mask     90 days\n"), "{out}");
    assert!(!out.lines().any(|line| line.contains("  metrics  ") || line.contains("  traces  ")));
    assert!(out.ends_with("Not listed, for no source feeds them: metrics, traces.\n"), "{out}");
    let (_, out, _) = place.output(&["policy", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let rows = rows.as_array().expect("a list");
    assert!(rows.iter().all(|row| row["tier"] != "metrics" && row["tier"] != "traces"));
    assert!(rows.iter().any(|row| row["tier"] == "prediction_logs"));
}
