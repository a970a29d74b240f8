//! The spans of a page as a tree: when each began, how long it took, and which of them failed.

use std::fmt::Write;

use super::printable;
use crate::sinks::files::json;
use crate::store::Found;

/// Deeper calls are not indented further.
const INDENT_MAX: usize = 20;

struct Node<'a> {
    event: &'a Found,
    id: String,
    parent: String,
    start_ns: i128,
    end_ns: i128,
}

impl<'a> Node<'a> {
    fn of(event: &'a Found) -> Self {
        let text = |name: &str| event.text_of(name).unwrap_or_default();
        let number = |name: &str| text(name).parse::<i128>();
        let start_ns = number("startTimeUnixNano").unwrap_or_else(|_| event.ts_ns.into());
        let end_ns = number("endTimeUnixNano").unwrap_or(start_ns);
        Self { event, id: text("spanId"), parent: text("parentSpanId"), start_ns, end_ns }
    }

    fn is_failed(&self) -> bool {
        let status = self.event.field("status").and_then(json::object);
        status.is_some_and(|members| {
            members.iter().any(|(key, value)| key == "code" && *value == "2")
        })
    }
}

/// Whether a found event is a span.
pub(super) fn is_span(event: &Found) -> bool {
    event.kind == "span"
}

/// A section for each trace among `spans`.
pub(super) fn push_traces(spans: &[&Found], out: &mut String) {
    let mut traces: Vec<(String, Vec<Node<'_>>)> = Vec::new();
    for event in spans {
        let trace = event.text_of("traceId").unwrap_or_default();
        match traces.iter_mut().find(|(known, _)| *known == trace) {
            Some((_, nodes)) => nodes.push(Node::of(event)),
            None => traces.push((trace, vec![Node::of(event)])),
        }
    }
    for (trace, mut nodes) in traces {
        nodes.sort_by_key(|node| (node.start_ns, node.id.clone()));
        // A span that was sent twice is one.
        nodes.dedup_by(|later, earlier| later.id == earlier.id);
        let plural = if nodes.len() == 1 { "" } else { "s" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "trace {} ({} span{plural})", printable(&trace), nodes.len());
        let begun = nodes.first().map_or(0, |node| node.start_ns);
        let is_root = |node: &&Node<'_>| nodes.iter().all(|other| other.id != node.parent);
        // Parents of each other have no root; such spans are shown at the end, flat.
        let mut shown = vec![false; nodes.len()];
        for root in nodes.iter().filter(is_root) {
            push_tree(&nodes, root, (begun, 0), &mut shown, out);
        }
        for (index, node) in nodes.iter().enumerate() {
            if !shown[index] {
                push_tree(&nodes, node, (begun, 0), &mut shown, out);
            }
        }
        out.push('\n');
    }
}

fn push_tree(
    nodes: &[Node<'_>],
    node: &Node<'_>,
    (begun, depth): (i128, usize),
    shown: &mut [bool],
    out: &mut String,
) {
    let place = nodes.iter().position(|other| std::ptr::eq(other, node));
    let Some(is_shown) = place.and_then(|place| shown.get_mut(place)) else { return };
    if std::mem::replace(is_shown, true) {
        return;
    }
    let ms = |ns: i128| ns as f64 / 1e6;
    let name = node.event.text_of("name").unwrap_or_default();
    let failed = if node.is_failed() { "  failed" } else { "" };
    let _ = writeln!(
        out,
        "  +{:<10} {:>10}  {}{}{failed}",
        format!("{:.3} ms", ms(node.start_ns - begun)),
        format!("{:.3} ms", ms(node.end_ns - node.start_ns)),
        "  ".repeat(depth.min(INDENT_MAX)),
        printable(&name),
    );
    for child in nodes.iter().filter(|other| other.parent == node.id && !node.id.is_empty()) {
        push_tree(nodes, child, (begun, depth + 1), shown, out);
    }
}
