//! JSON lines: the scan that learns a line's shape and then only compares.

pub mod block;
pub mod doc;
pub mod scan;
pub mod shapes;
pub mod skeleton;
pub mod walk;
