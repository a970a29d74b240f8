//! Floor 5: one file a command.
