//! A destination that is sick: nothing is lost, the order stays, and nobody else notices.

use super::fake_loki::Act;
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Place, until};

const TIER: &str = "application_logs";

fn sick() -> impl Iterator<Item = Act> {
    std::iter::repeat_n(Act::Answer(503, "sick"), 100_000)
}

#[test]
fn an_outage_loses_nothing_and_keeps_the_order() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..2500);
    let mut daemon = place.daemon(&[]);
    place.append("model.log", &text(&all[..500]));
    until("lines before the outage", || loki.n_stored() >= 500);
    loki.fake.will(sick());
    for part in all[500..2000].chunks(500) {
        place.append("model.log", &text(part));
    }
    let during = daemon.metrics_when("retries", |metrics| {
        metrics.route("retries_total", TIER, "loki") >= 3
            && metrics.route("spooled_events", TIER, "loki") == 1500
    });
    during.assert_balanced();
    assert_eq!(during.route("events_total", TIER, "loki"), 2000);
    assert_eq!(
        during.get(&format!(
            "sidewake_route_state{{tier=\"{TIER}\",sink=\"loki\",state=\"retrying\"}}"
        )),
        1.0
    );
    loki.fake.recover();
    place.append("model.log", &text(&all[2000..]));
    until("all lines", || loki.n_stored() >= 2500);
    let after = daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("delivered_events_total", TIER, "loki") == 2500
    });
    after.assert_balanced();
    daemon.stop();
    loki.assert_exactly(&all);
}

/// 429 says when to come back, a closed connection and an answer that never comes say nothing.
#[test]
fn refusals_of_every_temporary_kind() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..200);
    loki.fake.will([
        Act::Later(429, "1".to_owned()),
        Act::CloseBeforeBody,
        Act::Answer(500, "broken"),
        Act::Answer(429, "ingestion rate limit exceeded"),
        Act::Answer(502, "<html>gateway</html>"),
    ]);
    let begun = std::time::Instant::now();
    let mut daemon = place.daemon(&[]);
    place.append("model.log", &text(&all));
    until("all lines", || loki.n_stored() >= 200);
    assert!(begun.elapsed().as_millis() >= 1000, "came back before the time it was given");
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("delivered_events_total", TIER, "loki") == 200
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "loki"), 0);
    assert!(metrics.route("retries_total", TIER, "loki") >= 5);
    daemon.stop();
    loki.assert_exactly(&all);
}

/// Loki stores what it can of a push and refuses the rest with 400: the rest is counted and kept.
#[test]
fn what_is_refused_for_good_ends_in_the_dead_letters() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let mut all = lines(0..100);
    // Older than Loki takes, not so old that it must be a mistake.
    let past = time::OffsetDateTime::now_utc() - time::Duration::days(10);
    let past = past.format(&time::format_description::well_known::Rfc3339).expect("printed");
    for n in [10, 50, 99] {
        all[n] = format!(r#"{{"ts":"{past}","event":"from the past","n":{n}}}"#);
    }
    place.append("model.log", &text(&all));
    let mut daemon = place.daemon(&[]);
    let metrics = daemon.metrics_when("all is settled", |metrics| {
        metrics.route("events_total", TIER, "loki") == 100
            && metrics.route("spooled_events", TIER, "loki") == 0
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("delivered_events_total", TIER, "loki"), 97);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "loki"), 3);
    let (_, status) = daemon.get("/status");
    assert!(status.contains("too old"), "{status}");
    daemon.stop();
    assert_eq!(loki.n_stored(), 97);
    let letters = place.path(&format!("spool/dead-letters/{TIER}-loki"));
    let mut found = Vec::new();
    for letter in sidewake::deliver::dead_letters::Reader::open(&letters).expect("letters") {
        let letter = letter.expect("sound");
        let reason = letter.origin.attribute(sidewake::deliver::dead_letters::REASON);
        assert!(reason.expect("a reason").contains("too old"), "{reason:?}");
        let texts = letter.events().map(|event| String::from_utf8_lossy(event.bytes).into_owned());
        found.extend(texts);
    }
    assert_eq!(found, [10, 50, 99].map(|n: usize| all[n].clone()));
    let (code, printed, _) = place.output(&["spool", "dead-letters", "spool"]);
    assert_eq!((code, printed.lines().count()), (0, 3));
    for (line, text) in printed.lines().zip(&found) {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["tier"], &line["sink"]), (&TIER.into(), &"loki".into()));
        assert_eq!(line["text"], text.as_str());
        assert!(line["reason"].as_str().expect("words").contains("too old"), "{line}");
    }
    assert_eq!(place.output(&["spool", "dead-letters", "elsewhere"]).0, 1);
}

/// Two sinks on one tier: the one that is dead holds up neither the other nor the model.
#[test]
fn a_dead_sink_is_alone_with_it() {
    let loki = Loki::start();
    loki.fake.will(sick());
    let store = "  store: { type: files, path: \"@/store\", batch: { max_age: 50ms } }\n";
    let both = format!(
        "tiers: {{ {TIER}: {{ retention: 30 days, sinks: [loki, store] }}, \
         prediction_logs: {{ retention: 90 days, sinks: [store] }}, \
         metrics: {{ retention: 1 year, sinks: [store] }}, \
         traces: {{ retention: 7 days, sinks: [store] }} }}\n"
    );
    let config = config(&loki).replace("spool:", &format!("{store}spool:")) + &both;
    let mut place = Place::with(&config);
    let all = lines(0..1000);
    let mut daemon = place.daemon(&[]);
    place.append("model.log", &text(&all));
    until("the store has all", || place.jsonl("store", TIER).len() >= 1000);
    assert_eq!(loki.n_stored(), 0);
    let metrics = daemon.metrics_when("the store's route is through", |metrics| {
        metrics.route("delivered_events_total", TIER, "store") == 1000
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("spooled_events", TIER, "loki"), 1000);
    loki.fake.recover();
    until("Loki has all", || loki.n_stored() >= 1000);
    daemon.metrics().assert_balanced();
    daemon.stop();
    loki.assert_exactly(&all);
    assert_eq!(place.jsonl("store", TIER).len(), 1000);
}
