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
//! - *A half is no batch*: items of a batch that was logged in two events have no ids of their own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::event::otlp::wire::{Field, Reader, push_bytes};
use crate::sinks::row::Row;
use crate::sinks::row::field::Shape;

/// Which half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Prediction,
}

impl Side {
    /// The half that `row` is, if it is one that can be found.
    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        let is_named = row.request_id_source.as_deref().is_some_and(|source| source != "generated");
        match &*row.record_kind {
            _ if !is_named || row.batch_size.is_some() => None,
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

/// The row of both halves.
fn join(request: &[u8], prediction: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.len() + prediction.len());
    let (mut requests, mut predictions) = (Runs::of(request), Runs::of(prediction));
    loop {
        let (of_left, of_right) = (requests.number(), predictions.number());
        let number = match (of_left, of_right) {
            (Some(left), Some(right)) => left.min(right),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return out,
        };
        push_both(number, requests.take(number), predictions.take(number), &mut out);
    }
}

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
    /// The value of the last one.
    value: &'a [u8],
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
        Some(Run { bytes, value: last.of(self.row) })
    }
}

/// What the whole says in one field.
fn push_both(number: u32, theirs: Option<Run<'_>>, ours: Option<Run<'_>>, out: &mut Vec<u8>) {
    let mut push = |run: Option<Run<'_>>| {
        if let Some(run) = run {
            out.extend_from_slice(run.bytes);
        }
    };
    let column = Row::SHAPES.get(number as usize - 1);
    let (name, is_list) = column.map_or(("", false), |(name, shape)| {
        (*name, matches!(shape, Shape::List(_) | Shape::Structs(_)))
    });
    match (name, theirs, ours) {
        ("record_kind", ..) => push_bytes(out, number, b"prediction"),
        ("attributes", Some(left), Some(right)) => {
            push_bytes(out, number, both(left.value, right.value).as_bytes());
        }
        _ if is_list => {
            push(theirs);
            push(ours);
        }
        (_, Some(_), None) => push(theirs),
        (_, Some(_), Some(_)) if OF_REQUEST.contains(&name) => push(theirs),
        _ => push(ours),
    }
}

/// The prediction's attributes, with those of the request as one of them.
fn both<'a>(request: &'a [u8], prediction: &'a [u8]) -> Cow<'a, str> {
    let (request, prediction) =
        (String::from_utf8_lossy(request), String::from_utf8_lossy(prediction));
    let inner = prediction.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match inner.map(str::trim) {
        Some("") => format!("{{\"request\":{request}}}").into(),
        Some(members) => format!("{{{members},\"request\":{request}}}").into(),
        None => prediction.into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_both() {
        for (request, prediction, whole) in [
            (r#"{"a":1}"#, r#"{"b":2}"#, r#"{"b":2,"request":{"a":1}}"#),
            (r#"{"a":1}"#, "{}", r#"{"request":{"a":1}}"#),
        ] {
            assert_eq!(both(request.as_bytes(), prediction.as_bytes()), whole);
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
