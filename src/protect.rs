//! Floor 1: nothing unprotected can leave. Owns the detectors, the field policy, the pseudonyms and
//! the seal ([`protected::Protected`]) that the spool demands.
//!
//! The parts, in the order in which a value meets them: [`context`] (what its key says), [`policy`]
//! (what the tier does to the field), [`views`] (its decoded spellings) over [`find`] (the exact
//! detectors on plain text), [`replace`] (what is written instead), [`pseudonym`] (keyed tokens)
//! and [`outputs`] (the builder of sealed batches). [`matrix`] prints a policy.
//!
//! Does no I/O; key material comes in from `config`.

pub mod context;
pub mod decided;
pub mod entity;
pub mod find;
pub mod marks;
pub mod matrix;
pub mod outputs;
pub mod policy;
pub mod protected;
pub mod pseudonym;
pub mod replace;
pub mod views;
