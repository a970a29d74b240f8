//! The label string of a stream: a closed set of names, sanitised, sorted, escaped, capped.
//!
//! Source: Loki limits (15 names without `service_name`, 1024-byte names, 2048-byte values),
//! Prometheus data model for names, PromQL string literals for escapes. One bad label string makes
//! Loki refuse a whole request, so nothing here passes unchecked.

use std::collections::BTreeMap;

use crate::event::origin::Origin;

/// `max_label_names_per_series`; Loki does not count `service_name`, we do.
const NAMES_MAX: usize = 15;
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 2048;

/// Each label of ours and the origin's attributes that fill it, the first found wins.
const FROM_ORIGIN: [(&str, &[&str]); 4] = [
    ("service_name", &["service.name"]),
    ("namespace", &["k8s.namespace.name", "service.namespace"]),
    ("container", &["k8s.container.name", "container.name"]),
    ("env", &["deployment.environment.name", "deployment.environment"]),
];
/// Names that a configured label never overrides: the sink's meaning hangs on them.
const OWN: [&str; 4] = ["tier", "stream", "backlog", "pod"];

/// What makes one stream of a route different from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamKind {
    /// Entries of the standard error stream.
    pub(super) stderr: bool,
    /// Entries that came late.
    pub(super) backlog: bool,
}

/// The pod that an origin names.
pub(super) fn pod(origin: &Origin) -> Option<&str> {
    origin.attribute("k8s.pod.name").or_else(|| origin.attribute("host.name"))
}

/// `{a="b", c="d"}` for entries of `origin`; `configured` is [`sanitised`].
pub(super) fn label_string(
    origin: &Origin,
    kind: StreamKind,
    tier: &str,
    configured: &[(String, String)],
) -> String {
    let mut set = BTreeMap::new();
    for (name, attributes) in FROM_ORIGIN {
        if let Some(value) = attributes.iter().find_map(|name| origin.attribute(name)) {
            set.insert(name, value);
        }
    }
    set.extend(configured.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    set.insert("tier", tier);
    set.insert("stream", if kind.stderr { "stderr" } else { &origin.stream });
    if kind.backlog {
        set.insert("backlog", "true");
        set.insert("pod", pod(origin).unwrap_or(&origin.source));
    }
    set.retain(|_, value| !value.is_empty());
    let mut out = String::from("{");
    for (name, value) in set {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push_str("=\"");
        escape(cut(value, VALUE_BYTES_MAX), &mut out);
        out.push('"');
    }
    out.push('}');
    out
}

/// Configured labels with legal names, without duplicates and names of ours, and no more of them
/// than leave room for ours.
pub(super) fn sanitised(labels: &[(String, String)]) -> Vec<(String, String)> {
    let room = NAMES_MAX - FROM_ORIGIN.len() - OWN.len();
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in labels {
        let name = sanitised_name(name);
        if OWN.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        // Overriding one of the origin's names takes no more room.
        let is_new = !FROM_ORIGIN.iter().any(|(own, _)| *own == name) && !kept.contains_key(&name);
        let n_new =
            kept.keys().filter(|key| !FROM_ORIGIN.iter().any(|(own, _)| own == key)).count();
        if !is_new || n_new < room {
            kept.insert(name, value.clone());
        }
    }
    kept.into_iter().collect()
}

/// `[a-zA-Z_][a-zA-Z0-9_]*` without the reserved `__` in front.
fn sanitised_name(name: &str) -> String {
    let mut out: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let n_underscores = out.len() - out.trim_start_matches('_').len();
    if n_underscores > 1 {
        out.drain(..n_underscores - 1);
    }
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out.truncate(NAME_BYTES_MAX);
    out
}

/// The longest head of `text` that is at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// PromQL's double-quoted form. Control characters other than newline become spaces.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            source: "model".into(),
            stream: "stdout".into(),
            attributes: [
                ("deployment.environment.name", "prod"),
                ("k8s.namespace.name", "ml"),
                ("k8s.pod.name", "fraud-0"),
                ("service.name", "fraud \"x\"\\y\nz"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            ..Origin::default()
        }
    }

    #[test]
    fn sorted_escaped_and_without_empty_values() {
        let live = StreamKind { stderr: false, backlog: false };
        assert_eq!(
            label_string(&origin(), live, "application_logs", &[]),
            r#"{env="prod", namespace="ml", service_name="fraud \"x\"\\y\nz", stream="stdout", tier="application_logs"}"#
        );
        let late = StreamKind { stderr: true, backlog: true };
        let configured = [("team".to_owned(), "risk".to_owned())];
        let bare = Origin { source: "model".into(), ..Origin::default() };
        assert_eq!(
            label_string(&bare, late, "t", &configured),
            r#"{backlog="true", pod="model", stream="stderr", team="risk", tier="t"}"#
        );
        let value = "é".repeat(2000);
        let wide = Origin { attributes: vec![("service.name".into(), value)], ..origin() };
        assert!(label_string(&wide, live, "t", &[]).len() < 2048 + 80);
    }

    #[test]
    fn configured_names_are_legal_and_few() {
        let pairs = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
        };
        let names = |labels: &[(String, String)]| -> Vec<_> {
            labels.iter().map(|(name, _)| name.clone()).collect()
        };
        for (given, kept) in [
            (
                &["model.version", "9lives", "__x", ""][..],
                &["_", "_9lives", "_x", "model_version"][..],
            ),
            (&["tier", "pod", "service_name"], &["service_name"]),
            (
                &["a", "b", "c", "d", "e", "f", "g", "h", "a", "env"],
                &["a", "b", "c", "d", "e", "env", "f", "g"],
            ),
        ] {
            assert_eq!(names(&sanitised(&pairs(given))), kept);
        }
    }
}
