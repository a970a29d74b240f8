//! The spans of a page as a tree: when each began, how long it took, and which of them failed.

use std::fmt::Write;

use super::printable;
use crate::sinks::json;
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
        let is_root = |index: &usize| {
            let parent = &nodes[*index].parent;
            nodes.iter().all(|other| other.id != *parent)
        };
        // Parents of each other have no root: the first of them begins.
        let roots = (0..nodes.len()).filter(is_root);
        let mut shown = vec![false; nodes.len()];
        for root in roots.chain(0..nodes.len()) {
            push_tree(&nodes, root, begun, &mut shown, out);
        }
        out.push('\n');
    }
}

/// Appends the span `root` and those below it that were not shown before.
fn push_tree(nodes: &[Node<'_>], root: usize, begun: i128, shown: &mut [bool], out: &mut String) {
    let mut open = vec![(root, 0)];
    while let Some((index, depth)) = open.pop() {
        if std::mem::replace(&mut shown[index], true) {
            continue;
        }
        let node = &nodes[index];
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
        let is_child = |index: &usize| nodes[*index].parent == node.id && !node.id.is_empty();
        open.extend((0..nodes.len()).rev().filter(is_child).map(|child| (child, depth + 1)));
    }
}
