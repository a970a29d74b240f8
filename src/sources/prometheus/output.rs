//! Requests of OTLP, written a point at a time, none of them much larger than [`REQUEST_BYTES`].
//!
//! Owns how series are parted into resources (`job` and `instance`) and metrics, and the form that
//! [`crate::event::otlp::prometheus`] agrees on. Decides nothing of what a point holds.

use std::collections::HashMap;

use crate::event::otlp::prometheus::{FamilyType, NO_RECORDED_VALUE, TYPE_KEY};
use crate::event::otlp::read::CUMULATIVE;
use crate::event::otlp::wire::{
    self, kind, push_bytes, push_fixed64, push_message, push_number, push_text, tag, varint_len,
};
use crate::event::otlp::write::push_attribute;

/// A request is cut behind the point that makes it so large: enough to be packed well, little
/// beside the memory's limit, and far below what a frame of the spool and `ITEMS_MAX` allow.
const REQUEST_BYTES: usize = 1 << 20;
/// The scope that series are told under.
const SCOPE: &[u8] = b"sidewake";
/// The resource's names for `job` and `instance`.
const JOB: &str = "service.name";
const INSTANCE: &str = "service.instance.id";
/// It would become a part of the job.
const NAMESPACE: &str = "service.namespace";

/// What kind of points a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge = 5,
    Sum = 7,
    Histogram = 9,
    Exponential = 10,
    Summary = 11,
}

impl Shape {
    pub(super) const ALL: [Shape; 5] =
        [Shape::Gauge, Shape::Sum, Shape::Histogram, Shape::Exponential, Shape::Summary];

    /// The field of a point that holds an attribute.
    pub(super) fn attribute(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 7,
            Self::Histogram => 9,
            Self::Exponential => 1,
        }
    }

    fn flags(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 8,
            Self::Histogram | Self::Exponential => 10,
        }
    }
}

/// What stands in front of a metric's points, encoded.
pub(super) fn push_head(
    out: &mut Vec<u8>,
    name: &str,
    (help, unit): (&str, &str),
    family_type: FamilyType,
) {
    push_text(out, 1, name.as_bytes());
    for (number, text) in [(2, help), (3, unit)] {
        if !text.is_empty() {
            push_text(out, number, text.as_bytes());
        }
    }
    push_message(out, 12, |out| push_attribute(out, TYPE_KEY, family_type.as_str()));
}

/// Where a point belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'b> {
    /// `job` and `instance`.
    pub(super) who: (&'b str, &'b str),
    pub(super) shape: Shape,
    /// See [`push_head`].
    pub(super) head: &'b [u8],
}

/// What is written.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Attributes of every resource.
    shared: Vec<(String, String)>,
    places: Vec<Place>,
    place_of: HashMap<(String, String), usize>,
    /// In all places.
    n_bytes: usize,
    requests: Vec<Vec<u8>>,
}

/// The metrics of one resource.
#[derive(Debug)]
struct Place {
    who: (String, String),
    /// `ScopeMetrics.metrics`, whole ones.
    metrics: Vec<u8>,
    /// The metric that is written: its head, its shape, its points.
    head: Vec<u8>,
    shape: Shape,
    points: Vec<u8>,
}

impl Place {
    fn close(&mut self) {
        if self.points.is_empty() {
            return;
        }
        let Self { metrics, head, shape, points, .. } = self;
        let mut behind = Vec::new();
        if matches!(shape, Shape::Sum | Shape::Histogram | Shape::Exponential) {
            push_number(&mut behind, 2, CUMULATIVE);
        }
        if *shape == Shape::Sum {
            push_number(&mut behind, 3, 1);
        }
        // Lengths are known: nothing so large is moved to make room for one.
        let n_data = points.len() + behind.len();
        wire::push_head(metrics, 2, head.len() + field_len(*shape as u32, n_data));
        metrics.extend_from_slice(head);
        wire::push_head(metrics, *shape as u32, n_data);
        metrics.extend_from_slice(points);
        metrics.extend_from_slice(&behind);
        points.clear();
    }
}

/// Bytes of a field with a value of `len` bytes.
fn field_len(number: u32, len: usize) -> usize {
    varint_len(u64::from(tag(number, kind::BYTES))) + varint_len(len as u64) + len
}

impl Output {
    pub(super) fn new(shared: &[(String, String)]) -> Self {
        let is_shared =
            |(name, _): &&(String, String)| ![JOB, INSTANCE, NAMESPACE].contains(&name.as_str());
        Self { shared: shared.iter().filter(is_shared).cloned().collect(), ..Self::default() }
    }

    /// Writes a point.
    pub(super) fn point(&mut self, of: Of<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let place = self.place(of.who);
        let place = &mut self.places[place];
        if place.head != of.head || place.shape != of.shape {
            place.close();
            place.head.clear();
            place.head.extend_from_slice(of.head);
            place.shape = of.shape;
        }
        let before = place.points.len();
        push_message(&mut place.points, 1, write);
        self.n_bytes += place.points.len() - before;
        if self.n_bytes > REQUEST_BYTES {
            self.cut();
        }
    }

    /// Writes a point that says that there is no value from `time_ns` on; `name` is what a point's
    /// fields say of its series.
    pub(super) fn stale_point(&mut self, of: Of<'_>, name: &[u8], time_ns: i64) {
        self.point(of, |out| {
            out.extend_from_slice(name);
            push_fixed64(out, 3, time_ns.cast_unsigned());
            push_number(out, of.shape.flags(), u64::from(NO_RECORDED_VALUE));
        });
    }

    fn place(&mut self, (job, instance): (&str, &str)) -> usize {
        // There is one, as a rule, and it is the one that was written last.
        let is_it = |place: &Place| place.who.0 == job && place.who.1 == instance;
        if self.places.last().is_some_and(is_it) {
            return self.places.len() - 1;
        }
        let who = (job.to_owned(), instance.to_owned());
        let Self { places, place_of, .. } = self;
        *place_of.entry(who).or_insert_with_key(|who| {
            places.push(Place {
                who: who.clone(),
                metrics: Vec::new(),
                head: Vec::new(),
                shape: Shape::Gauge,
                points: Vec::new(),
            });
            places.len() - 1
        })
    }

    /// Makes a request of what was written until now.
    fn cut(&mut self) {
        let mut request = Vec::with_capacity(self.n_bytes + self.n_bytes / 4);
        for place in &mut self.places {
            place.close();
            if place.metrics.is_empty() {
                continue;
            }
            let (mut resource, mut scope) = (Vec::new(), Vec::new());
            push_message(&mut resource, 1, |out| {
                let (job, instance) = &place.who;
                for (key, value) in [(JOB, job), (INSTANCE, instance)] {
                    if !value.is_empty() {
                        push_message(out, 1, |out| push_attribute(out, key, value));
                    }
                }
                for (key, value) in &self.shared {
                    push_message(out, 1, |out| push_attribute(out, key, value));
                }
            });
            push_message(&mut scope, 1, |out| push_bytes(out, 1, SCOPE));
            let n_scope = scope.len() + place.metrics.len();
            wire::push_head(&mut request, 1, resource.len() + field_len(2, n_scope));
            request.append(&mut resource);
            wire::push_head(&mut request, 2, n_scope);
            request.append(&mut scope);
            request.append(&mut place.metrics);
        }
        if !request.is_empty() {
            self.requests.push(request);
        }
        self.places.clear();
        self.place_of.clear();
        self.n_bytes = 0;
    }

    /// All requests, in their order.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.cut();
        self.requests
    }
}
