//! What a field may be compared with: names, types, and the words of levels and kinds.

use super::lex::Place;
use super::parse::{Result, Value};
use super::{ConditionError, Field, Literal};
use crate::diagnostic::{closest, slip};
use crate::event::record::{Kind, Level};
use crate::pipeline::roles::Role;

pub(super) fn is_number(field: &Field) -> bool {
    use Role::{Confidence, FeatureCount, InputTokens, Latency, OutputTokens};
    matches!(field, Field::Role(Latency | Confidence | FeatureCount | InputTokens | OutputTokens))
}

pub(super) fn is_text(field: &Field) -> bool {
    use Role::{Logger, Message, ModelName, SpanId, TraceId};
    matches!(field, Field::Role(Message | Logger | ModelName | TraceId | SpanId))
}

pub(super) fn name_of(field: &Field) -> &str {
    match field {
        Field::Level => "level",
        Field::Kind => "kind",
        Field::Role(role) => role.as_str(),
        Field::Path(path) => path,
    }
}

/// Roles that a condition may name. Time is left out: it has no use in a keep rule.
fn named_roles() -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(|role| !matches!(role, Role::Time | Role::Level))
}

pub(super) fn named_field(name: &str, place: Place) -> Result<Field> {
    match name {
        "level" => return Ok(Field::Level),
        "kind" => return Ok(Field::Kind),
        _ => {}
    }
    if let Some(role) = named_roles().find(|role| role.as_str() == name) {
        return Ok(Field::Role(role));
    }
    let known = named_roles().map(Role::as_str).chain(["level", "kind"]);
    // A dot leads into an object, so it is no slip of the finger: `prediction.label` is a path.
    if name.len() >= 4
        && !name.contains('.')
        && let Some(meant) = slip(name, known)
    {
        let error = ConditionError::new(place, format!("there is no field \"{name}\""));
        return Err(error.hint(format!(
            "Did you mean \"{meant}\"? A key of that very name is written field(\"{name}\")."
        )));
    }
    Ok(Field::Path(name.into()))
}

pub(super) fn level_of(value: &Value) -> Result<Level> {
    let words = || Level::ALL.into_iter().skip(1).map(Level::as_str);
    let list = || words().collect::<Vec<_>>().join(", ");
    let Literal::Text(text) = &value.literal else {
        let error = ConditionError::new(value.place, "a level is compared with a word");
        return Err(error.hint(format!("Write one of these in quotes: {}.", list())));
    };
    let word = String::from_utf8_lossy(text);
    // `Level::parse` also knows glog's letters and Python's numbers; here a word reads better.
    match Level::parse(text) {
        Some(level) if text.len() > 2 => Ok(level),
        _ => {
            let error = ConditionError::new(value.place, format!("\"{word}\" is not a level"));
            Err(error.hint(match closest(&word, words()) {
                Some(meant) => format!("Did you mean \"{meant}\"? Levels: {}.", list()),
                None => format!("Levels: {}.", list()),
            }))
        }
    }
}

pub(super) fn kind_of(value: &Value) -> Result<Kind> {
    let words = || Kind::OF_LINES.into_iter().map(Kind::as_str);
    let list = || words().collect::<Vec<_>>().join(", ");
    let Literal::Text(text) = &value.literal else {
        let error = ConditionError::new(value.place, "a kind is compared with a word");
        return Err(error.hint(format!("Write one of these in quotes: {}.", list())));
    };
    let word = String::from_utf8_lossy(text);
    let kind = Kind::parse(&word).filter(|kind| Kind::OF_LINES.contains(kind));
    kind.ok_or_else(|| {
        let error = ConditionError::new(value.place, format!("\"{word}\" is not a kind"));
        error.hint(match closest(&word, words()) {
            Some(meant) => format!("Did you mean \"{meant}\"? Kinds: {}.", list()),
            None => format!("Kinds: {}.", list()),
        })
    })
}
