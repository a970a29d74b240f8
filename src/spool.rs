//! Floor 2: the durable log of each tier. Append, sync in groups, read by cursors, free.
