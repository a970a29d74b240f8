//! Floor 2: the pure middle: classify, sample, protect, route.

pub mod aliases;
pub mod classify;
pub mod condition;
pub mod latency;
pub mod logfmt;
pub mod roles;
pub mod rules;
pub mod sample;
pub mod text;
pub mod time;
