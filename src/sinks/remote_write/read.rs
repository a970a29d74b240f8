//! OTLP's metrics read from where they lie: what a metric says of itself, and what its points have
//! in common.
//!
//! Source: opentelemetry-proto 1.9, `metrics.proto`. Bytes that are no protobuf end the reading;
//! the pipeline let none of them in.

use super::values::key_value;
use crate::event::otlp::prometheus::{FamilyType, TYPE_KEY};
use crate::event::otlp::read::{CUMULATIVE, DELTA};
use crate::event::otlp::wire::{Field, Reader, kind, tag};

/// What a metric's points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// A metric without its points.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metric<'a> {
    pub(super) name: &'a [u8],
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
    /// It is Prometheus's: its names are taken as they are.
    pub(super) scraped: Option<FamilyType>,
    pub(super) data: Option<(Kind, Field)>,
    pub(super) temporality: u64,
    pub(super) is_monotonic: bool,
}

const TEMPORALITY: u32 = tag(2, kind::VARINT);
const IS_MONOTONIC: u32 = tag(3, kind::VARINT);

impl<'a> Metric<'a> {
    pub(super) fn read(bytes: &'a [u8], item: Field) -> Self {
        let mut metric = Self::default();
        let mut reader = Reader::of(bytes, item);
        while let Ok(Some(field)) = reader.read() {
            if field.kind() != kind::BYTES {
                continue;
            }
            match field.number() {
                1 => metric.name = field.of(bytes),
                2 => metric.help = field.of(bytes),
                3 => metric.unit = field.of(bytes),
                5 => metric.data = Some((Kind::Gauge, field)),
                7 => metric.data = Some((Kind::Sum, field)),
                9 => metric.data = Some((Kind::Histogram, field)),
                10 => metric.data = Some((Kind::Exponential, field)),
                11 => metric.data = Some((Kind::Summary, field)),
                12 => {
                    let (key, value) = key_value(bytes, field);
                    if key == TYPE_KEY.as_bytes() {
                        let word = value.map_or(&[][..], |value| value.of(bytes));
                        metric.scraped = Some(FamilyType::parse(word).unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
        metric.read_data(bytes);
        metric
    }

    /// What stands behind the points.
    fn read_data(&mut self, bytes: &[u8]) {
        let Some((Kind::Sum | Kind::Histogram | Kind::Exponential, data)) = self.data else {
            return;
        };
        let mut reader = Reader::of(bytes, data);
        while let Ok(Some(field)) = reader.read() {
            match field.tag {
                TEMPORALITY => self.temporality = field.number_in(bytes),
                IS_MONOTONIC => self.is_monotonic = field.number_in(bytes) != 0,
                _ => {}
            }
        }
    }

    /// The type that is told of it.
    pub(super) fn family_type(&self) -> FamilyType {
        let kind = self.data.map(|(kind, _)| kind);
        self.scraped.unwrap_or(match kind {
            Some(Kind::Sum) if self.is_monotonic => FamilyType::Counter,
            Some(Kind::Sum | Kind::Gauge) => FamilyType::Gauge,
            Some(Kind::Histogram | Kind::Exponential) => FamilyType::Histogram,
            Some(Kind::Summary) => FamilyType::Summary,
            None => FamilyType::Unknown,
        })
    }

    /// Why none of its points can be sent.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self.data {
            None => Some("no_points"),
            Some((Kind::Gauge | Kind::Summary, _)) => None,
            Some(_) => match self.temporality {
                CUMULATIVE => None,
                DELTA => Some("delta_temporality"),
                _ => Some("unknown_temporality"),
            },
        }
    }
}

/// The numbers of fields that all points have, but not the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) attributes: u32,
    pub(super) exemplars: u32,
    pub(super) flags: u32,
}

impl Kind {
    pub(super) const fn shape(self) -> Shape {
        match self {
            Kind::Gauge | Kind::Sum => Shape { attributes: 7, exemplars: 5, flags: 8 },
            Kind::Histogram => Shape { attributes: 9, exemplars: 8, flags: 10 },
            Kind::Exponential => Shape { attributes: 1, exemplars: 11, flags: 10 },
            Kind::Summary => Shape { attributes: 7, exemplars: 0, flags: 8 },
        }
    }
}

/// What all points have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) flags: u64,
    pub(super) has_exemplars: bool,
}

/// Reads a point: attributes and all fields that are not common to points are told.
pub(super) fn point(
    bytes: &[u8],
    point: Field,
    shape: Shape,
    mut attribute: impl FnMut(Field),
    mut other: impl FnMut(Field),
) -> Common {
    let mut common = Common::default();
    let mut reader = Reader::of(bytes, point);
    while let Ok(Some(field)) = reader.read() {
        let (number, is_bytes) = (field.number(), field.kind() == kind::BYTES);
        if number == shape.attributes && is_bytes {
            attribute(field);
        } else if number == shape.exemplars && is_bytes {
            common.has_exemplars = true;
        } else if number == shape.flags && !is_bytes {
            common.flags = field.number_in(bytes);
        } else if field.tag == tag(2, kind::FIXED64) {
            common.start_ns = field.number_in(bytes);
        } else if field.tag == tag(3, kind::FIXED64) {
            common.time_ns = field.number_in(bytes);
        } else {
            other(field);
        }
    }
    common
}

/// Tells each field `number` of a message that is one.
pub(super) fn each(bytes: &[u8], message: Field, number: u32, mut each: impl FnMut(Field)) {
    let mut reader = Reader::of(bytes, message);
    while let Ok(Some(field)) = reader.read() {
        if field.tag == tag(number, kind::BYTES) {
            each(field);
        }
    }
}
