//! Where events wait for their sinks, as the config says it. [`crate::spool`] keeps them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{ByteSize, Ratio};

use super::named::Named;
use super::registry::registry;

registry! {
    /// The spool as it is written.
    #[derive(Clone, Debug, PartialEq)]
    pub enum RawSpool {
        /// On disk: survives everything.
        "disk" => Disk(RawDisk),
        /// In memory: what waits is lost in a crash.
        "memory" => Memory(RawMemory),
    }
}

/// Keeps what waits on disk: it survives a crash.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RawDisk {
    /// The spool's own folder, absolute. Default: $STATE_DIRECTORY/spool (systemd sets it), else
    /// ./sidewake-data/spool.
    pub path: Option<PathBuf>,
    /// How many bytes it may hold. Default: 1GiB.
    pub max: Option<ByteSize>,
    /// How much of that each tier may hold. Default: tiers share what is left, but for those that
    /// nothing feeds, which get 1 % each.
    pub shares: Named<Ratio>,
}

/// Keeps what waits in memory: it is lost in a crash.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RawMemory {
    /// How many bytes it may hold, beside "memory.limit". Default: 64MiB.
    pub max: Option<ByteSize>,
    /// How much of that each tier may hold. Default: tiers share what is left, but for those that
    /// nothing feeds, which get 1 % each.
    pub shares: Named<Ratio>,
}

/// The spool that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Spool {
    /// Where it is kept; `None` for memory.
    pub path: Option<PathBuf>,
    /// Bytes that it may hold.
    pub max: ByteSize,
    /// Each tier's share of that, above 0; they add up to 1 at most.
    pub shares: Vec<(String, f64)>,
}

impl Spool {
    /// The largest default that fits a small container's disk.
    pub(super) const DISK_MAX: ByteSize = ByteSize::gib(1);
    /// Twice the default memory budget.
    pub(super) const MEMORY_MAX: ByteSize = ByteSize::mib(64);
}
