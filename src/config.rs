//! Floor 4: the YAML config: text in, plain data that runs out, or all that is wrong with it.
//!
//! Owns the path from a file to [`Config`]: `tree` (YAML with positions, environment references
//! expanded), `de` (typed sections, every error noted), `resolve` (names, defaults and what must
//! agree across sections), and the JSON Schema for editors. [`Config`] has no positions and no
//! options that only matter in the file. Deliberately opens nothing but secret files: whether a
//! folder can be written or a sink answers is found out by whoever uses it.
//!
//! # Why
//! There is no second set of structs between the file and the runtime where none is needed: the
//! structs of sources and sinks are what serde reads and what runs. Positions stay in the tree, and
//! a check names what it complains about by its path. `type` may stand anywhere in a component,
//! since tools that write YAML (Helm, kustomize, yq) sort keys.

mod condition;
mod de;
pub mod derive;
pub mod env;
pub mod named;
pub mod protect;
mod raw;
mod registry;
mod resolve;
pub mod sample;
pub mod schema;
pub mod secret_text;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod tiers;
mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::event::record::Kind;
use crate::protect::pseudonym::Keyring;
use crate::units::{ByteSize, HumanDuration};

use env::Env;
pub use raw::Echo;
use resolve::Resolver;
use tree::Document;

/// What runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose telemetry it is.
    pub service: Service,
    /// Where telemetry comes from, by name; at least one.
    pub sources: Vec<(String, sources::Source)>,
    /// The keys of pseudonyms; there is one if anything is hashed.
    pub key: Option<Keyring>,
    /// Own rules for kinds, in order; their conditions compile.
    pub classify: Vec<sample::Rule>,
    /// Which events are kept; its conditions compile.
    pub sample: sample::Sample,
    /// What is measured of events, if anything; its conditions compile, its fields are such.
    pub derive: Option<derive::Derive>,
    /// Every kind of log belongs to exactly one tier. Every tier has a route.
    pub tiers: Vec<Tier>,
    /// Where telemetry goes, by name.
    pub sinks: Vec<(String, sinks::Sink)>,
    /// Where events wait.
    pub spool: spool::Spool,
    /// Bytes for everything under way.
    pub memory_limit: ByteSize,
    /// Where the admin server listens, if it does.
    pub admin: Option<SocketAddr>,
    /// Whether that address was asked for: the default one may be another daemon's already.
    pub admin_required: bool,
    /// What is repeated of a child's output; `None` decides by whether ours is a terminal.
    pub echo: Option<Echo>,
    /// The folder for what has no folder of its own: the embedded store, checkpoints.
    pub data_dir: PathBuf,
}

/// Whose telemetry it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `service.name`; `unknown_service` where nobody said it, as OpenTelemetry has it.
    pub name: String,
    /// `service.version`.
    pub version: Option<String>,
    /// All resource attributes, these two among them, sorted by name.
    pub attributes: Vec<(String, String)>,
}

/// A retention class.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub signal: tiers::Signal,
    /// The kinds of logs that belong to it.
    pub kinds: Vec<Kind>,
    /// How long its data lives.
    pub retention: HumanDuration,
    /// How long its events wait for the outcome of their request before sampling decides.
    pub window: Option<HumanDuration>,
    /// Where it goes; at least one.
    pub routes: Vec<Route>,
    /// Which features are kept.
    pub features: tiers::Features,
    /// Actions by field pattern: the tier's own, then those of `protect` for other patterns.
    pub fields: Vec<(String, protect::Action)>,
    /// What is looked for in values, and what is done to it.
    pub detect: Vec<(protect::Detector, protect::DetectAction)>,
}

/// A tier's way to one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The sink's name in [`Config::sinks`].
    pub sink: String,
    /// What happens when the spool is full and this sink lags.
    pub when_full: tiers::WhenFull,
}

/// What the command line says beside, or instead of, the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// A command that becomes the source `model`.
    pub command: Option<Vec<String>>,
    /// Instead of `$STATE_DIRECTORY` or `./sidewake-data`.
    pub data_dir: Option<PathBuf>,
    /// Instead of `echo`.
    pub echo: Option<Echo>,
}

/// Where everything goes that was given no other place.
pub const DATA_DIR: &str = "./sidewake-data";

impl Config {
    /// The sink that is called `name`.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&sinks::Sink> {
        self.sinks.iter().find(|(sink, _)| sink == name).map(|(_, sink)| sink)
    }

    /// The config for `command` when there is no file: every tier goes to the embedded store.
    ///
    /// # Errors
    /// An empty command.
    pub fn embedded(command: Vec<String>, env: &dyn Env) -> Result<Self, Vec<Diagnostic>> {
        parse_with(
            "",
            "command line",
            env,
            &Overrides { command: Some(command), ..Overrides::default() },
        )
    }
}

/// Reads and resolves the config in the file `path`.
///
/// # Errors
/// All problems, by position.
pub fn load(path: &Path, env: &dyn Env) -> Result<Config, Vec<Diagnostic>> {
    load_with(path, env, &Overrides::default())
}

/// Like [`load`], with what the command line says.
///
/// # Errors
/// All problems, by position.
pub fn load_with(
    path: &Path,
    env: &dyn Env,
    overrides: &Overrides,
) -> Result<Config, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let fail = |what: String, hint: &str| vec![Diagnostic::new(&name, None, what).with_hint(hint)];
    let bytes = std::fs::read(path).map_err(|error| {
        let hint = "Give the path of a config file that sidewake may read.";
        fail(format!("the config cannot be read: {}", de::reason_of(&error)), hint)
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| fail("the config is not UTF-8 text".to_owned(), "Save it as UTF-8."))?;
    parse_with(&text, &name, env, overrides)
}

/// Resolves the config in `text`; messages call it `file_name`.
///
/// # Errors
/// All problems, by position. After a YAML syntax error that one is the only one.
pub fn parse(text: &str, file_name: &str, env: &dyn Env) -> Result<Config, Vec<Diagnostic>> {
    parse_with(text, file_name, env, &Overrides::default())
}

/// Like [`parse`], with what the command line says.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &str,
    file_name: &str,
    env: &dyn Env,
    overrides: &Overrides,
) -> Result<Config, Vec<Diagnostic>> {
    let (mut document, mut problems) = Document::parse(file_name, text, env)?;
    let raw: raw::Config = de::read(&mut document, env, &mut problems);
    let mut resolver = Resolver { document: &document, env, overrides, problems };
    let config = resolver.resolve(raw);
    let mut problems = resolver.problems;
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(Diagnostic::position);
    Err(problems)
}

#[cfg(test)]
mod tests;
