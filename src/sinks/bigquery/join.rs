//! The two halves of a request that came as two events: found by their request id, put together
//! into one row.
//!
//! Owns what a half is, and what the row of two halves says. How long a half waits for the other
//! is the encoder's to say, and where it waits the delivering loop's.
//!
//! # Why
//! - *Halves are joined as bytes*: both are rows already, of fields in ascending order, so the
//!   whole is a merge of two lists, whatever columns the table has.
//! - *The prediction is the row*: its id, its time and its fate. The request adds what only it
//!   knows: the features, what can be replayed, when it came in.
//! - *Nothing that both say differently is lost*: the prediction's word is in the column, the
//!   request's among the attributes, in the object `request`. But for what we say of an event
//!   ourselves (its id, when it was read, its sampling), which are the same for both or of no use
//!   twice.
//! - *A half is no batch*: items of a batch that was logged in two events have no ids of their own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::encode::push_json;
use crate::event::otlp::wire::{Field, Reader, push_bytes};
use crate::sinks::json;
use crate::sinks::row::Row;
use crate::sinks::row::field::{Leaf, Shape, Value};

/// Which half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Prediction,
}

impl Side {
    /// The half that `row` is, if it is one that can be found.
    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        match &*row.record_kind {
            _ if row.named_request_id().is_none() || row.batch_size.is_some() => None,
            "request_only" => Some(Self::Request),
            "prediction_only" => Some(Self::Prediction),
            _ => None,
        }
    }
}

/// A half that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    pub(super) side: Side,
    /// Its event, by number.
    pub(super) event: u32,
    pub(super) observed_ns: i64,
    /// Its row in [`Halves::bytes`].
    row: (usize, usize),
}

/// Those of one body.
#[derive(Debug, Default)]
pub(super) struct Halves {
    by_id: HashMap<Box<str>, Half>,
    bytes: Vec<u8>,
}

/// What became of a half that was offered.
pub(super) enum Met {
    /// It waits.
    Waits,
    /// The whole row, and the event of the other half.
    Joined(Vec<u8>, u32),
    /// One of the same side waits already: it is a row of its own.
    Twin,
}

impl Halves {
    /// Bytes of all rows that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Offers a half with its row.
    pub(super) fn offer(&mut self, id: &str, row: &[u8], half: (Side, u32, i64)) -> Met {
        let (side, event, observed_ns) = half;
        match self.by_id.entry(id.into()) {
            Entry::Vacant(place) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(row);
                place.insert(Half { side, event, observed_ns, row: (start, self.bytes.len()) });
                Met::Waits
            }
            Entry::Occupied(place) if place.get().side == side => Met::Twin,
            Entry::Occupied(place) => {
                let other = place.remove();
                let theirs = self.bytes.get(other.row.0..other.row.1).unwrap_or_default();
                let whole = match side {
                    Side::Prediction => join(theirs, row),
                    Side::Request => join(row, theirs),
                };
                Met::Joined(whole, other.event)
            }
        }
    }

    /// All that wait, in the order of their events.
    pub(super) fn take(&mut self) -> Vec<(Half, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.bytes);
        let with_row = |half: Half| (half, bytes[half.row.0..half.row.1].to_vec());
        let mut all: Vec<_> = self.by_id.drain().map(|(_, half)| with_row(half)).collect();
        all.sort_by_key(|(half, _)| half.event);
        all
    }
}

/// Fields of which the request knows more.
const OF_REQUEST: [&str; 5] =
    ["features", "feature_count", "features_complete", "replayable", "request_ts"];

/// Fields that we fill, and not the event.
const OURS: [&str; 13] = [
    "record_id",
    "row_index",
    "request_id_source",
    "event_ts",
    "ingest_ts",
    "ts_source",
    "classifier_rule",
    "sample_probability",
    "sample_weight",
    "sample_rule",
    "sample_threshold",
    "redaction_policy",
    "redaction_key_id",
];

/// The row of both halves.
fn join(request: &[u8], prediction: &[u8]) -> Vec<u8> {
    let mut whole = Whole {
        row: Vec::with_capacity(request.len() + prediction.len()),
        otherwise: Vec::new(),
        service: b"",
    };
    let (mut requests, mut predictions) = (Runs::of(request), Runs::of(prediction));
    loop {
        let (of_left, of_right) = (requests.number(), predictions.number());
        let number = match (of_left, of_right) {
            (Some(left), Some(right)) => left.min(right),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => break,
        };
        let (theirs, ours) = (requests.take(number), predictions.take(number));
        if number == ATTRIBUTES {
            whole.push_attributes(theirs, ours);
        } else {
            whole.push(number, theirs, ours);
        }
    }
    whole.push_attributes(None, None);
    whole.row
}

/// The number of the last column.
const ATTRIBUTES: u32 = Row::SHAPES.len() as u32;

/// A row, read field by field.
struct Runs<'a> {
    row: &'a [u8],
    reader: Reader<'a>,
    next: Option<Field>,
}

/// All fields of one number: they stand together.
#[derive(Clone, Copy)]
struct Run<'a> {
    bytes: &'a [u8],
    /// The last one, and the row that it is of.
    field: Field,
    row: &'a [u8],
}

impl<'a> Run<'a> {
    fn value(&self) -> &'a [u8] {
        self.field.of(self.row)
    }
}

impl<'a> Runs<'a> {
    fn of(row: &'a [u8]) -> Self {
        let mut runs = Self { row, reader: Reader::new(row, 0, row.len()), next: None };
        runs.advance();
        runs
    }

    fn advance(&mut self) {
        self.next = self.reader.read().ok().flatten();
    }

    fn number(&self) -> Option<u32> {
        self.next.map(|field| field.number())
    }

    /// Those of `number`, if they are next.
    fn take(&mut self, number: u32) -> Option<Run<'a>> {
        let first = self.next.filter(|field| field.number() == number)?;
        let mut last = first;
        self.advance();
        while let Some(field) = self.next.filter(|field| field.number() == number) {
            last = field;
            self.advance();
        }
        let bytes = self.row.get(first.at..last.end).unwrap_or_default();
        Some(Run { bytes, field: last, row: self.row })
    }
}

/// A row of two halves in the making.
struct Whole<'a> {
    row: Vec<u8>,
    /// Members of JSON: what the request said otherwise than the prediction.
    otherwise: Vec<u8>,
    /// The request's.
    service: &'a [u8],
}

impl<'a> Whole<'a> {
    /// What it says in one field.
    fn push(&mut self, number: u32, theirs: Option<Run<'a>>, ours: Option<Run<'_>>) {
        let column = Row::SHAPES.get(number as usize - 1);
        let (name, shape) = column.map_or(("", Shape::List(Leaf::Text)), |column| *column);
        if let (Some(theirs), "service") = (theirs, name) {
            self.service = theirs.value();
        }
        match (name, theirs, ours, shape) {
            ("record_kind", ..) => push_bytes(&mut self.row, number, b"prediction"),
            (.., Shape::List(_) | Shape::Structs(_)) => {
                self.copy(theirs);
                self.copy(ours);
            }
            (_, Some(_), None, _) => self.copy(theirs),
            (_, Some(_), Some(_), _) if OF_REQUEST.contains(&name) => self.copy(theirs),
            (_, theirs, ours, Shape::Leaf(leaf, _)) => {
                self.copy(ours);
                if let (Some(theirs), Some(ours)) = (theirs, ours)
                    && theirs.value() != ours.value()
                    && self.is_said(name, theirs)
                {
                    push_member(name, leaf, theirs, &mut self.otherwise);
                }
            }
        }
    }

    fn copy(&mut self, run: Option<Run<'_>>) {
        if let Some(run) = run {
            self.row.extend_from_slice(run.bytes);
        }
    }

    /// Whether the request itself says this: where it names no model, its service stands there.
    fn is_said(&self, name: &str, theirs: Run<'_>) -> bool {
        let is_filled_in =
            name == "model_name" && [self.service, b"unknown"].contains(&theirs.value());
        !is_filled_in && !OURS.contains(&name)
    }

    /// The prediction's attributes, with those of the request as one of them, and what that said
    /// otherwise. Where only the request has any, they are the row's.
    fn push_attributes(&mut self, theirs: Option<Run<'_>>, ours: Option<Run<'_>>) {
        let otherwise = std::mem::take(&mut self.otherwise);
        match (theirs, ours) {
            (None, None) if otherwise.is_empty() => {}
            (one, None) | (None, one) if otherwise.is_empty() => self.copy(one),
            _ => {
                let (theirs, ours) = (members_of(theirs), members_of(ours));
                let attributes = both(theirs, ours, &otherwise);
                push_bytes(&mut self.row, ATTRIBUTES, &attributes);
            }
        }
    }
}

/// A member of JSON, with a comma before it where it is not the first.
fn push_member(name: &str, leaf: Leaf, of: Run<'_>, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    json::write_string(out, name);
    out.push(b':');
    let (text, number) = (json::utf8(of.value()), of.field.number_in(of.row));
    match leaf {
        Leaf::Json => out.extend_from_slice(of.value()),
        Leaf::Text => push_json(out, Value::Text(&text)),
        Leaf::Integer | Leaf::Micros => push_json(out, Value::Integer(number.cast_signed())),
        Leaf::Double => push_json(out, Value::Double(f64::from_bits(number))),
        Leaf::Bool => push_json(out, Value::Bool(number != 0)),
    }
}

/// The members of the object that a field holds.
fn members_of<'a>(run: Option<Run<'a>>) -> &'a [u8] {
    run.and_then(|run| json::inside(run.value())).unwrap_or_default()
}

/// An object of the members of the prediction, and one of those of the request in it.
fn both(request: &[u8], prediction: &[u8], otherwise: &[u8]) -> Vec<u8> {
    let listed = |parts: [&[u8]; 2]| {
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b","[..])
    };
    let request = listed([request, otherwise]);
    let request = match request.is_empty() {
        true => Vec::new(),
        false => [b"\"request\":{", &request[..], b"}"].concat(),
    };
    [b"{", &listed([prediction, &request])[..], b"}"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_both() {
        for (request, prediction, otherwise, whole) in [
            (r#"{"a":1}"#, r#" {"b":2} "#, "", r#"{"b":2,"request":{"a":1}}"#),
            (r#"{"a":1}"#, "{}", r#""s":"x""#, r#"{"request":{"a":1,"s":"x"}}"#),
            ("", r#"{"b":2}"#, r#""s":"x""#, r#"{"b":2,"request":{"s":"x"}}"#),
            ("", r#"{"b":2}"#, "", r#"{"b":2}"#),
        ] {
            let of = |text: &'static str| json::inside(text.as_bytes()).unwrap_or_default();
            let found = both(of(request), of(prediction), otherwise.as_bytes());
            assert_eq!(String::from_utf8(found).as_deref(), Ok(whole));
        }
    }

    #[test]
    fn each_half_meets_one() {
        let mut halves = Halves::default();
        let request = |event| (Side::Request, event, 0);
        let prediction = |event| (Side::Prediction, event, 0);
        assert!(matches!(halves.offer("a", b"", request(0)), Met::Waits));
        assert!(matches!(halves.offer("a", b"", request(1)), Met::Twin));
        assert!(matches!(halves.offer("b", b"", prediction(2)), Met::Waits));
        assert!(matches!(halves.offer("a", b"", prediction(3)), Met::Joined(_, 0)));
        assert!(matches!(halves.offer("b", b"", request(4)), Met::Joined(_, 2)));
        assert!(matches!(halves.offer("a", b"", prediction(5)), Met::Waits));
        let left: Vec<u32> = halves.take().iter().map(|(half, _)| half.event).collect();
        assert_eq!(left, [5]);
    }
}
