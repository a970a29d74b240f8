//! The protobuf format: `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! Classic histograms and summaries become the samples that the text formats would have; a native
//! histogram stays one sample.
//!
//! Source: `io/prometheus/client/metrics.proto`. It is proto2: numbers of a list may come one by
//! one or packed.

use std::borrow::Cow;

use super::native::{Native, Side};
use super::sample::{Exemplar, NAME, Pair, ParseError, Sample};
use crate::event::otlp::prometheus::FamilyType;
use crate::event::otlp::wire::{Field, Malformed, Reader, kind, unzigzag, varint};

/// What a family is.
#[derive(Debug, Default)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
    pub(super) family_type: FamilyType,
}

/// Takes what is read.
pub(super) trait Take<'a> {
    /// Why what is read is not taken.
    type Refused: From<ParseError>;

    /// A family begins.
    fn family(&mut self, family: Family<'a>);

    /// A sample of it, its name the first of the labels.
    fn sample(
        &mut self,
        labels: &mut Vec<Pair<'a>>,
        sample: Sample<'a>,
    ) -> Result<(), Self::Refused>;
}

/// Reads all families of `body`.
///
/// # Errors
/// What is no such family, and what `take` refuses.
pub(super) fn read<'a, T: Take<'a>>(body: &'a [u8], take: &mut T) -> Result<(), T::Refused> {
    let mut at = 0;
    while at < body.len() {
        let len = varint(body, &mut at, body.len()).map_err(malformed)?;
        let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len));
        let Some(end) = end.filter(|end| *end <= body.len()) else {
            return Err(wrong("a family that is cut off").into());
        };
        Message { body, start: at, end }.family(take)?;
        at = end;
    }
    Ok(())
}

fn malformed(error: Malformed) -> ParseError {
    ParseError::Protobuf(error.to_string())
}

fn wrong(what: &str) -> ParseError {
    ParseError::Protobuf(what.to_owned())
}

/// A message within the body.
#[derive(Clone, Copy, Debug)]
struct Message<'a> {
    body: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Message<'a> {
    fn of(&self, field: Field) -> Self {
        Self { body: self.body, start: field.start, end: field.end }
    }

    /// Calls `each` with every field.
    fn fields(
        &self,
        mut each: impl FnMut(Field) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        let mut reader = Reader::new(self.body, self.start, self.end);
        while let Some(field) = reader.read().map_err(malformed)? {
            each(field)?;
        }
        Ok(())
    }

    fn text(&self, field: Field) -> Result<&'a str, ParseError> {
        std::str::from_utf8(field.of(self.body)).map_err(|_| wrong("a text that is no UTF-8"))
    }

    fn double(&self, field: Field) -> f64 {
        let value = f64::from_bits(field.number_in(self.body));
        // Nobody but a scraper says that a series is stale.
        if value.is_nan() { f64::NAN } else { value }
    }

    fn number(&self, field: Field) -> u64 {
        field.number_in(self.body)
    }

    fn family<T: Take<'a>>(self, take: &mut T) -> Result<(), T::Refused> {
        let mut family = Family { family_type: FamilyType::Counter, ..Family::default() };
        self.fields(|field| {
            match field.number() {
                1 => family.name = self.text(field)?,
                2 => family.help = self.text(field)?,
                3 => {
                    family.family_type = match self.number(field) {
                        0 => FamilyType::Counter,
                        1 => FamilyType::Gauge,
                        2 => FamilyType::Summary,
                        4 => FamilyType::Histogram,
                        5 => FamilyType::GaugeHistogram,
                        _ => FamilyType::Unknown,
                    }
                }
                5 => family.unit = self.text(field)?,
                _ => {}
            }
            Ok(())
        })?;
        let (name, family_type) = (family.name, family.family_type);
        if name.is_empty() {
            return Err(wrong("a family without a name").into());
        }
        take.family(family);
        let mut reader = Reader::new(self.body, self.start, self.end);
        while let Some(field) = reader.read().map_err(malformed)? {
            if field.number() == 4 {
                self.of(field).metric((name, family_type), take)?;
            }
        }
        Ok(())
    }

    fn metric<T: Take<'a>>(
        self,
        (name, family_type): (&'a str, FamilyType),
        take: &mut T,
    ) -> Result<(), T::Refused> {
        let mut labels: Vec<Pair<'a>> = Vec::new();
        let (mut time_ns, mut inside) = (None, None);
        self.fields(|field| {
            match field.number() {
                1 => labels.push(self.of(field).pair()?),
                6 => {
                    let ms = self.number(field).cast_signed();
                    let ns = ms.checked_mul(1_000_000).filter(|ns| *ns >= 0);
                    time_ns = Some(ns.ok_or_else(|| wrong("a time that is out of range"))?);
                }
                2..=5 | 7 => inside = Some(field),
                _ => {}
            }
            Ok(())
        })?;
        let twice = |at: usize| labels[..at].iter().any(|(name, _)| *name == labels[at].0);
        if (0..labels.len()).any(twice) {
            return Err(wrong(&format!("{name}: a label is there twice")).into());
        }
        let Some(field) = inside else {
            return Err(wrong(&format!("{name}: a metric without a value")).into());
        };
        let metric = Metric { message: self.of(field), name, family_type, labels, time_ns };
        match field.number() {
            4 => metric.summary(take),
            7 => metric.histogram(take),
            _ => metric.number(take),
        }
    }

    fn pair(self) -> Result<Pair<'a>, ParseError> {
        let (mut name, mut value) = ("", "");
        self.fields(|field| {
            match field.number() {
                1 => name = self.text(field)?,
                2 => value = self.text(field)?,
                _ => {}
            }
            Ok(())
        })?;
        match name {
            "" | NAME => Err(wrong("a label with a name that it cannot have")),
            name => Ok((name.into(), value.into())),
        }
    }

    /// `google.protobuf.Timestamp`.
    fn timestamp(self) -> Result<Option<i64>, ParseError> {
        let (mut seconds, mut nanos) = (0i64, 0i64);
        self.fields(|field| {
            match field.number() {
                1 => seconds = self.number(field).cast_signed(),
                2 => nanos = self.number(field).cast_signed(),
                _ => {}
            }
            Ok(())
        })?;
        let ns = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos));
        Ok(ns.filter(|ns| *ns > 0))
    }

    fn exemplar(self) -> Result<Exemplar<'a>, ParseError> {
        let mut exemplar = Exemplar { labels: Vec::new(), value: 0.0, time_ns: None };
        self.fields(|field| {
            match field.number() {
                1 => exemplar.labels.push(self.of(field).pair()?),
                2 => exemplar.value = self.double(field),
                3 => exemplar.time_ns = self.of(field).timestamp()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(exemplar)
    }

    /// A signed number as `sint32` and `sint64` have it.
    fn zigzag(&self, field: Field) -> i64 {
        unzigzag(self.number(field))
    }

    fn span(self) -> Result<(i32, u32), ParseError> {
        let (mut offset, mut len) = (0, 0);
        self.fields(|field| {
            let range = |_| wrong("a span that is out of range");
            match field.number() {
                1 => offset = i32::try_from(self.zigzag(field)).map_err(range)?,
                2 => len = u32::try_from(self.number(field)).map_err(range)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok((offset, len))
    }

    /// Numbers of a list, one or packed.
    fn deltas(&self, field: Field, out: &mut Vec<i64>) -> Result<(), ParseError> {
        if field.kind() != kind::BYTES {
            out.push(self.zigzag(field));
            return Ok(());
        }
        let mut at = field.start;
        while at < field.end {
            out.push(unzigzag(varint(self.body, &mut at, field.end).map_err(malformed)?));
        }
        Ok(())
    }
}

/// A metric of a family, and what is in it.
struct Metric<'a> {
    message: Message<'a>,
    name: &'a str,
    family_type: FamilyType,
    labels: Vec<Pair<'a>>,
    time_ns: Option<i64>,
}

/// What a message says of a histogram.
#[derive(Default)]
struct Histogram<'a> {
    count: u64,
    sum: f64,
    float_count: Option<f64>,
    is_float: bool,
    buckets: Vec<(f64, f64)>,
    schema: i32,
    zero_threshold: f64,
    n_zeros: u64,
    spans: [Vec<(i32, u32)>; 2],
    deltas: [Vec<i64>; 2],
    created_ns: Option<i64>,
    exemplars: Vec<Exemplar<'a>>,
    bucket_exemplars: Vec<(usize, Exemplar<'a>)>,
}

impl Histogram<'_> {
    fn is_native(&self) -> bool {
        let has_spans = self.spans.iter().any(|spans| !spans.is_empty());
        has_spans || self.zero_threshold > 0.0 || self.n_zeros > 0
    }
}

impl<'a> Metric<'a> {
    fn take<T: Take<'a>>(
        &self,
        take: &mut T,
        suffix: &str,
        more: Option<(&'static str, f64)>,
        sample: Sample<'a>,
    ) -> Result<(), T::Refused> {
        let name: Cow<'a, str> = match suffix {
            "" => self.name.into(),
            suffix => format!("{}{suffix}", self.name).into(),
        };
        let mut labels = Vec::with_capacity(self.labels.len() + 2);
        labels.push((NAME.into(), name));
        labels.extend(self.labels.iter().cloned());
        labels.extend(more.map(|(name, bound)| (name.into(), float(bound).into())));
        take.sample(&mut labels, Sample { time_ns: self.time_ns, ..sample })
    }

    fn number<T: Take<'a>>(self, take: &mut T) -> Result<(), T::Refused> {
        let mut sample = Sample::default();
        let message = self.message;
        message.fields(|field| {
            match field.number() {
                1 => sample.value = message.double(field),
                2 => sample.exemplars.push(message.of(field).exemplar()?),
                3 => sample.created_ns = message.of(field).timestamp()?,
                _ => {}
            }
            Ok(())
        })?;
        self.take(take, "", None, sample)
    }

    fn summary<T: Take<'a>>(self, take: &mut T) -> Result<(), T::Refused> {
        let (mut count, mut sum, mut created_ns, mut quantiles) = (0, 0.0, None, Vec::new());
        let message = self.message;
        message.fields(|field| {
            match field.number() {
                1 => count = message.number(field),
                2 => sum = message.double(field),
                3 => quantiles.push(message.of(field)),
                4 => created_ns = message.of(field).timestamp()?,
                _ => {}
            }
            Ok(())
        })?;
        let of = |value: f64| Sample { value, created_ns, ..Sample::default() };
        for quantile in quantiles {
            let (mut at, mut value) = (0.0, 0.0);
            quantile.fields(|field| {
                match field.number() {
                    1 => at = quantile.double(field),
                    2 => value = quantile.double(field),
                    _ => {}
                }
                Ok(())
            })?;
            self.take(take, "", Some(("quantile", at)), of(value))?;
        }
        self.take(take, "_sum", None, of(sum))?;
        self.take(take, "_count", None, of(count as f64))
    }

    fn histogram<T: Take<'a>>(self, take: &mut T) -> Result<(), T::Refused> {
        let mut told = self.read_histogram()?;
        let created_ns = told.created_ns;
        // What has fractions is told by its buckets, if it has any.
        if told.is_native() && !told.is_float && self.family_type == FamilyType::Histogram {
            let refuse = |what: &str| wrong(&format!("{}: {what}", self.name));
            if !(-4..=8).contains(&told.schema) {
                return Err(refuse("a schema that no native histogram has").into());
            }
            let [positive, negative] = [0, 1].map(|at| Side::of(&told.spans[at], &told.deltas[at]));
            let native = Native {
                schema: told.schema,
                count: told.count,
                sum: told.sum,
                zero_threshold: told.zero_threshold,
                n_zeros: told.n_zeros,
                positive: positive.map_err(refuse)?,
                negative: negative.map_err(refuse)?,
            };
            let exemplars = match told.exemplars.is_empty() {
                true => told.bucket_exemplars.drain(..).map(|(_, exemplar)| exemplar).collect(),
                false => told.exemplars,
            };
            let native = Some(Box::new(native));
            let sample = Sample { created_ns, exemplars, native, ..Sample::default() };
            return self.take(take, "", None, sample);
        }
        let of = |value: f64| Sample { value, created_ns, ..Sample::default() };
        let is_gauge = self.family_type == FamilyType::GaugeHistogram;
        let count = told.float_count.unwrap_or(told.count as f64);
        let has_last = told.buckets.iter().any(|(bound, _)| *bound == f64::INFINITY);
        let mut exemplars = told.bucket_exemplars.into_iter().peekable();
        for (at, (bound, in_it)) in told.buckets.into_iter().enumerate() {
            let exemplars = std::iter::from_fn(|| exemplars.next_if(|(of, _)| *of == at));
            let exemplars = exemplars.map(|(_, exemplar)| exemplar).collect();
            let sample = Sample { exemplars, ..of(in_it) };
            self.take(take, "_bucket", Some(("le", bound)), sample)?;
        }
        if !has_last {
            self.take(take, "_bucket", Some(("le", f64::INFINITY)), of(count))?;
        }
        self.take(take, if is_gauge { "_gsum" } else { "_sum" }, None, of(told.sum))?;
        self.take(take, if is_gauge { "_gcount" } else { "_count" }, None, of(count))
    }

    fn read_histogram(&self) -> Result<Histogram<'a>, ParseError> {
        let (message, mut told) = (self.message, Histogram::default());
        message.fields(|field| {
            match field.number() {
                1 => told.count = message.number(field),
                2 => told.sum = message.double(field),
                3 => {
                    let (bucket, exemplar) = bucket(message.of(field))?;
                    let at = told.buckets.len();
                    told.buckets.push(bucket);
                    told.bucket_exemplars.extend(exemplar.map(|exemplar| (at, exemplar)));
                }
                4 => told.float_count = Some(message.double(field)).filter(|count| *count > 0.0),
                5 => told.schema = message.zigzag(field) as i32,
                6 => told.zero_threshold = message.double(field),
                7 => told.n_zeros = message.number(field),
                8 | 11 | 14 => told.is_float = true,
                9 => told.spans[1].push(message.of(field).span()?),
                10 => message.deltas(field, &mut told.deltas[1])?,
                12 => told.spans[0].push(message.of(field).span()?),
                13 => message.deltas(field, &mut told.deltas[0])?,
                15 => told.created_ns = message.of(field).timestamp()?,
                16 => told.exemplars.push(message.of(field).exemplar()?),
                _ => {}
            }
            Ok(())
        })?;
        told.is_float |= told.float_count.is_some();
        Ok(told)
    }
}

/// A bucket's bound and count, and the exemplar in it.
fn bucket(message: Message<'_>) -> Result<((f64, f64), Option<Exemplar<'_>>), ParseError> {
    let (mut bound, mut count, mut float, mut exemplar) = (0.0, 0, 0.0, None);
    message.fields(|field| {
        match field.number() {
            1 => count = message.number(field),
            2 => bound = message.double(field),
            3 => exemplar = Some(message.of(field).exemplar()?),
            4 => float = message.double(field),
            _ => {}
        }
        Ok(())
    })?;
    Ok(((bound, if float > 0.0 { float } else { count as f64 }), exemplar))
}

/// A bound as OpenMetrics writes it: with a point, or a word.
pub(super) fn float(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_owned(),
        value if value == f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value.is_nan() => "NaN".to_owned(),
        value => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests;
