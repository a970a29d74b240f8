//! Floor 0: what flows. A [`chunk::Chunk`] comes in raw, a [`batch::Batch`] goes on protected, a
//! [`frame`] is the same batch on disk.
//!
//! Does no I/O, knows no clock and no config.

pub mod batch;
pub mod chunk;
pub mod frame;
pub mod json;
pub mod log_range;
pub mod origin;
pub mod otlp;
pub mod record;
pub mod request;
pub mod signal;
pub mod slab;
pub mod splice;
pub mod strata;
