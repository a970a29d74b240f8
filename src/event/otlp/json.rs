//! OTLP/JSON, by `schema`: a request read into protobuf, and protobuf written as JSON.
//!
//! As proto3's JSON with OTLP's own rules: ids are hex and not base64, enums are numbers, keys are
//! lowerCamelCase; 64-bit integers are written as text and read as text or number; `null` is
//! absence and unknown keys are passed over.
//!
//! Source: OTLP specification 1.9, "JSON Protobuf Encoding".
//!
//! # Why
//! JSON is the rare form: it becomes protobuf on arrival, so that everything behind knows one form.
//! Both directions stream by the schema's tables, without a tree and without structs that would
//! have to be kept equal to them.

mod items;
mod read;
mod write;

pub use items::item_objects;
pub use read::request_from_json;
pub use write::{push_message_json, push_text_json};
