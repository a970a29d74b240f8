//! What a new config changes about a daemon that runs, and what it cannot change.
//!
//! Pure: compares two configs; `running` does what follows. What must not be interrupted (a child,
//! a pipe that a model writes to) and what is laid out on disk or bound once needs a new start, and
//! a config that changes it is refused whole, with all such changes named.

use crate::config::{Config, Tier, sinks, sources};

use super::sampling::is_wanted;

/// What is to be done. What changed is both gone and new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Sources that end.
    pub(super) sources_gone: Vec<String>,
    /// Sources that begin.
    pub(super) sources_new: Vec<String>,
    /// Routes that end: tier and sink.
    pub(super) routes_gone: Vec<(usize, String)>,
    /// Routes that begin.
    pub(super) routes_new: Vec<(usize, String)>,
}

/// Puts the tiers of `next` into the order in which `old` has them: their numbers are the spool's.
pub(super) fn align(next: &mut Config, old: &Config) {
    let place = |tier: &Tier| old.tiers.iter().position(|other| other.name == tier.name);
    next.tiers.sort_by_key(|tier| place(tier).unwrap_or(usize::MAX));
    let tiers = &next.tiers;
    next.spool.shares.sort_by_key(|(name, _)| tiers.iter().position(|tier| tier.name == *name));
}

/// What `next`, [aligned](align), changes about a daemon that runs by `old`.
///
/// # Errors
/// What needs a new start, as the config calls it.
pub(super) fn changes(old: &Config, next: &Config) -> Result<Changes, Vec<String>> {
    let mut fixed = fixed_parts(old, next);
    let mut changes = Changes::default();
    let is_same_service = old.service.attributes == next.service.attributes;
    for (name, source) in &old.sources {
        let now = find(&next.sources, name);
        if now == Some(source) && is_same_service {
            continue;
        }
        if !can_be_replaced(source) {
            fixed.push(format!("sources.{name}"));
        }
        changes.sources_gone.push(name.clone());
    }
    for (name, source) in &next.sources {
        let before = find(&old.sources, name);
        if before == Some(source) && is_same_service {
            continue;
        }
        if before.is_none_or(can_be_replaced) && !can_be_added(source) {
            fixed.push(format!("sources.{name}"));
        }
        changes.sources_new.push(name.clone());
    }
    if !fixed.is_empty() {
        return Err(fixed);
    }
    changes.routes_gone = routes_of(old, |tier, sink| !is_same_route(old, next, tier, sink));
    changes.routes_new = routes_of(next, |tier, sink| !is_same_route(next, old, tier, sink));
    Ok(changes)
}

fn fixed_parts(old: &Config, next: &Config) -> Vec<String> {
    let names = |config: &Config| -> Vec<String> {
        config.tiers.iter().map(|tier| tier.name.clone()).collect()
    };
    let windows = |config: &Config| -> Vec<_> {
        config.tiers.iter().map(|tier| (tier.name.clone(), tier.window)).collect()
    };
    let parts = [
        ("spool", old.spool != next.spool && names(old) == names(next)),
        ("memory.limit", old.memory_limit != next.memory_limit),
        ("admin.listen", old.admin != next.admin),
        ("the names of the tiers", names(old) != names(next)),
        ("echo", old.echo != next.echo),
        ("derive", old.derive != next.derive),
        ("tiers of kind sampling", is_wanted(old) != is_wanted(next)),
        ("sample.window", windows(old) != windows(next) && names(old) == names(next)),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part.to_owned()).collect()
}

/// Whether a source may end while its writer lives: files stay, and so does what is scraped; a pipe
/// without a reader ends the model that writes to it.
fn can_be_replaced(source: &sources::Source) -> bool {
    matches!(source, sources::Source::File(_) | sources::Source::Prometheus(_))
}

/// Whether a source may begin late: the model is started once, and our own input is read from the
/// beginning.
fn can_be_added(source: &sources::Source) -> bool {
    !matches!(source, sources::Source::Exec(_) | sources::Source::Stdin(_))
}

fn find<'a, T>(named: &'a [(String, T)], name: &str) -> Option<&'a T> {
    named.iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

fn routes_of(config: &Config, is_wanted: impl Fn(usize, &str) -> bool) -> Vec<(usize, String)> {
    let mut routes = Vec::new();
    for (index, tier) in config.tiers.iter().enumerate() {
        let sinks = tier.routes.iter().map(|route| &route.sink);
        routes
            .extend(sinks.filter(|sink| is_wanted(index, sink)).map(|sink| (index, sink.clone())));
    }
    routes
}

/// Whether `other` has the route of `config` too, and nothing differs that its sink is made of.
fn is_same_route(config: &Config, other: &Config, tier: usize, sink: &str) -> bool {
    let has_it = other.tiers[tier].routes.iter().any(|route| route.sink == sink);
    let (here, there) = (config.sink(sink), other.sink(sink));
    // Rows say the names of the rules that kept an event.
    let names_rules = matches!(here, Some(sinks::Sink::Files(_) | sinks::Sink::BigQuery(_)));
    has_it && here == there && (!names_rules || has_same_rules(config, other))
}

fn has_same_rules(one: &Config, other: &Config) -> bool {
    one.sample.keep == other.sample.keep && one.sample.rare == other.sample.rare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{env::Process, parse};

    const OLD: &str = "\
service: { name: fraud }
sources:
  logs: { type: file, include: [/var/log/a.log] }
  pipe: { type: fifo, path: /run/model }
sinks:
  loki: { type: loki, endpoint: 'http://127.0.0.1:3100' }
  other: { type: loki, endpoint: 'http://127.0.0.1:3101' }
tiers:
  application_logs: { retention: 30 days, sinks: [loki] }
  prediction_logs: { retention: 90 days, sinks: [loki, other] }
spool: { type: memory }
";

    fn config(edits: &[(&str, &str)]) -> Config {
        let mut text = OLD.to_owned();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        parse(&text, "test.yaml", &Process).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn compared(edits: &[(&str, &str)]) -> Result<Changes, Vec<String>> {
        let (old, mut next) = (config(&[]), config(edits));
        align(&mut next, &old);
        changes(&old, &next)
    }

    fn owned(routes: &[(usize, &str)]) -> Vec<(usize, String)> {
        routes.iter().map(|(tier, sink)| (*tier, (*sink).to_owned())).collect()
    }

    #[test]
    fn only_what_changed_is_touched() {
        let untouched = Changes::default();
        assert_eq!(compared(&[]).expect("the same"), untouched);
        assert_eq!(compared(&[("30 days", "7 days")]).expect("a time"), untouched);
        let moved = compared(&[(":3101", ":3102")]).expect("a sink");
        let routes = owned(&[(1, "other")]);
        let expected =
            Changes { routes_gone: routes.clone(), routes_new: routes, ..Changes::default() };
        assert_eq!(moved, expected);
        let fewer = compared(&[("[loki, other]", "[other]")]).expect("one less");
        assert_eq!((fewer.routes_gone, fewer.routes_new), (owned(&[(1, "loki")]), Vec::new()));
        let more = compared(&[("sinks: [loki] }", "sinks: [loki, other] }")]).expect("one more");
        assert_eq!((more.routes_gone, more.routes_new), (Vec::new(), owned(&[(0, "other")])));
        let files = compared(&[("a.log", "b.log")]).expect("files");
        assert_eq!(
            (files.sources_gone, files.sources_new),
            (vec!["logs".into()], vec!["logs".into()])
        );
    }

    #[test]
    fn tiers_in_another_order_are_the_same_tiers() {
        let first = "  application_logs: { retention: 30 days, sinks: [loki] }\n";
        let second = "  prediction_logs: { retention: 90 days, sinks: [loki, other] }\n";
        let swapped = [second, first].concat();
        let compared = compared(&[(&[first, second].concat(), &swapped)]);
        assert_eq!(compared.expect("the same"), Changes::default());
    }

    #[test]
    fn what_needs_a_new_start_is_refused_whole() {
        for (edits, parts) in [
            (&[("/run/model", "/run/other")][..], &["sources.pipe"][..]),
            (&[("name: fraud", "name: other")], &["sources.pipe"]),
            (&[("type: memory", "type: memory, max: 9MiB"), (":3101", ":3102")], &["spool"]),
            (
                &[("  prediction_logs: {", "  predictions: { kinds: [request, prediction],")],
                &["the names of the tiers"],
            ),
            (
                &[("spool:", "memory: { limit: 64MiB }\nadmin: { listen: off }\nspool:")],
                &["memory.limit", "admin.listen"],
            ),
            (&[("sinks:\n  loki", "  in: { type: stdin }\nsinks:\n  loki")], &["sources.in"]),
        ] {
            assert_eq!(compared(edits).expect_err("refused"), parts, "{edits:?}");
        }
    }
}
