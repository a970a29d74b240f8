//! Evaluation: true, false, or unknown where the event lacks a field.

use super::glob;
use super::{Field, FieldSource, Found, Literal, Node, Test};
use crate::event::record::Level;
use crate::pipeline::latency;
use crate::pipeline::roles::Role;
use crate::pipeline::roles::confidence;
use crate::pipeline::roles::token::{self, Token, Unescaped};

pub(super) fn eval(node: &Node, fields: &[Field], event: &dyn FieldSource) -> Option<bool> {
    match node {
        Node::And(nodes) => all_of(nodes, fields, event),
        Node::Or(nodes) => {
            let mut result = Some(false);
            for node in nodes {
                match eval(node, fields, event) {
                    Some(true) => return Some(true),
                    None => result = None,
                    Some(false) => {}
                }
            }
            result
        }
        Node::Not(node) => eval(node, fields, event).map(|holds| !holds),
        Node::Exists(at) => Some(exists(*at, fields, event)),
        Node::Test(test) => run(test, fields, event),
    }
}

fn all_of(nodes: &[Node], fields: &[Field], event: &dyn FieldSource) -> Option<bool> {
    let mut result = Some(true);
    for node in nodes {
        match eval(node, fields, event) {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}

/// A null is no value.
fn exists(at: u16, fields: &[Field], event: &dyn FieldSource) -> bool {
    match fields.get(usize::from(at)) {
        Some(Field::Level) => event.level() != Level::Unset,
        Some(field) => {
            event.value(usize::from(at), field).is_some_and(|found| !token::is_null(found.token))
        }
        None => false,
    }
}

fn run(test: &Test, fields: &[Field], event: &dyn FieldSource) -> Option<bool> {
    let find = |at: u16| {
        let field = fields.get(usize::from(at))?;
        Some((field, event.value(usize::from(at), field)?))
    };
    let level = || Some(event.level()).filter(|level| *level != Level::Unset);
    match test {
        Test::Level(order, bound) => Some(order.holds(level()?, *bound)),
        Test::LevelIn(levels) => Some(levels.contains(&level()?)),
        Test::KindIn(kinds) => Some(kinds.contains(&event.kind())),
        Test::Number(at, order, bound) => {
            let (field, found) = find(*at)?;
            Some(order.holds(number(field, found)?, *bound))
        }
        Test::Equal(at, literal) => {
            let (field, found) = find(*at)?;
            equal(field, found, literal)
        }
        Test::In(at, literals) => {
            let (field, found) = find(*at)?;
            let mut result = None;
            for literal in literals {
                match equal(field, found, literal) {
                    Some(true) => return Some(true),
                    Some(false) => result = Some(false),
                    None => {}
                }
            }
            result
        }
        Test::Like(at, pattern) => match Token::of(find(*at)?.1.token) {
            Token::Null => None,
            Token::Text(text) => Some(like(pattern, text)),
            _ => Some(like(pattern, token::text(find(*at)?.1.token))),
        },
    }
}

/// A number, in milliseconds where the field is a latency.
pub(in crate::pipeline) fn number(field: &Field, found: Found<'_>) -> Option<f64> {
    match field {
        Field::Role(Role::Latency) => latency::millis(found.token, found.key),
        Field::Role(Role::Confidence) => confidence::read(found.token, found.key),
        _ => token::number(found.token),
    }
}

/// Text equals a token's text, so `status == "500"` holds for a number 500 too; a number equals
/// what reads as that number. Null is unknown.
fn equal(field: &Field, found: Found<'_>, literal: &Literal) -> Option<bool> {
    let token = Token::of(found.token);
    match (literal, token) {
        (_, Token::Null) => None,
        (Literal::Number(wanted), _) => Some(number(field, found)? == *wanted),
        (Literal::Bool(wanted), Token::Bool(value)) => Some(value == *wanted),
        (Literal::Bool(wanted), Token::Text(text)) => {
            let word: &[u8] = if *wanted { b"true" } else { b"false" };
            Some(text.eq_ignore_ascii_case(word))
        }
        (Literal::Bool(_), _) => Some(false),
        (Literal::Text(wanted), Token::Text(text)) if text.contains(&b'\\') => {
            Some(Unescaped::new(text).eq(wanted.iter().copied()))
        }
        (Literal::Text(wanted), _) => Some(token::text(found.token) == &**wanted),
    }
}

fn like(pattern: &[u8], text: &[u8]) -> bool {
    if text.contains(&b'\\') {
        glob::matches(pattern, Unescaped::new(text))
    } else if glob::is_plain(pattern) {
        memchr::memmem::find(text, pattern).is_some()
    } else {
        glob::matches(pattern, text.iter().copied())
    }
}
