//! JSON lines: the scan that learns a line's shape and then only compares.

pub mod doc;
