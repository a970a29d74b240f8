//! The YAML document as a tree in which everything knows where it was written.
//!
//! Owns parsing (through serde-saphyr), the positions, duplicate keys, the expansion of environment
//! references in scalars and the hiding of secrets in what messages show. Deliberately knows
//! nothing of what may stand in a config; [`super::de`] reads typed values out of the tree.
//!
//! # Why
//! Reading typed values straight from the parser would be shorter, but serde stops at the first
//! error, and one run shall show all of them. It also loses positions wherever serde has to buffer
//! (`tag`, `flatten`, `untagged`), forces `type:` to be the first key of a component (Helm's
//! `toYaml` sorts keys), and leaves no way to point at a key or at one word of a condition
//! afterwards. The tree costs one small allocation per node of a file that is read once.

mod scalar;
mod secrets;
mod syntax;
mod yaml;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Source, closest};

use super::env::{self, BadReference, Env, ReferenceFault};

/// A parsed config file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) source: Source,
    pub(super) root: Node,
    /// Nodes that were reported and are read as if they were not there.
    skipped: BTreeSet<u32>,
}

/// A value and where it is.
#[derive(Debug)]
pub(super) struct Node {
    /// Unique in its document.
    pub(super) id: u32,
    span: Range<usize>,
    pub(super) value: Value,
}

/// What YAML can say.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar of any type: what it means is for the reader to say.
#[derive(Debug)]
pub(super) struct Scalar {
    /// Its text, with environment references replaced.
    pub(super) text: String,
    /// The variable that is part of the text. Such text is never shown.
    pub(super) variable: Option<String>,
}

/// One key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

/// One step from a node to a node in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Item(index)
    }
}

/// The steps to a place in the config: `steps!["tiers", name, "sinks", 0]`.
macro_rules! steps {
    ($($step:expr),* $(,)?) => { [$($crate::config::tree::Step::from($step)),*] };
}
pub(super) use steps;

impl Node {
    /// What to point at: a scalar itself, the beginning of anything longer.
    pub(super) fn span(&self) -> Range<usize> {
        if !self.span.is_empty() {
            return self.span.clone();
        }
        match &self.value {
            Value::Map(entries) => entries.first().map(|entry| entry.key_span.clone()),
            Value::List(items) => items.first().map(Node::span),
            Value::Null | Value::Scalar(_) => None,
        }
        .unwrap_or_else(|| self.span.clone())
    }

    /// What the node is, in a user's words.
    pub(super) fn noun(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl Document {
    /// Parses `text`. A syntax error is the only problem then, for nothing behind it is certain;
    /// duplicate keys and broken references come along with the tree.
    pub(super) fn parse(
        file: &str,
        text: &str,
        env: &dyn Env,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let source = Source::new(file, text);
        let root = match yaml::parse(&source) {
            Ok(root) => root,
            Err(problem) => return Err(vec![syntax::diagnose(source, &problem)]),
        };
        let mut document = Self { source, root, skipped: BTreeSet::new() };
        secrets::hide(&document.root, &mut document.source);
        let mut problems = Vec::new();
        document.drop_duplicates(&mut problems);
        document.expand(env, &mut problems);
        Ok((document, problems))
    }

    /// Whether `node` is to be read.
    pub(super) fn has(&self, node: &Node) -> bool {
        !self.skipped.contains(&node.id)
    }

    /// Reads the node `id` as absent from now on.
    pub(super) fn skip(&mut self, id: u32) {
        self.skipped.insert(id);
    }

    /// The entry or item at the end of `path`, with the span of its key if it has one.
    pub(super) fn find(&self, path: &[Step]) -> Option<(Option<&Range<usize>>, &Node)> {
        let mut found = (None, &self.root);
        for step in path {
            found = match (step, &found.1.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    let entry = entries.iter().find(|e| e.key == *key && self.has(&e.node))?;
                    (Some(&entry.key_span), &entry.node)
                }
                (Step::Item(index), Value::List(items)) => {
                    (None, items.iter().filter(|item| self.has(item)).nth(*index)?)
                }
                _ => return None,
            };
        }
        Some(found)
    }

    /// Whether nothing on the way to `path`, or below it, was skipped: what is not there then was
    /// never written.
    pub(super) fn is_whole(&self, path: &[Step]) -> bool {
        let mut node = &self.root;
        for step in path {
            if !self.has(node) {
                return false;
            }
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
                }
                (Step::Item(index), Value::List(items)) => items.get(*index),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return true,
            }
        }
        let mut whole = true;
        visit(node, &mut |node| whole &= self.has(node));
        whole
    }

    /// The keys of the map at `path` as written, with those that were skipped: a name whose
    /// definition is wrong is defined all the same.
    pub(super) fn keys(&self, path: &[Step]) -> Vec<&str> {
        match self.find(path).map(|(_, node)| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a section was reported that is spelled like `section`, which then is not there.
    pub(super) fn is_misspelled(&self, section: &str) -> bool {
        let Value::Map(entries) = &self.root.value else { return false };
        let meant = |key: &str| closest(key, [section]).is_some();
        entries.iter().any(|entry| meant(&entry.key) && !self.has(&entry.node))
    }

    /// The scalars at `path`, in which `*` stands for all items of a list: also those in items that
    /// were skipped for another reason.
    pub(super) fn scalars(&self, path: &[&str]) -> Vec<(&Node, &str)> {
        let mut nodes = vec![&self.root];
        for step in path {
            let below = nodes.into_iter().flat_map(|node| match &node.value {
                Value::List(items) if *step == "*" => items.iter().collect(),
                Value::Map(entries) if *step == "*" => {
                    entries.iter().map(|entry| &entry.node).collect()
                }
                Value::Map(entries) => {
                    let found = entries.iter().find(|entry| entry.key == *step);
                    found.map(|entry| &entry.node).into_iter().collect()
                }
                _ => Vec::new(),
            });
            nodes = below.collect();
        }
        nodes
            .into_iter()
            .filter(|node| self.has(node))
            .filter_map(|node| match &node.value {
                Value::Scalar(scalar) => Some((node, scalar.text.as_str())),
                _ => None,
            })
            .collect()
    }

    /// A problem with the value at `path`, or with what of the path there is.
    pub(super) fn at_value(&self, path: &[Step], message: impl Into<String>) -> Diagnostic {
        let span = self.nearest(path).map(|(_, node)| node.span());
        self.problem(span, message)
    }

    /// A problem with the key at the end of `path`, or with what of the path there is.
    pub(super) fn at_key(&self, path: &[Step], message: impl Into<String>) -> Diagnostic {
        let found = self.nearest(path);
        let span = found.map(|(key, node)| key.cloned().unwrap_or_else(|| node.span()));
        self.problem(span, message)
    }

    /// A problem with `len` bytes from `offset` in the text of the scalar `node`.
    pub(super) fn at_text(
        &self,
        node: &Node,
        (offset, len): (usize, usize),
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        let problem = self.problem(Some(self.within(node, offset, len)), message).with_hint(hint);
        self.conceal_in(node, problem)
    }

    /// `file:line:column` of the key at `path`.
    pub(super) fn locate(&self, path: &[Step]) -> Option<String> {
        let (key, node) = self.find(path)?;
        Some(self.source.locate(key.map_or_else(|| node.span().start, |span| span.start)))
    }

    /// A problem at `span`, or with the file as a whole.
    pub(super) fn problem(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Diagnostic {
        let place = span.map(|span| self.source.place(span));
        Diagnostic::new(self.source.name(), place, message)
    }

    /// A scalar as the file has it, with its quotes.
    pub(super) fn written(&self, node: &Node) -> &str {
        self.source.text().get(node.span()).unwrap_or_default()
    }

    /// Whether a comment follows the scalar `node` that stands without quotes on its line.
    pub(super) fn is_cut_by_comment(&self, node: &Node) -> bool {
        let behind = self.source.text().get(node.span().end..).unwrap_or_default();
        let is_plain = !self.written(node).starts_with(['"', '\'', '|', '>']);
        is_plain && behind.lines().next().is_some_and(|rest| rest.trim_start().starts_with('#'))
    }

    /// The problem with the scalar at `path`, free of what an environment variable put into it.
    pub(super) fn conceal(&self, path: &[Step], problem: Diagnostic) -> Diagnostic {
        match self.find(path) {
            Some((_, node)) => self.conceal_in(node, problem),
            None => problem,
        }
    }

    fn conceal_in(&self, node: &Node, problem: Diagnostic) -> Diagnostic {
        match &node.value {
            Value::Scalar(Scalar { text, variable: Some(name) }) => {
                secrets::conceal(problem, text, self.written(node), name)
            }
            _ => problem,
        }
    }

    fn nearest(&self, path: &[Step]) -> Option<(Option<&Range<usize>>, &Node)> {
        (1..=path.len()).rev().find_map(|len| self.find(&path[..len]))
    }

    /// The source of a part of a scalar's text; of the whole scalar where the text does not follow
    /// from the source character by character (a block, an environment reference).
    fn within(&self, node: &Node, offset: usize, len: usize) -> Range<usize> {
        let span = node.span();
        let Value::Scalar(scalar) = &node.value else { return span };
        match scalar::part(self.written(node), &scalar.text, offset, len) {
            Some(part) => span.start + part.start..span.start + part.end,
            None => span,
        }
    }

    /// Reports every key that stands twice in one map; the first one counts.
    fn drop_duplicates(&mut self, problems: &mut Vec<Diagnostic>) {
        let mut again = Vec::new();
        visit(&self.root, &mut |node| {
            let Value::Map(entries) = &node.value else { return };
            for (n, entry) in entries.iter().enumerate() {
                let first = entries[..n].iter().find(|before| before.key == entry.key);
                again.extend(first.map(|first| (entry, first)));
            }
        });
        let mut skipped = Vec::new();
        for (entry, first) in again {
            let message = format!("\"{}\" is defined twice", entry.key);
            let first = self.source.locate(first.key_span.start);
            problems.push(
                self.problem(Some(entry.key_span.clone()), message)
                    .with_note(format!("It is first defined at {first}."))
                    .with_hint("Give each its own name, or remove one of them."),
            );
            skipped.push(entry.node.id);
        }
        self.skipped.extend(skipped);
    }

    /// Replaces the environment references in all scalars.
    fn expand(&mut self, env: &dyn Env, problems: &mut Vec<Diagnostic>) {
        let mut bad = Vec::new();
        visit_mut(&mut self.root, &mut |node| {
            let Value::Scalar(scalar) = &mut node.value else { return };
            match env::expand(&scalar.text, env) {
                Ok(None) => {}
                Ok(Some(expanded)) => {
                    scalar.text = expanded.text;
                    scalar.variable = expanded.variable;
                }
                Err(reference) => bad.push((node.id, reference)),
            }
        });
        for (id, bad) in bad {
            let is_assumed = env.is_assumed() && matches!(bad.fault, ReferenceFault::Unset(_));
            // A reference in an entry that counts for nothing is not worth a second message.
            if self.skipped.insert(id) && !is_assumed {
                problems.push(self.bad_reference(id, bad));
            }
        }
    }

    fn bad_reference(&self, id: u32, bad: BadReference) -> Diagnostic {
        let mut span = None;
        visit(&self.root, &mut |node| {
            if node.id == id {
                span = Some(self.within(node, bad.offset, bad.len));
            }
        });
        let (message, hint) = match bad.fault {
            ReferenceFault::Unset(name) => (
                format!("environment variable \"{name}\" is not set"),
                match secrets::is_secret_name(&name) {
                    true => "Set it, or read the secret from a file: { file: /run/secrets/NAME }."
                        .to_owned(),
                    false => format!("Set it, or give a default: ${{{name}:-value}}."),
                },
            ),
            ReferenceFault::Open => (
                "\"${\" is not closed by \"}\"".to_owned(),
                "Write ${NAME} or ${NAME:-default}; $${ stands for the characters themselves."
                    .to_owned(),
            ),
            ReferenceFault::Name(name) => (
                format!("\"{name}\" is not the name of an environment variable"),
                "Write ${NAME} or ${NAME:-default}, with letters, digits and \"_\" in the name; \
                 $${ stands for the characters themselves."
                    .to_owned(),
            ),
        };
        self.problem(span, message).with_hint(hint)
    }
}

fn visit<'a>(node: &'a Node, see: &mut impl FnMut(&'a Node)) {
    see(node);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Map(entries) => entries.iter().for_each(|entry| visit(&entry.node, see)),
        Value::Null | Value::Scalar(_) => {}
    }
}

fn visit_mut(node: &mut Node, see: &mut impl FnMut(&mut Node)) {
    see(node);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| visit_mut(item, see)),
        Value::Map(entries) => entries.iter_mut().for_each(|e| visit_mut(&mut e.node, see)),
        Value::Null | Value::Scalar(_) => {}
    }
}

#[cfg(test)]
mod tests;
