//! The peer: rows by the libraries that there are. A line is a tree of `serde_json`, the row a
//! dynamic message of `prost-reflect`, by the descriptor that the sink sends.

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use sidewake::event::batch::Event;
use sidewake::event::log_range::LogRange;
use sidewake::event::otlp::wire::{Reader, push_bytes};
use sidewake::sinks::bigquery::Api;
use sidewake::sinks::{Body, Sink as _};

use super::encode::{Load, Spent, measured, sink};

/// A row for each line.
pub(crate) fn run(load: &Load) -> Spent {
    let descriptor = descriptor();
    let mut n_lines = 0;
    measured(|| {
        let (mut body, mut n_bytes) = (Vec::with_capacity(1 << 20), 0);
        for event in load.batches.iter().flat_map(|batch| batch.events()) {
            let row = row(&descriptor, event).encode_to_vec();
            push_bytes(&mut body, 1, &row);
            n_lines += 1;
            if body.len() >= 1 << 20 {
                n_bytes += std::hint::black_box(&body).len() as u64;
                body.clear();
            }
        }
        (n_lines, n_bytes + body.len() as u64)
    })
}

fn row(descriptor: &MessageDescriptor, event: Event<'_>) -> DynamicMessage {
    let mut row = DynamicMessage::new(descriptor.clone());
    let Ok(serde_json::Value::Object(line)) = serde_json::from_slice(event.bytes) else {
        panic!("a line that is no object")
    };
    let mut set = |name: &str, value: Value| row.set_field_by_name(name, value);
    set("record_id", Value::String(event.record_id().to_string()));
    set("event_ts", Value::I64(event.record.ts_ns / 1000));
    set("ingest_ts", Value::I64(event.batch.observed_ns / 1000));
    set("record_kind", Value::String(event.record.kind().as_str().to_owned()));
    set("status", Value::String("ok".to_owned()));
    set("sample_probability", Value::F64(1.0));
    set("sample_weight", Value::F64(1.0));
    let mut rest = serde_json::Map::new();
    for (key, value) in line {
        let column = match key.as_str() {
            "model" => "model_name",
            "feature_sample" | "instances" => "features",
            "predictions" => "prediction",
            other => other,
        };
        match (column, value) {
            ("request_id" | "model_name" | "model_version", serde_json::Value::String(text)) => {
                set(column, Value::String(text));
            }
            ("features" | "prediction", value) => set(column, Value::String(value.to_string())),
            ("confidence" | "latency_ms", value) if value.is_number() => {
                set(column, Value::F64(value.as_f64().unwrap_or_default()));
            }
            ("feature_count", value) if value.is_i64() => {
                set(column, Value::I64(value.as_i64().unwrap_or_default()));
            }
            (_, value) => {
                rest.insert(key, value);
            }
        }
    }
    set("attributes", Value::String(serde_json::Value::Object(rest).to_string()));
    row
}

/// The descriptor of a body without rows.
fn descriptor() -> MessageDescriptor {
    let mut body = Body::default();
    sink(Api::StorageWrite).encoder(0).finish(LogRange::default(), &mut body).expect("a body");
    let mut fields = Reader::new(&body.bytes, 0, body.bytes.len());
    let schema = fields.read().expect("sound").expect("a schema");
    let inner = Reader::of(&body.bytes, schema).read().expect("sound").expect("a descriptor");
    let message = DescriptorProto::decode(inner.of(&body.bytes)).expect("a descriptor");
    let file = FileDescriptorProto {
        name: Some("row.proto".to_owned()),
        syntax: Some("proto2".to_owned()),
        message_type: vec![message],
        ..FileDescriptorProto::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let pool = DescriptorPool::from_file_descriptor_set(set).expect("a sound descriptor");
    pool.get_message_by_name("Row").expect("the row")
}
