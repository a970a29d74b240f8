//! JSON to protobuf, in one pass over the text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::schema::{FieldSpec, Kind, Message};
use super::super::walk::DEPTH_MAX;
use super::super::wire::{kind, push_bytes, push_varint, tag};
use super::write::wire_kind;
use crate::event::signal::Signal;

/// Reads a request of `signal` and appends it as protobuf.
///
/// # Errors
/// What is no such request, with line and column.
pub fn request_from_json(
    signal: Signal,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let message = Message::request_of(signal);
    MessageSeed { message, out, depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

/// Reads one object as the fields of a message.
struct MessageSeed<'a> {
    message: Message,
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom("messages nested too deep"));
        }
        de.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the fields of {:?}", self.message)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { message, out, depth } = self;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match message.named(&key) {
                Some(spec) => map.next_value_seed(FieldSeed { spec, out: &mut *out, depth })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the value of one field; `null` is none.
struct FieldSeed<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl FieldSeed<'_> {
    fn element(&mut self) -> ElementSeed<'_> {
        ElementSeed { spec: self.spec, out: &mut *self.out, depth: self.depth, is_packed: false }
    }
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for \"{}\"", self.spec.name)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(mut self, de: D) -> Result<(), D::Error> {
        if self.spec.is_repeated {
            de.deserialize_seq(self)
        } else {
            self.element().deserialize(de)
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if wire_kind(self.spec.kind) == kind::BYTES {
            while seq.next_element_seed(self.element())?.is_some() {}
            return Ok(());
        }
        let mut packed = Vec::new();
        let mut next = || {
            let element = ElementSeed {
                spec: self.spec,
                out: &mut packed,
                depth: self.depth,
                is_packed: true,
            };
            seq.next_element_seed(element)
        };
        while next()?.is_some() {}
        push_bytes(self.out, self.spec.number, &packed);
        Ok(())
    }
}

/// Reads one value and appends it, with its tag unless it `is_packed`.
struct ElementSeed<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    depth: usize,
    is_packed: bool,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        match self.spec.kind {
            Kind::Message(message) => {
                let mut inner = Vec::new();
                let depth = self.depth + 1;
                MessageSeed { message, out: &mut inner, depth }.deserialize(de)?;
                push_bytes(self.out, self.spec.number, &inner);
                Ok(())
            }
            Kind::Text | Kind::Bytes | Kind::TraceId | Kind::SpanId => de.deserialize_str(self),
            Kind::Bool => de.deserialize_bool(self),
            _ => de.deserialize_any(self),
        }
    }
}

impl ElementSeed<'_> {
    fn put(self, number: u64) {
        let of = wire_kind(self.spec.kind);
        if !self.is_packed {
            push_varint(self.out, u64::from(tag(self.spec.number, of)));
        }
        match of {
            kind::VARINT => push_varint(self.out, number),
            kind::FIXED32 => self.out.extend_from_slice(&(number as u32).to_le_bytes()),
            _ => self.out.extend_from_slice(&number.to_le_bytes()),
        }
    }

    fn put_integer<E: Error>(self, number: i128) -> Result<(), E> {
        let name = self.spec.name;
        let wrong = || E::custom(format_args!("{number} is out of range for \"{name}\""));
        let number = match self.spec.kind {
            Kind::Double => (number as f64).to_bits(),
            Kind::Int64 | Kind::Sfixed64 => {
                i64::try_from(number).map_err(|_| wrong())?.cast_unsigned()
            }
            Kind::Enum => i64::from(i32::try_from(number).map_err(|_| wrong())?).cast_unsigned(),
            Kind::Sint32 => {
                let number = i32::try_from(number).map_err(|_| wrong())?;
                u64::from((number << 1 ^ number >> 31).cast_unsigned())
            }
            Kind::Uint32 | Kind::Fixed32 => u32::try_from(number).map_err(|_| wrong())?.into(),
            _ => u64::try_from(number).map_err(|_| wrong())?,
        };
        self.put(number);
        Ok(())
    }

    fn put_text<E: Error>(self, text: &str) -> Result<(), E> {
        let name = self.spec.name;
        let wrong = |what: &str| E::custom(format_args!("\"{name}\" is no {what}"));
        match self.spec.kind {
            Kind::Text => push_bytes(self.out, self.spec.number, text.as_bytes()),
            Kind::TraceId | Kind::SpanId => {
                let id = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
                push_bytes(self.out, self.spec.number, &id.map_err(|_| wrong("hex"))?);
            }
            Kind::Bytes => {
                let bytes = base64_of(text).ok_or_else(|| wrong("base64"))?;
                push_bytes(self.out, self.spec.number, &bytes);
            }
            Kind::Double => {
                let number = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    text => text.parse().map_err(|_| wrong("number"))?,
                };
                self.put(number.to_bits());
            }
            Kind::Enum => return Err(wrong("number: enums are written as integers")),
            _ => {
                let number = text.parse().map_err(|_| wrong("integer"))?;
                return self.put_integer(number);
            }
        }
        Ok(())
    }
}

/// Both alphabets, with and without padding, as proto3's JSON demands of readers.
fn base64_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok()
}

impl<'de> Visitor<'de> for ElementSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.spec.kind {
            Kind::Text => "text",
            Kind::Bytes => "base64",
            Kind::TraceId | Kind::SpanId => "hex digits",
            Kind::Bool => "true or false",
            Kind::Double => "a number",
            Kind::Message(_) => "an object",
            _ => "an integer",
        };
        write!(f, "{what} for \"{}\"", self.spec.name)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put_text(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(u64::from(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.put_integer(i128::from(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.put_integer(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if self.spec.kind == Kind::Double {
            self.put(number.to_bits());
            return Ok(());
        }
        // 1.0 and 1e3 are integers in JSON.
        if number.fract() == 0.0 && number.abs() < 1e19 {
            return self.put_integer(number as i128);
        }
        Err(E::custom(format_args!("{number} is no integer for \"{}\"", self.spec.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::push_message_json;
    use super::*;

    fn round(signal: Signal, json: &str) -> serde_json::Value {
        let mut bytes = Vec::new();
        request_from_json(signal, json.as_bytes(), &mut bytes).expect("reads");
        let mut out = Vec::new();
        push_message_json(Message::request_of(signal), &bytes, (0, bytes.len()), &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn what_is_read_is_written() {
        let json = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
            {"stringValue":"fraud"}}]},"scopeSpans":[{"scope":{"name":"lib"},"spans":[{
            "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"predict",
            "kind":2,"startTimeUnixNano":"1544712660000000000","flags":257,"attributes":[
            {"key":"a","value":{"arrayValue":{"values":[{"intValue":"-5"},{"doubleValue":0.5},
            {"boolValue":false},{"bytesValue":"AAE="},{}]}}},
            {"key":"k","value":{"kvlistValue":{"values":[{"key":"x","value":{"doubleValue":"NaN"}}]}}}],
            "status":{"code":2,"message":"\"no\""}}]}]}]}"#;
        let expected: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(round(Signal::Traces, json), expected);
    }

    #[test]
    fn numbers_and_texts_and_nothing() {
        let json = r#"{"resourceMetrics":[{"resource":null,"unknown":{"a":[1]},"scopeMetrics":[{"metrics":[
            {"name":"m","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3",
            "scale":-1,"positive":{"offset":-2,"bucketCounts":[1,"2",3.0]},"zeroThreshold":1e-3}]}}]}]}]}"#;
        let expected = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m",
            "exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3","scale":-1,
            "positive":{"offset":-2,"bucketCounts":["1","2","3"]},"zeroThreshold":0.001}]}}]}]}]}"#;
        let expected: serde_json::Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(round(Signal::Metrics, json), expected);
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_place() {
        for (json, says) in [
            (r#"{"resourceSpans":{}}"#, "a value for \"resourceSpans\""),
            (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xy"}]}]}]}"#, "no hex"),
            (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SERVER"}]}]}]}"#, "integers"),
            (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":1.5}]}]}]}"#, "no integer"),
            (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":-1}]}]}]}"#, "out of range"),
            (r#"{"resourceSpans":[]} x"#, "trailing"),
            ("[]", "an object"),
            ("", "EOF"),
        ] {
            let error = request_from_json(Signal::Traces, json.as_bytes(), &mut Vec::new());
            let error = error.expect_err(json).to_string();
            assert!(error.contains(says) && error.contains("column"), "{json}: {error}");
        }
        let deep = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{}{}}}]}}}}]}}"#,
            r#"{"arrayValue":{"values":["#.repeat(40),
            "]}}".repeat(40)
        );
        let error = request_from_json(Signal::Traces, deep.as_bytes(), &mut Vec::new());
        assert!(error.expect_err("deep").to_string().contains("deep"));
    }
}
