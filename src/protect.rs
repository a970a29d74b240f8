//! Floor 1: nothing unprotected can leave. Owns the detectors, the field policy, the pseudonyms and
//! the seal ([`protected::Protected`]) that the spool demands.
//!
//! Does no I/O; key material comes in from `config`.

pub mod outputs;
pub mod protected;
