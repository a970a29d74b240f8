//! Where conditions stand in a config, and from their errors to places in the file.

use crate::pipeline::condition::{Condition, ConditionError};

use super::resolve::Resolver;

/// `*` is every item of a list.
const PLACES: [&[&str]; 3] = [
    &["classify", "rules", "*", "when"],
    &["sample", "keep", "*"],
    &["derive", "rules", "*", "when"],
];

/// What follows of it looks like a mistake in the condition, and is none.
const CUT: &str = "To YAML, \" #\" begins a comment, and the condition ends before it.";
const IN_QUOTES: &str = "Put the whole condition in single quotes: 'message ~ \"retry #3\"'.";

impl Resolver<'_> {
    /// Compiles all conditions, and points into those that are wrong.
    pub(super) fn conditions(&mut self) {
        for (node, text) in PLACES.iter().flat_map(|place| self.document.scalars(place)) {
            let Err(error) = Condition::parse(text) else { continue };
            let ConditionError { offset, len, message, hint } = error;
            let problem = self.document.at_text(node, (offset, len), message, hint);
            let rest = text.get(offset..).filter(|rest| rest.len() == len);
            let is_open = rest.is_some_and(is_open_quote);
            self.problems.push(match is_open && self.document.is_cut_by_comment(node) {
                true => problem.with_hint(format!("{CUT} {IN_QUOTES}")),
                false => problem,
            });
        }
    }
}

/// Whether `part` begins with a quote that nothing closes.
fn is_open_quote(part: &str) -> bool {
    let mut chars = part.chars();
    match chars.next() {
        Some(quote @ ('"' | '\'')) => chars.next_back() != Some(quote),
        _ => false,
    }
}
