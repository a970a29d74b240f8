//! Which names of which framework mean what: the alias table of `reference/ml.md` 2.3 for the
//! columns of the predictions table. A name is folded (lower case, without `.`, `_`, `-`) before it
//! is looked up, nested names are joined to a path, and where several members mean the same the
//! first of the table's order wins.
//!
//! Deliberately knows nothing of values: a member whose value does not fit its column stays with
//! the attributes ([`super::build`]).

mod names;
mod unit;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use names::{BATCHES, TABLE};
pub use unit::Unit;

use crate::sinks::json;

/// The column (or part of one) that a member fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "named as the columns of `Row`, which documents them")]
pub enum Role {
    RequestId,
    ClientRequestId,
    ParentRequestId,
    SessionId,
    TraceId,
    SpanId,
    Time,
    ModelName,
    ModelVersion,
    ModelDigest,
    ModelUri,
    Endpoint,
    Variant,
    Route,
    CodeVersion,
    FeatureSchemaHash,
    Features,
    FeatureCount,
    Payload,
    Prediction,
    PredictionLabel,
    PredictionValue,
    Confidence,
    ClassScores,
    Latency,
    Queue,
    Preprocess,
    Inference,
    Postprocess,
    FirstToken,
    Status,
    StatusCode,
    ErrorType,
    ErrorMessage,
    ContentType,
    PayloadBytes,
    OutlierScore,
    IsOutlier,
    Explanation,
    InputTokens,
    OutputTokens,
    FinishReasons,
    FeatureFlags,
    MissingFeatures,
    OutOfRange,
    UnseenCategories,
    TypeMismatches,
}

/// Number of roles.
pub const N_ROLES: usize = Role::TypeMismatches as usize + 1;

/// What a folded name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The role.
    pub role: Role,
    /// Position in the role's list; the lowest wins.
    pub rank: u8,
    /// The unit of a duration, where the name tells it.
    pub unit: Option<Unit>,
    /// The name always holds one element per item of a batch.
    pub batch: bool,
    /// The name holds a selection of the features, by its own word.
    pub sample: bool,
}

struct Table {
    aliases: HashMap<String, Alias>,
    /// Folded paths of objects that hold members with a role.
    prefixes: HashSet<String>,
}

static INDEX: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { aliases: HashMap::new(), prefixes: HashSet::new() };
    for &(role, names) in TABLE {
        for (rank, name) in names.iter().enumerate() {
            let batch = BATCHES.contains(name);
            let sample = *name == "feature_sample";
            let alias = Alias { role, rank: rank as u8, unit: None, batch, sample };
            table.aliases.entry(fold(name)).or_insert(alias);
            for (at, _) in name.match_indices('.') {
                table.prefixes.insert(fold(&name[..at]));
            }
        }
    }
    table
});

/// Every name of the table.
#[cfg(test)]
pub(super) fn every_name() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|(_, names)| names.iter().copied())
}

/// A name without what does not count in it.
pub(super) fn fold(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '.' | '_' | '-'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// What one member of an object of a known shape is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its meaning, if the table has its name.
    pub alias: Option<Alias>,
    /// Its folded path, if members below it may have a meaning.
    pub prefix: Option<&'static str>,
}

/// Looks the members of an object up, remembering the last few shapes: the lines of one logging
/// call have the same keys in the same order, and comparing them is cheaper than folding them.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The last one that was met first.
    shapes: Vec<Shape>,
}

/// The keys of objects at one folded path, and what they mean.
#[derive(Debug)]
struct Shape {
    prefix: String,
    keys: Vec<String>,
    /// What stands before the members' values.
    heads: Vec<String>,
    slots: Vec<Slot>,
}

/// Shapes that are remembered.
const N_SHAPES: usize = 16;
/// Objects with more members are not remembered: they are maps from ids, not shapes.
const N_KEYS: usize = 64;

impl Lookup {
    /// The [heads](json::head) that the next object at the folded path `prefix` is likely to have.
    pub(super) fn heads(&self, prefix: &str) -> &[String] {
        let last = self.shapes.iter().find(|shape| shape.prefix == prefix);
        last.map_or(&[], |shape| &shape.heads)
    }

    /// The slots of an object that had just the likely heads.
    pub(super) fn likely_slots(&self, prefix: &str) -> &[Slot] {
        let last = self.shapes.iter().find(|shape| shape.prefix == prefix);
        last.map_or(&[], |shape| &shape.slots)
    }

    /// The slots of an object at the folded path `prefix` whose members have these keys, in their
    /// order.
    pub fn slots<'k>(
        &mut self,
        prefix: &str,
        keys: impl ExactSizeIterator<Item = &'k str> + Clone,
    ) -> Cow<'_, [Slot]> {
        let same = |shape: &Shape| {
            shape.keys.len() == keys.len()
                && shape.prefix == prefix
                && shape.keys.iter().zip(keys.clone()).all(|(key, other)| key == other)
        };
        if let Some(found) = self.shapes.iter().position(same) {
            self.shapes[..=found].rotate_right(1);
            return Cow::Borrowed(&self.shapes[0].slots);
        }
        let slots: Vec<Slot> = keys.clone().map(|key| slot(prefix, key)).collect();
        if keys.len() > N_KEYS {
            return Cow::Owned(slots);
        }
        self.shapes.truncate(N_SHAPES - 1);
        let heads = keys.clone().map(json::head).collect();
        let keys = keys.map(str::to_owned).collect();
        self.shapes.insert(0, Shape { prefix: prefix.to_owned(), keys, heads, slots });
        Cow::Borrowed(&self.shapes[0].slots)
    }
}

fn slot(prefix: &str, key: &str) -> Slot {
    let path = prefix.to_owned() + &fold(key);
    let alias = INDEX.aliases.get(&path).copied().map(|alias| match unit_of(key) {
        Some((_, unit)) => Alias { unit: Some(unit), ..alias },
        None => alias,
    });
    let alias = alias.or_else(|| duration(prefix, key));
    let prefix = INDEX.prefixes.get(&path).map(String::as_str);
    Slot { alias, prefix }
}

/// `latency_ms`: a name of the table with a unit behind it.
fn duration(prefix: &str, key: &str) -> Option<Alias> {
    let (name, unit) = unit_of(key)?;
    let alias = INDEX.aliases.get(&(prefix.to_owned() + &fold(name)))?;
    let is_duration = Role::Latency as u8..=Role::FirstToken as u8;
    is_duration.contains(&(alias.role as u8)).then_some(Alias { unit: Some(unit), ..*alias })
}

/// Splits `latency_ms` or `latencyMs` into its name and its unit.
fn unit_of(key: &str) -> Option<(&str, Unit)> {
    let separated = key.rsplit_once(['_', '-', '.']);
    let separated =
        separated.and_then(|(name, word)| Some((name, Unit::parse(&word.to_ascii_lowercase())?)));
    separated.or_else(|| {
        let camel = ["Ms", "Us", "Ns", "Millis", "Micros", "Nanos", "Seconds"].into_iter();
        camel.into_iter().find_map(|word| {
            Some((key.strip_suffix(word)?, Unit::parse(&word.to_ascii_lowercase())?))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(prefix: &str, key: &str) -> Option<(Role, Option<Unit>)> {
        slot(prefix, key).alias.map(|alias| (alias.role, alias.unit))
    }

    #[test]
    fn names_fold_and_nest() {
        for key in ["request_id", "requestId", "RequestId", "request-id", "REQUEST.ID"] {
            assert_eq!(role("", key), Some((Role::RequestId, None)), "{key}");
        }
        assert_eq!(slot("", "eventMetadata").prefix, Some("eventmetadata"));
        assert_eq!(role("eventmetadata", "inferenceId"), Some((Role::RequestId, None)));
        assert_eq!(role("prediction", "score"), Some((Role::Confidence, None)));
        assert_eq!(role("", "event"), None);
    }

    #[test]
    fn durations_by_name() {
        for (key, expected) in [
            ("latency_ms", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("latencyMs", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("elapsed_seconds", Some((Role::Latency, Some(Unit::Seconds)))),
            ("duration", Some((Role::Latency, None))),
            ("inference_time_us", Some((Role::Inference, Some(Unit::Microseconds)))),
            ("execution_duration_ms", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("predict_ms", Some((Role::Inference, Some(Unit::Milliseconds)))),
            ("timestamp_ms", Some((Role::Time, Some(Unit::Milliseconds)))),
            ("confidence_ms", None),
            ("class", Some((Role::PredictionLabel, None))),
        ] {
            assert_eq!(role("", key), expected, "{key}");
        }
    }

    #[test]
    fn shapes_are_told_apart_by_every_key() {
        let mut lookup = Lookup::default();
        for _ in 0..2 {
            let mut first = |keys: [&str; 2]| lookup.slots("", keys.into_iter())[0].alias;
            assert!(first(["request_id", "a"]).is_some());
            assert!(first(["a", "request_id"]).is_none());
        }
        assert_eq!(lookup.shapes.len(), 2);
    }

    #[test]
    fn the_last_shape_is_the_likely_one() {
        let mut lookup = Lookup::default();
        assert!(lookup.heads("").is_empty() && lookup.likely_slots("").is_empty());
        for keys in [&["a", "request_id"][..], &["b"], &["a", "request_id"]] {
            let slots = lookup.slots("", keys.iter().copied()).into_owned();
            lookup.slots("prediction", ["c"].into_iter());
            let heads: Vec<String> = keys.iter().map(|key| format!("\"{key}\":")).collect();
            assert_eq!((lookup.heads(""), lookup.likely_slots("")), (&heads[..], &slots[..]));
        }
        for n in 0..2 * N_SHAPES {
            lookup.slots("", [&*n.to_string()].into_iter());
        }
        assert_eq!(lookup.shapes.len(), N_SHAPES);
    }
}
