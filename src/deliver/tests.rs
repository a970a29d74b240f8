//! Tests of the whole loop in memory.
