//! Where telemetry comes from, as the config says it. [`crate::sources`] runs it.

mod jaeger;
mod otlp;
mod prometheus;

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::units::{ByteSize, HumanDuration};

use super::de::wrong;
use super::named::Named;
use super::registry::registry;
use super::tiers::Signal;

pub use jaeger::Jaeger;
pub use otlp::{ListenAddress, Otlp, ServerTls};
pub use prometheus::{Prometheus, Relabel, RelabelAction, RelabelRegex, Target};

registry! {
    /// One source.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Source {
        /// A child process' output.
        "exec" => Exec(Exec),
        /// Our own standard input.
        "stdin" => Stdin(Stdin),
        /// Files that grow.
        "file" => File(File),
        /// A named pipe.
        "fifo" => Fifo(Fifo),
        /// OpenTelemetry's protocol.
        "otlp" => Otlp(Otlp),
        /// Jaeger's Thrift.
        "jaeger" => Jaeger(Jaeger),
        /// What exposes metrics for Prometheus.
        "prometheus" => Prometheus(Prometheus),
    }
}

impl Source {
    /// Attributes that all events of the source carry.
    #[must_use]
    pub fn attributes(&self) -> &Named<String> {
        match self {
            Source::Exec(source) => &source.attributes,
            Source::Stdin(source) => &source.attributes,
            Source::File(source) => &source.attributes,
            Source::Fifo(source) => &source.attributes,
            Source::Otlp(source) => &source.attributes,
            Source::Jaeger(source) => &source.attributes,
            Source::Prometheus(source) => &source.attributes,
        }
    }

    /// Whether `signal` can come from the source.
    #[must_use]
    pub fn feeds(&self, signal: Signal) -> bool {
        match self {
            Source::Exec(_) | Source::Stdin(_) | Source::File(_) | Source::Fifo(_) => {
                signal == Signal::Logs
            }
            Source::Otlp(_) => true,
            Source::Jaeger(_) => signal == Signal::Traces,
            Source::Prometheus(_) => signal == Signal::Metrics,
        }
    }

    /// The longest line that is kept whole.
    #[must_use]
    pub fn max_line(&self) -> ByteSize {
        match self {
            Source::Exec(source) => source.max_line,
            Source::Stdin(source) => source.max_line,
            Source::File(source) => source.max_line,
            Source::Fifo(source) => source.max_line,
            Source::Otlp(_) | Source::Jaeger(_) | Source::Prometheus(_) => MAX_LINE,
        }
    }

    /// Whether the lines of a Python traceback are joined.
    #[must_use]
    pub fn traceback(&self) -> bool {
        match self {
            Source::Exec(source) => source.traceback,
            Source::Stdin(source) => source.traceback,
            Source::File(source) => source.traceback,
            Source::Fifo(source) => source.traceback,
            Source::Otlp(_) | Source::Jaeger(_) | Source::Prometheus(_) => false,
        }
    }
}

/// Loki's own limit for a line (`max_line_size`).
const MAX_LINE: ByteSize = ByteSize::kib(256);

fn default_max_line() -> ByteSize {
    MAX_LINE
}

fn default_true() -> bool {
    true
}

/// Runs a command and reads its stdout and stderr. Signals and the exit code are passed on.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments. No shell is involved.
    pub command: Vec<String>,
    /// Variables for the command, beside those that sidewake has itself.
    #[serde(default)]
    pub env: Named<String>,
    /// Where the command runs. Default: where sidewake runs.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// Attributes that all events of this source carry.
    #[serde(default)]
    pub attributes: Named<String>,
    /// The longest line that is kept whole; of a longer one, the beginning. Default: 256KiB.
    #[serde(default = "default_max_line")]
    pub max_line: ByteSize,
    /// Whether the lines of a Python traceback are joined to one event. Default: true.
    #[serde(default = "default_true")]
    pub traceback: bool,
}

impl Exec {
    /// The source for `command` with all defaults.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: Named::default(),
            working_dir: None,
            attributes: Named::default(),
            max_line: MAX_LINE,
            traceback: true,
        }
    }
}

/// Reads sidewake's own standard input.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Stdin {
    /// Attributes that all events of this source carry.
    #[serde(default)]
    pub attributes: Named<String>,
    /// The longest line that is kept whole; of a longer one, the beginning. Default: 256KiB.
    #[serde(default = "default_max_line")]
    pub max_line: ByteSize,
    /// Whether the lines of a Python traceback are joined to one event. Default: true.
    #[serde(default = "default_true")]
    pub traceback: bool,
}

/// Follows files, through rotation and restarts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Paths with wildcards: *, ? and [a-z] within a name, ** for folders.
    pub include: Vec<String>,
    /// Paths, with the same wildcards, that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// How lines are framed. Default: auto, which looks at each file's first line.
    #[serde(default)]
    pub format: FileFormat,
    /// Where reading begins in a file that sidewake finds at its first start. Default: beginning.
    #[serde(default)]
    pub start_at: StartAt,
    /// How often folders and files are looked at, whatever the kernel tells. Default: 10s.
    #[serde(default = "default_poll")]
    pub poll: HumanDuration,
    /// Attributes that all events of this source carry.
    #[serde(default)]
    pub attributes: Named<String>,
    /// The longest line that is kept whole; of a longer one, the beginning. Default: 256KiB.
    #[serde(default = "default_max_line")]
    pub max_line: ByteSize,
    /// Whether the lines of a Python traceback are joined to one event. Default: true.
    #[serde(default = "default_true")]
    pub traceback: bool,
}

fn default_poll() -> HumanDuration {
    HumanDuration::secs(10)
}

/// How the lines of a file are framed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// By the look of the first line.
    #[default]
    Auto,
    /// Not at all.
    Plain,
    /// Kubernetes: `TIME STREAM P|F LINE`.
    Cri,
    /// Docker's json-file driver.
    Docker,
}

/// Where reading begins in a file without a checkpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At the first byte.
    #[default]
    Beginning,
    /// Behind the last byte there is at the first start.
    End,
}

/// Reads a named pipe that the model writes to.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Fifo {
    /// The pipe's absolute path.
    pub path: PathBuf,
    /// Its permissions where sidewake creates it. Default: 0600.
    #[serde(default)]
    pub mode: FileMode,
    /// Whether it is created where it is missing. Default: true.
    #[serde(default = "default_true")]
    pub create: bool,
    /// Attributes that all events of this source carry.
    #[serde(default)]
    pub attributes: Named<String>,
    /// The longest line that is kept whole; of a longer one, the beginning. Default: 256KiB.
    #[serde(default = "default_max_line")]
    pub max_line: ByteSize,
    /// Whether the lines of a Python traceback are joined to one event. Default: true.
    #[serde(default = "default_true")]
    pub traceback: bool,
}

/// Permissions in octal digits, with or without the leading zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl Default for FileMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        let octal = digits.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777);
        mode.map(Self).ok_or_else(|| {
            wrong(
                format_args!("\"{text}\" is not a file mode"),
                "Write three octal digits behind a zero: 0600, 0660, 0622.",
            )
        })
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "description": "Permissions in octal digits.",
            "examples": ["0600"],
        })
    }
}
