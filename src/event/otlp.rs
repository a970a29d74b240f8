//! OTLP's protobuf as it lies on the wire: read, searched, edited and cut into parts without ever
//! becoming structs.
//!
//! A request of spans or metrics stays the bytes that were received, from the source to the sink:
//! what this build does not know is kept, and what did not change is never copied. `schema` is the
//! one description of the messages; `walk` finds items, attributes and texts by it, `edit` rewrites
//! what changed, `subset` takes some items out with what they share, `json` reads and writes the
//! JSON form.
//!
//! Deliberately knows nothing of what may leave and what may not: that is `protect`'s.
//!
//! Source: opentelemetry-proto 1.9; `protocols` of gRPC and HTTP are the source's and sink's.
//!
//! # Why
//! Structs of a span cost 1,100 ns to make and to write back, and 16 allocations; finding every
//! text in its bytes costs 50 ns and none. Nor would structs be lossless: a field of next year's
//! collector would be gone.

pub mod edit;
pub mod json;
pub mod prometheus;
pub mod read;
pub mod schema;
pub mod subset;
pub mod transport;
pub mod walk;
pub mod wire;
pub mod write;

pub use walk::{Visit, walk};
pub use wire::{Field, Malformed};
