//! What a config resolves to: defaults, inheritance, routes.

use std::io;

use super::protect::{Action, Bucket, DetectAction, Detector};
use super::sinks::Sink;
use super::sources::Source;
use super::tiers::{Features, Signal, WhenFull};
use super::*;

/// Variables by name; files hold their own path, repeated to the length of a key.
struct World(&'static [(&'static str, &'static str)]);

impl Env for World {
    fn var(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(format!("{}\n", path.display().to_string().repeat(32)).into_bytes())
    }
}

fn resolve(text: &str) -> Config {
    parse(text, "t.yaml", &World(&[])).unwrap_or_else(|problems| {
        panic!("{}", crate::diagnostic::render_all(&problems, Default::default()))
    })
}

/// Each tier with its sinks: `metrics: a b`.
fn routes(config: &Config) -> Vec<String> {
    let sinks =
        |tier: &Tier| tier.routes.iter().map(|r| format!(" {}", r.sink)).collect::<String>();
    config.tiers.iter().map(|tier| format!("{}:{}", tier.name, sinks(tier))).collect()
}

const STDIN: &str = "sources: { in: { type: stdin } }\n";

/// Without a file, everything goes to the embedded store, and nothing has to be said.
#[test]
fn embedded() {
    let command = vec!["python".to_owned(), "serve.py".to_owned()];
    let config = Config::embedded(command.clone(), &World(&[])).expect("it needs nothing");
    assert!(matches!(&config.sources[..], [(name, Source::Exec(exec))]
        if name == "model" && exec.command == command));
    let tiers = ["application_logs", "prediction_logs", "metrics", "traces"];
    assert_eq!(routes(&config), tiers.map(|tier| format!("{tier}: embedded")));
    assert!(matches!(&config.sinks[..], [(_, Sink::Files(files))]
        if files.path == Path::new("./sidewake-data")));
    assert_eq!(config.spool.path, Some("./sidewake-data/spool".into()));
    assert_eq!(config.memory_limit, ByteSize::mib(32));
    assert_eq!(config.service.name, "unknown_service");
    for tier in &config.tiers {
        assert_eq!(tier.detect.len(), Detector::ALL.len());
        assert!(tier.detect.iter().all(|(_, action)| *action == DetectAction::Mask));
    }
    let days: Vec<String> = config.tiers.iter().map(|tier| tier.retention.to_string()).collect();
    assert_eq!(days, ["30 days", "90 days", "1 year", "7 days"]);
    assert!(Config::embedded(Vec::new(), &World(&[])).is_err());
}

/// A file without sinks is the embedded store too; `$STATE_DIRECTORY` and `--data-dir` move it.
#[test]
fn data_dir() {
    let systemd = World(&[("STATE_DIRECTORY", "/var/lib/sidewake:/var/lib/other")]);
    let config = parse(STDIN, "t.yaml", &systemd).expect("it is fine");
    assert_eq!(config.spool.path, Some("/var/lib/sidewake/spool".into()));
    assert_eq!(config.data_dir, Path::new("/var/lib/sidewake"));

    let overrides =
        Overrides { data_dir: Some("/d".into()), echo: Some(Echo::None), command: None };
    let config = parse_with(STDIN, "t.yaml", &systemd, &overrides).expect("it is fine");
    assert_eq!((config.data_dir, config.echo), ("/d".into(), Some(Echo::None)));
    assert_eq!(config.spool.path, Some("/d/spool".into()));
}

/// One sink leaves no doubt where tiers go; it gets those that it can take.
#[test]
fn one_sink_takes_all_it_can() {
    let loki = "sinks: { loki: { type: loki, endpoint: \"http://loki:3100/\" } }\n";
    let config = resolve(&format!("{STDIN}{loki}"));
    assert_eq!(routes(&config), ["application_logs: loki", "prediction_logs: loki"]);
    let Sink::Loki(loki) = &config.sinks[0].1 else { panic!("it is a Loki") };
    assert_eq!(loki.endpoint.as_str(), "http://loki:3100");
    let push = "http://loki:3100/loki/api/v1/push";
    assert_eq!(loki.endpoint.join("/loki/api/v1/push"), push);
}

/// Every kind has exactly one tier, whoever asks for it.
#[test]
fn kinds_move_to_the_tier_that_names_them() {
    let config = resolve(&format!(
        "{STDIN}tiers: {{ audit: {{ kinds: [prediction, model] }}, application_logs: {{}} }}\n"
    ));
    let kinds: Vec<_> = config.tiers.iter().map(|t| (t.name.as_str(), t.kinds.clone())).collect();
    assert_eq!(
        kinds,
        [
            ("audit", vec![Kind::Prediction, Kind::Model]),
            ("application_logs", vec![Kind::Application, Kind::Data]),
            ("prediction_logs", vec![Kind::Request]),
            ("metrics", vec![]),
            ("traces", vec![]),
        ]
    );
    assert_eq!(config.tiers[0].retention, HumanDuration::days(30));
    assert_eq!(config.tiers[0].signal, Signal::Logs);
}

/// A tier's own word wins over that of `protect`, field by field and detector by detector.
#[test]
fn tiers_inherit_protection() {
    let config = resolve(
        "sources: { in: { type: stdin } }\n\
         protect:\n  key: { file: /k }\n  detect: [email, phone]\n  on_detect: { email: hash }\n  \
         fields: { password: drop, name: hash, born: { bucket: year } }\n\
         tiers:\n  prediction_logs: { fields: { name: keep }, detect: [jwt], on_detect: drop, \
         features: { sample: 5 } }\n  application_logs: { features: [age] }\n",
    );
    let [prediction, application, ..] = &config.tiers[..] else { panic!("two at least") };
    let year = Action::Bucket(Bucket::Year);
    let own = [("name", Action::Keep), ("password", Action::Drop), ("born", year)];
    assert_eq!(prediction.fields, own.map(|(name, action)| (name.to_owned(), action)));
    assert_eq!(prediction.detect, [(Detector::Jwt, DetectAction::Drop)]);
    assert!(matches!(prediction.features, Features::Sample(n) if n.get() == 5));
    assert_eq!(application.fields.len(), 3);
    let inherited = [(Detector::Email, DetectAction::Hash), (Detector::Phone, DetectAction::Mask)];
    assert_eq!(application.detect, inherited);
    assert_eq!(application.features, Features::Only(vec!["age".to_owned()]));
}

#[test]
fn the_key_comes_from_its_file() {
    let config =
        resolve("sources: { in: { type: stdin } }\nprotect: { key: { file: /run/key } }\n");
    let want = Keyring::parse("/run/key".repeat(32).as_bytes()).expect("a key");
    let key = config.key.as_ref().expect("there is a key");
    assert_eq!(key.key_id(), want.key_id(), "without the file's newline");
    assert!(!format!("{config:?}").contains("/run/key/run/key"), "a key in a debug print");
}

/// Every tier has a part of the spool, whether it is written or not.
#[test]
fn shares_of_the_spool() {
    let config = resolve(&format!(
        "{STDIN}spool: {{ type: memory, shares: {{ prediction_logs: 40%, metrics: 0.2 }} }}\n"
    ));
    assert_eq!((config.spool.path, config.spool.max), (None, ByteSize::mib(64)));
    let shares: Vec<_> = config.spool.shares.iter().map(|(t, s)| (t.as_str(), *s)).collect();
    let sum = 0.4 + 0.2;
    let rest = 1.0 - sum - 0.01;
    let want =
        [("application_logs", rest), ("prediction_logs", 0.4), ("metrics", 0.2), ("traces", 0.01)];
    assert_eq!(shares, want);

    // Nothing feeds metrics and traces: the room is for the others.
    let config = resolve(STDIN);
    let shares: Vec<f64> = config.spool.shares.iter().map(|(_, share)| *share).collect();
    assert_eq!(shares, [0.49, 0.49, 0.01, 0.01]);
    // What is left may be less than that.
    let most = "application_logs: 50%, prediction_logs: 49.5%";
    let config = resolve(&format!("{STDIN}spool: {{ type: disk, shares: {{ {most} }} }}\n"));
    let shares: f64 = config.spool.shares.iter().map(|(_, share)| *share).sum();
    assert!(shares <= 1.0 && config.spool.shares.iter().all(|(_, share)| *share > 0.0));
}

#[test]
fn routes_say_what_happens_when_full() {
    let config = resolve(
        "sources: { in: { type: stdin } }\n\
         sinks: { a: { type: console }, b: { type: files, path: /b } }\n\
         tiers:\n  application_logs: { sinks: [a, { name: b, when_full: block }] }\n  \
         prediction_logs: { sinks: [{ name: b }] }\n",
    );
    let full = |tier: usize, route: usize| config.tiers[tier].routes[route].when_full;
    assert_eq!((full(0, 0), full(0, 1)), (WhenFull::DropOldest, WhenFull::Block));
    assert_eq!(full(1, 0), WhenFull::DropOldest);
    assert_eq!(config.tiers.len(), 2, "with two sinks, tiers are as they are written");
}

/// From the file, else OpenTelemetry's variables, else the downward API.
#[test]
fn service_attributes() {
    let env = World(&[
        ("OTEL_SERVICE_NAME", "from-otel"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.version=v9,team=a%2Cb,service.name=no"),
        ("POD_NAME", "pod-1"),
    ]);
    let config = parse(STDIN, "t.yaml", &env).expect("it is fine");
    assert_eq!(config.service.name, "from-otel");
    assert_eq!(config.service.version.as_deref(), Some("v9"));
    let text = format!("service: {{ name: x, attributes: {{ team: b }} }}\n{STDIN}");
    let config = parse(&text, "t.yaml", &env).expect("it is fine");
    let want = [
        ("k8s.pod.name", "pod-1"),
        ("service.name", "x"),
        ("service.version", "v9"),
        ("team", "b"),
    ];
    let got: Vec<_> =
        config.service.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(got, want);
}

/// The command line's command is a source among others; two exec sources are a mistake.
#[test]
fn a_command_beside_a_config() {
    let overrides = |command: &str| Overrides {
        command: Some(command.split(' ').map(str::to_owned).collect()),
        ..Overrides::default()
    };
    let config = parse_with("", "t.yaml", &World(&[]), &overrides("a b")).expect("it is fine");
    assert_eq!(config.sources.len(), 1);
    let config = parse_with(STDIN, "t.yaml", &World(&[]), &overrides("a b")).expect("it is fine");
    assert_eq!(config.sources[1].0, "model");
    for text in
        ["sources: { x: { type: exec, command: [b] } }", "sources: { model: { type: stdin } }"]
    {
        let problems = parse_with(text, "t.yaml", &World(&[]), &overrides("a")).expect_err(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

/// `type` may stand anywhere: tools sort keys.
#[test]
fn type_may_stand_anywhere() {
    let config = resolve("sources: { in: { max_line: 1MiB, type: stdin, traceback: off } }\n");
    let (_, source) = &config.sources[0];
    assert_eq!((source.max_line(), source.traceback()), (ByteSize::mib(1), false));
    assert_eq!(source.type_name(), "stdin");
}

/// Whatever is in a file, it is refused or taken; nothing panics.
#[test]
fn any_text_is_survived() {
    use proptest::prelude::*;
    let word = prop_oneof![
        Just("sources"),
        Just("sinks"),
        Just("tiers"),
        Just("protect"),
        Just("type"),
        Just("loki"),
        Just("exec"),
        Just("file"),
        Just("fields"),
        Just("kinds"),
        Just("labels"),
        Just("spool"),
        Just("features"),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(": "),
        Just(", "),
        Just("\n"),
        Just("\n  "),
        Just("- "),
        Just("${"),
        Just("}"),
        Just("\""),
        Just("'"),
        Just("ü"),
        Just("10%"),
        Just("&a "),
        Just("*a"),
        Just("|\n  "),
        Just("<<"),
        Just("\t"),
    ];
    let text = proptest::collection::vec(word, 0..40).prop_map(|words| words.concat());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2_000));
    let run = |text: String| {
        if let Err(problems) = parse(&text, "t.yaml", &World(&[])) {
            prop_assert!(!crate::diagnostic::render_all(&problems, Default::default()).is_empty());
        }
        Ok(())
    };
    runner.run(&text, run).unwrap_or_else(|failure| panic!("{failure}"));
}
