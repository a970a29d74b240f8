//! What a span's tags say that OpenTelemetry has fields for: kind, status, trace state and scope.
//!
//! Owns the keys that mean something, and which of them are no attributes any more. A value of
//! another type or word than its key has is an attribute like any other.
//!
//! Reference: opentelemetry-specification `trace/sdk_exporters/jaeger.md`, and how the
//! OpenTelemetry Collector's Jaeger receiver reads it. It differs from that on purpose: trace
//! state and scope are taken however the span came (there only over gRPC), and a word that is not
//! understood is kept.

use super::tags::{Tag, Value};

/// The keys that mean something.
#[derive(Clone, Copy, Debug)]
enum Key {
    Kind,
    Error,
    StatusCode,
    StatusDescription,
    HttpStatusCode,
    HttpStatusMessage,
    TraceState,
    ScopeName,
    ScopeVersion,
}

const N_KEYS: usize = Key::ScopeVersion as usize + 1;

/// In the order of [`Key`].
const NAMES: [&[u8]; N_KEYS] = [
    b"span.kind",
    b"error",
    b"otel.status_code",
    b"otel.status_description",
    b"http.status_code",
    b"http.status_message",
    b"w3c.tracestate",
    b"otel.scope.name",
    b"otel.scope.version",
];

/// `SpanKind` of OTLP, by the words of `span.kind`.
const KINDS: [(&[u8], u64); 5] =
    [(b"internal", 1), (b"server", 2), (b"client", 3), (b"producer", 4), (b"consumer", 5)];

const KIND_SERVER: u64 = 2;

const STATUS_UNSET: u64 = 0;
const STATUS_OK: u64 = 1;
const STATUS_ERROR: u64 = 2;

/// The values of those keys, the last of each.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    values: [Option<Value<'a>>; N_KEYS],
    /// Which became a field.
    taken: [bool; N_KEYS],
}

/// An instrumentation scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Scope<'a> {
    pub(super) name: &'a [u8],
    pub(super) version: &'a [u8],
}

/// `Status` of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status<'a> {
    pub(super) code: u64,
    pub(super) message: &'a [u8],
}

impl<'a> Said<'a> {
    /// Remembers the tag if its key means something.
    pub(super) fn look(&mut self, tag: &Tag<'a>) {
        if let Some(key) = NAMES.iter().position(|name| *name == tag.key) {
            self.values[key] = Some(tag.value);
        }
    }

    /// Whether a key became a field, and is no attribute.
    pub(super) fn is_taken(&self, key: &[u8]) -> bool {
        NAMES.iter().zip(self.taken).any(|(name, taken)| taken && *name == key)
    }

    /// `SpanKind`: 0 when nothing or nothing known is said.
    pub(super) fn kind(&mut self) -> u64 {
        let word = self.text(Key::Kind);
        let kind = KINDS.iter().find(|(name, _)| Some(*name) == word);
        kind.map_or(0, |(_, kind)| self.take(Key::Kind, *kind))
    }

    /// The trace state; empty when there is none.
    pub(super) fn trace_state(&mut self) -> &'a [u8] {
        self.take_text(Key::TraceState)
    }

    /// The scope. A version alone is none.
    pub(super) fn scope(&mut self) -> Scope<'a> {
        match self.take_text(Key::ScopeName) {
            b"" => Scope::default(),
            name => Scope { name, version: self.take_text(Key::ScopeVersion) },
        }
    }

    /// The status: what `error` says, else `otel.status_code`, else what the HTTP status implies.
    pub(super) fn status(&mut self, kind: u64) -> Status<'a> {
        let said = self.status_code();
        if self.values[Key::Error as usize] == Some(Value::Bool(true)) {
            let message = match self.take_text(Key::StatusDescription) {
                b"" => self.text(Key::HttpStatusMessage).unwrap_or_default(),
                description => description,
            };
            return self.take(Key::Error, Status { code: STATUS_ERROR, message });
        }
        if let Some(code) = said {
            return Status { code, message: self.take_text(Key::StatusDescription) };
        }
        if self.http_status().is_some_and(|status| is_http_error(status, kind)) {
            let message = self.text(Key::HttpStatusMessage).unwrap_or_default();
            return Status { code: STATUS_ERROR, message };
        }
        Status::default()
    }

    fn status_code(&mut self) -> Option<u64> {
        let word = self.text(Key::StatusCode)?;
        let words = [(&b"UNSET"[..], STATUS_UNSET), (b"OK", STATUS_OK), (b"ERROR", STATUS_ERROR)];
        let (_, code) = words.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
        Some(self.take(Key::StatusCode, code))
    }

    fn http_status(&self) -> Option<i64> {
        match self.values[Key::HttpStatusCode as usize]? {
            Value::Long(status) => Some(status),
            Value::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    fn text(&self, key: Key) -> Option<&'a [u8]> {
        match self.values[key as usize] {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn take_text(&mut self, key: Key) -> &'a [u8] {
        self.text(key).map_or(b"", |text| self.take(key, text))
    }

    /// Says `what`, which the key's value became.
    fn take<T>(&mut self, key: Key, what: T) -> T {
        self.taken[key as usize] = true;
        what
    }
}

/// A server is not to blame for what a client did wrong; anybody else's 4xx is an error, and so is
/// what is no HTTP status at all.
fn is_http_error(status: i64, kind: u64) -> bool {
    match status {
        100..400 => false,
        400..500 => kind != KIND_SERVER,
        _ => true,
    }
}
