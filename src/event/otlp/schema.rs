//! The messages of OTLP: each field's number, JSON name and kind. Data only.
//!
//! Source: opentelemetry-proto 1.9 (`common`, `resource`, `trace`, `logs`, `metrics`), the JSON
//! names by OTLP/JSON (lowerCamelCase). Fields of profiles (`*_strindex`) are left out: they are
//! unknown fields here, and kept.

use crate::event::signal::Signal;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Message {
    /// `TracesData`, `ExportTraceServiceRequest`.
    Traces,
    /// `ResourceSpans`.
    ResourceSpans,
    /// `ScopeSpans`.
    ScopeSpans,
    /// `Span`.
    Span,
    /// `Span.Event`.
    SpanEvent,
    /// `Span.Link`.
    SpanLink,
    /// `Status`.
    Status,
    /// `LogsData`, `ExportLogsServiceRequest`.
    Logs,
    /// `ResourceLogs`.
    ResourceLogs,
    /// `ScopeLogs`.
    ScopeLogs,
    /// `LogRecord`.
    LogRecord,
    /// `MetricsData`, `ExportMetricsServiceRequest`.
    Metrics,
    /// `ResourceMetrics`.
    ResourceMetrics,
    /// `ScopeMetrics`.
    ScopeMetrics,
    /// `Metric`.
    Metric,
    /// `Gauge`.
    Gauge,
    /// `Sum`.
    Sum,
    /// `Histogram`.
    Histogram,
    /// `ExponentialHistogram`.
    ExponentialHistogram,
    /// `Summary`.
    Summary,
    /// `NumberDataPoint`.
    NumberPoint,
    /// `HistogramDataPoint`.
    HistogramPoint,
    /// `ExponentialHistogramDataPoint`.
    ExponentialPoint,
    /// `ExponentialHistogramDataPoint.Buckets`.
    Buckets,
    /// `SummaryDataPoint`.
    SummaryPoint,
    /// `SummaryDataPoint.ValueAtQuantile`.
    Quantile,
    /// `Exemplar`.
    Exemplar,
    /// `Resource`.
    Resource,
    /// `EntityRef`.
    EntityRef,
    /// `InstrumentationScope`.
    Scope,
    /// `KeyValue`.
    KeyValue,
    /// `AnyValue`.
    AnyValue,
    /// `ArrayValue`.
    ArrayValue,
    /// `KeyValueList`.
    KeyValueList,
}

/// How many messages there are.
pub const N_MESSAGES: usize = Message::KeyValueList as usize + 1;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Anything; base64 in JSON.
    Bytes,
    /// 16 bytes; hex in JSON.
    TraceId,
    /// 8 bytes; hex in JSON.
    SpanId,
    /// A varint of 0 or 1.
    Bool,
    /// A varint; only ever a number in JSON.
    Enum,
    /// A varint of 32 bits, unsigned.
    Uint32,
    /// A zigzag varint.
    Sint32,
    /// A varint; text in JSON.
    Int64,
    /// A varint; text in JSON.
    Uint64,
    /// Four bytes.
    Fixed32,
    /// Eight bytes; text in JSON.
    Fixed64,
    /// Eight bytes, signed; text in JSON.
    Sfixed64,
    /// Eight bytes.
    Double,
    /// A message.
    Message(Message),
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its number.
    pub number: u32,
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether there may be any number of it; numbers are packed.
    pub is_repeated: bool,
    /// Whether absence differs from zero: of a choice, or `optional`.
    pub is_optional: bool,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec { number, name, kind, is_repeated: false, is_optional: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec { number, name, kind, is_repeated: true, is_optional: false }
}

const fn maybe(number: u32, name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec { number, name, kind, is_repeated: false, is_optional: true }
}

use {Kind as K, Message as M};

const ATTRIBUTES: Kind = K::Message(M::KeyValue);

const RESOURCE: FieldSpec = one(1, "resource", K::Message(M::Resource));
const SCOPE: FieldSpec = one(1, "scope", K::Message(M::Scope));
const SCHEMA_URL: FieldSpec = one(3, "schemaUrl", K::Text);
const START: FieldSpec = one(2, "startTimeUnixNano", K::Fixed64);
const TIME: FieldSpec = one(3, "timeUnixNano", K::Fixed64);
const COUNT: FieldSpec = one(4, "count", K::Fixed64);
const TEMPORALITY: FieldSpec = one(2, "aggregationTemporality", K::Enum);
const TRACES_FIELDS: &[FieldSpec] = &[many(1, "resourceSpans", K::Message(M::ResourceSpans))];
const RESOURCE_SPANS_FIELDS: &[FieldSpec] =
    &[RESOURCE, many(2, "scopeSpans", K::Message(M::ScopeSpans)), SCHEMA_URL];
const SCOPE_SPANS_FIELDS: &[FieldSpec] =
    &[SCOPE, many(2, "spans", K::Message(M::Span)), SCHEMA_URL];
const SPAN_FIELDS: &[FieldSpec] = &[
    one(1, "traceId", K::TraceId),
    one(2, "spanId", K::SpanId),
    one(3, "traceState", K::Text),
    one(4, "parentSpanId", K::SpanId),
    one(16, "flags", K::Fixed32),
    one(5, "name", K::Text),
    one(6, "kind", K::Enum),
    one(7, "startTimeUnixNano", K::Fixed64),
    one(8, "endTimeUnixNano", K::Fixed64),
    many(9, "attributes", ATTRIBUTES),
    one(10, "droppedAttributesCount", K::Uint32),
    many(11, "events", K::Message(M::SpanEvent)),
    one(12, "droppedEventsCount", K::Uint32),
    many(13, "links", K::Message(M::SpanLink)),
    one(14, "droppedLinksCount", K::Uint32),
    one(15, "status", K::Message(M::Status)),
];
const SPAN_EVENT_FIELDS: &[FieldSpec] = &[
    one(1, "timeUnixNano", K::Fixed64),
    one(2, "name", K::Text),
    many(3, "attributes", ATTRIBUTES),
    one(4, "droppedAttributesCount", K::Uint32),
];
const SPAN_LINK_FIELDS: &[FieldSpec] = &[
    one(1, "traceId", K::TraceId),
    one(2, "spanId", K::SpanId),
    one(3, "traceState", K::Text),
    many(4, "attributes", ATTRIBUTES),
    one(5, "droppedAttributesCount", K::Uint32),
    one(6, "flags", K::Fixed32),
];
const STATUS_FIELDS: &[FieldSpec] = &[one(2, "message", K::Text), one(3, "code", K::Enum)];
const LOGS_FIELDS: &[FieldSpec] = &[many(1, "resourceLogs", K::Message(M::ResourceLogs))];
const RESOURCE_LOGS_FIELDS: &[FieldSpec] =
    &[RESOURCE, many(2, "scopeLogs", K::Message(M::ScopeLogs)), SCHEMA_URL];
const SCOPE_LOGS_FIELDS: &[FieldSpec] =
    &[SCOPE, many(2, "logRecords", K::Message(M::LogRecord)), SCHEMA_URL];
const LOG_RECORD_FIELDS: &[FieldSpec] = &[
    one(1, "timeUnixNano", K::Fixed64),
    one(11, "observedTimeUnixNano", K::Fixed64),
    one(2, "severityNumber", K::Enum),
    one(3, "severityText", K::Text),
    one(5, "body", K::Message(M::AnyValue)),
    many(6, "attributes", ATTRIBUTES),
    one(7, "droppedAttributesCount", K::Uint32),
    one(8, "flags", K::Fixed32),
    one(9, "traceId", K::TraceId),
    one(10, "spanId", K::SpanId),
    one(12, "eventName", K::Text),
];
const METRICS_FIELDS: &[FieldSpec] = &[many(1, "resourceMetrics", K::Message(M::ResourceMetrics))];
const RESOURCE_METRICS_FIELDS: &[FieldSpec] =
    &[RESOURCE, many(2, "scopeMetrics", K::Message(M::ScopeMetrics)), SCHEMA_URL];
const SCOPE_METRICS_FIELDS: &[FieldSpec] =
    &[SCOPE, many(2, "metrics", K::Message(M::Metric)), SCHEMA_URL];
const METRIC_FIELDS: &[FieldSpec] = &[
    one(1, "name", K::Text),
    one(2, "description", K::Text),
    one(3, "unit", K::Text),
    maybe(5, "gauge", K::Message(M::Gauge)),
    maybe(7, "sum", K::Message(M::Sum)),
    maybe(9, "histogram", K::Message(M::Histogram)),
    maybe(10, "exponentialHistogram", K::Message(M::ExponentialHistogram)),
    maybe(11, "summary", K::Message(M::Summary)),
    many(12, "metadata", ATTRIBUTES),
];
const GAUGE_FIELDS: &[FieldSpec] = &[many(1, "dataPoints", K::Message(M::NumberPoint))];
const SUM_FIELDS: &[FieldSpec] = &[
    many(1, "dataPoints", K::Message(M::NumberPoint)),
    TEMPORALITY,
    one(3, "isMonotonic", K::Bool),
];
const HISTOGRAM_FIELDS: &[FieldSpec] =
    &[many(1, "dataPoints", K::Message(M::HistogramPoint)), TEMPORALITY];
const EXPONENTIAL_HISTOGRAM_FIELDS: &[FieldSpec] =
    &[many(1, "dataPoints", K::Message(M::ExponentialPoint)), TEMPORALITY];
const SUMMARY_FIELDS: &[FieldSpec] = &[many(1, "dataPoints", K::Message(M::SummaryPoint))];
const NUMBER_POINT_FIELDS: &[FieldSpec] = &[
    many(7, "attributes", ATTRIBUTES),
    START,
    TIME,
    maybe(4, "asDouble", K::Double),
    maybe(6, "asInt", K::Sfixed64),
    many(5, "exemplars", K::Message(M::Exemplar)),
    one(8, "flags", K::Uint32),
];
const HISTOGRAM_POINT_FIELDS: &[FieldSpec] = &[
    many(9, "attributes", ATTRIBUTES),
    START,
    TIME,
    COUNT,
    maybe(5, "sum", K::Double),
    many(6, "bucketCounts", K::Fixed64),
    many(7, "explicitBounds", K::Double),
    many(8, "exemplars", K::Message(M::Exemplar)),
    one(10, "flags", K::Uint32),
    maybe(11, "min", K::Double),
    maybe(12, "max", K::Double),
];
const EXPONENTIAL_POINT_FIELDS: &[FieldSpec] = &[
    many(1, "attributes", ATTRIBUTES),
    START,
    TIME,
    COUNT,
    maybe(5, "sum", K::Double),
    one(6, "scale", K::Sint32),
    one(7, "zeroCount", K::Fixed64),
    one(8, "positive", K::Message(M::Buckets)),
    one(9, "negative", K::Message(M::Buckets)),
    one(10, "flags", K::Uint32),
    many(11, "exemplars", K::Message(M::Exemplar)),
    maybe(12, "min", K::Double),
    maybe(13, "max", K::Double),
    one(14, "zeroThreshold", K::Double),
];
const BUCKETS_FIELDS: &[FieldSpec] =
    &[one(1, "offset", K::Sint32), many(2, "bucketCounts", K::Uint64)];
const SUMMARY_POINT_FIELDS: &[FieldSpec] = &[
    many(7, "attributes", ATTRIBUTES),
    START,
    TIME,
    COUNT,
    one(5, "sum", K::Double),
    many(6, "quantileValues", K::Message(M::Quantile)),
    one(8, "flags", K::Uint32),
];
const QUANTILE_FIELDS: &[FieldSpec] = &[one(1, "quantile", K::Double), one(2, "value", K::Double)];
const EXEMPLAR_FIELDS: &[FieldSpec] = &[
    many(7, "filteredAttributes", ATTRIBUTES),
    one(2, "timeUnixNano", K::Fixed64),
    maybe(3, "asDouble", K::Double),
    maybe(6, "asInt", K::Sfixed64),
    one(4, "spanId", K::SpanId),
    one(5, "traceId", K::TraceId),
];
const RESOURCE_FIELDS: &[FieldSpec] = &[
    many(1, "attributes", ATTRIBUTES),
    one(2, "droppedAttributesCount", K::Uint32),
    many(3, "entityRefs", K::Message(M::EntityRef)),
];
const ENTITY_REF_FIELDS: &[FieldSpec] = &[
    one(1, "schemaUrl", K::Text),
    one(2, "type", K::Text),
    many(3, "idKeys", K::Text),
    many(4, "descriptionKeys", K::Text),
];
const SCOPE_FIELDS: &[FieldSpec] = &[
    one(1, "name", K::Text),
    one(2, "version", K::Text),
    many(3, "attributes", ATTRIBUTES),
    one(4, "droppedAttributesCount", K::Uint32),
];
const KEY_VALUE_FIELDS: &[FieldSpec] =
    &[one(1, "key", K::Text), one(2, "value", K::Message(M::AnyValue))];
const ANY_VALUE_FIELDS: &[FieldSpec] = &[
    maybe(1, "stringValue", K::Text),
    maybe(2, "boolValue", K::Bool),
    maybe(3, "intValue", K::Int64),
    maybe(4, "doubleValue", K::Double),
    maybe(5, "arrayValue", K::Message(M::ArrayValue)),
    maybe(6, "kvlistValue", K::Message(M::KeyValueList)),
    maybe(7, "bytesValue", K::Bytes),
];
const ARRAY_VALUE_FIELDS: &[FieldSpec] = &[many(1, "values", K::Message(M::AnyValue))];
const KEY_VALUE_LIST_FIELDS: &[FieldSpec] = &[many(1, "values", ATTRIBUTES)];

impl Message {
    /// The message of a whole request of `signal`.
    #[must_use]
    pub const fn request_of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Message::Traces,
            Signal::Logs => Message::Logs,
            Signal::Metrics => Message::Metrics,
        }
    }

    /// Whether it is what a request counts: a span, a log record, a metric.
    #[must_use]
    pub const fn is_item(self) -> bool {
        matches!(self, Message::Span | Message::LogRecord | Message::Metric)
    }

    /// The field `number`, if the message has it.
    #[must_use]
    pub fn field(self, number: u32) -> Option<&'static FieldSpec> {
        self.fields().iter().find(|field| field.number == number)
    }

    /// The field that JSON calls `name`.
    #[must_use]
    pub fn named(self, name: &str) -> Option<&'static FieldSpec> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// All its fields.
    #[must_use]
    pub const fn fields(self) -> &'static [FieldSpec] {
        match self {
            M::Traces => TRACES_FIELDS,
            M::ResourceSpans => RESOURCE_SPANS_FIELDS,
            M::ScopeSpans => SCOPE_SPANS_FIELDS,
            M::Span => SPAN_FIELDS,
            M::SpanEvent => SPAN_EVENT_FIELDS,
            M::SpanLink => SPAN_LINK_FIELDS,
            M::Status => STATUS_FIELDS,
            M::Logs => LOGS_FIELDS,
            M::ResourceLogs => RESOURCE_LOGS_FIELDS,
            M::ScopeLogs => SCOPE_LOGS_FIELDS,
            M::LogRecord => LOG_RECORD_FIELDS,
            M::Metrics => METRICS_FIELDS,
            M::ResourceMetrics => RESOURCE_METRICS_FIELDS,
            M::ScopeMetrics => SCOPE_METRICS_FIELDS,
            M::Metric => METRIC_FIELDS,
            M::Gauge => GAUGE_FIELDS,
            M::Sum => SUM_FIELDS,
            M::Histogram => HISTOGRAM_FIELDS,
            M::ExponentialHistogram => EXPONENTIAL_HISTOGRAM_FIELDS,
            M::Summary => SUMMARY_FIELDS,
            M::NumberPoint => NUMBER_POINT_FIELDS,
            M::HistogramPoint => HISTOGRAM_POINT_FIELDS,
            M::ExponentialPoint => EXPONENTIAL_POINT_FIELDS,
            M::Buckets => BUCKETS_FIELDS,
            M::SummaryPoint => SUMMARY_POINT_FIELDS,
            M::Quantile => QUANTILE_FIELDS,
            M::Exemplar => EXEMPLAR_FIELDS,
            M::Resource => RESOURCE_FIELDS,
            M::EntityRef => ENTITY_REF_FIELDS,
            M::Scope => SCOPE_FIELDS,
            M::KeyValue => KEY_VALUE_FIELDS,
            M::AnyValue => ANY_VALUE_FIELDS,
            M::ArrayValue => ARRAY_VALUE_FIELDS,
            M::KeyValueList => KEY_VALUE_LIST_FIELDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and names are unique, and every number fits the walk's table.
    #[test]
    fn fields_are_told_apart() {
        let mut open = vec![Message::Traces, Message::Logs, Message::Metrics];
        let mut seen: Vec<Message> = Vec::new();
        while let Some(message) = open.pop() {
            if seen.contains(&message) {
                continue;
            }
            seen.push(message);
            for (index, field) in message.fields().iter().enumerate() {
                assert!(field.number < super::super::walk::NUMBERS as u32, "{message:?}");
                let others = &message.fields()[index + 1..];
                let is_twin = |o: &FieldSpec| o.number == field.number || o.name == field.name;
                assert!(!others.iter().any(is_twin), "{message:?}.{}", field.name);
                if let Kind::Message(inner) = field.kind {
                    open.push(inner);
                }
            }
        }
        assert_eq!(seen.len(), N_MESSAGES);
    }
}
