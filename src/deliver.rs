//! Floor 4: the loop around every sink.
