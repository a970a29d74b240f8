//! Floor 2: the pure middle: classify, sample, protect, route.

mod accumulate;
pub mod aliases;
pub mod classify;
pub mod condition;
mod cut_word;
mod declared;
mod emit;
mod facts;
pub mod fates;
mod features;
mod fields;
pub mod latency;
pub mod lessons;
mod lines_of_text;
pub mod logfmt;
mod meaning;
mod numbers;
pub mod observe;
mod origins;
pub mod plan;
pub mod process;
pub mod requests;
pub mod roles;
pub mod rules;
pub mod sample;
pub mod tally;
pub mod text;
pub mod time;
pub mod window;

pub use plan::{Plan, TierPlan};
pub use process::Pipeline;
