//! Floor 5: one file a command, and the arguments of all of them.
//!
//! Owns the grammar of the command line, its help and its exit codes. Deliberately prints nothing
//! itself: [`parse`] gives back what to print and where, and commands write to what they are
//! handed.

mod dead_letters;
mod policy;
mod replay;
mod run;
mod schema;
mod show;
mod spool;
mod validate;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::{Echo, Overrides};
use crate::diagnostic::Style;
use crate::units::HumanDuration;

pub use policy::policy;
pub use run::run;
pub use schema::schema;
pub use show::show;
pub use validate::validate;

/// All went well.
pub const EXIT_OK: u8 = 0;
/// Something failed at run time.
pub const EXIT_FAILED: u8 = 1;
/// The command line or the config is wrong: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// The command line.
#[derive(Clone, Debug, Parser, PartialEq)]
#[command(
    name = "sidewake",
    bin_name = "sidewake",
    version,
    about = "Keeps what a model says: understood, protected, spooled and delivered.",
    after_help = EXAMPLES,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sidewake run -- python serve.py            run a model; its logs go to ./sidewake-data
  sidewake run --config sidewake.yaml        run what the config says
  sidewake validate sidewake.yaml            check a config; shows all problems at once
  sidewake show 7f3c9a                       everything about one request
  sidewake policy --config sidewake.yaml     which field goes where, in which form, for how long

Exit codes: 0 ok, 1 failed, 64 wrong command line or config. \"run -- COMMAND\" ends with the
command's own code.";

/// What to do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Run: collect, protect, spool and deliver
    Run(Run),
    /// Check config files and show all problems
    Validate(Validate),
    /// Print the JSON Schema of the config, for editors
    #[command(after_help = "Example:
  sidewake schema > sidewake.schema.json
  Then begin sidewake.yaml with:  # yaml-language-server: $schema=./sidewake.schema.json")]
    Schema,
    /// Find all about one request in the local files and in the spool
    Show(Show),
    /// Look into the spool, check it, and send again what sinks refused
    #[command(subcommand)]
    Spool(spool::Spool),
    /// Print which field goes where, in which form, for how long
    Policy(Policy),
    /// Print the version
    Version,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = "Examples:
  sidewake run -- python serve.py
  sidewake run --config /etc/sidewake/sidewake.yaml
  sidewake run --config sidewake.yaml --echo none -- python serve.py

A changed config is checked first and takes effect at once; one with a problem changes nothing and is
reported in the log and in /status. What did not change is not touched.

Defaults: --echo is raw on a terminal and protected elsewhere; --data-dir is $STATE_DIRECTORY, else
./sidewake-data.")]
pub struct Run {
    /// The config file. Without one, all goes to the embedded store
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Repeat the command's output: protected, raw or none
    #[arg(long, value_name = "MODE", value_parser = echo)]
    pub echo: Option<Echo>,
    /// How long to go on delivering after a signal to stop
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub grace: HumanDuration,
    /// The folder of what the config gives no place
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Read the config again on SIGHUP only, not when its file changes
    #[arg(long, requires = "config")]
    pub no_watch_config: bool,
    /// The model's command, behind two dashes
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Run {
    /// What the command line says beside the config.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            command: (!self.command.is_empty()).then(|| self.command.clone()),
            data_dir: self.data_dir.clone(),
            echo: self.echo,
        }
    }
}

/// Arguments of `validate`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = "Examples:
  sidewake validate sidewake.yaml
  sidewake validate --no-environment config/*.yaml

Exit code 64 when one of them has a problem.

Environment variables and secret files that the config names are looked up, as \"run\" would;
where they do not exist yet, say in CI, use --no-environment.")]
pub struct Validate {
    /// Config files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Take environment variables and secret files for granted
    #[arg(long)]
    pub no_environment: bool,
}

/// Arguments of `show`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = "Examples:
  sidewake show 7f3c9a
  sidewake show 7f3c9a --json | jq '.found[].fields.prediction'
  sidewake show --config /etc/sidewake/sidewake.yaml 7f3c9a

Finds the rows and lines that name the id (or the trace id), and what shares a trace with them; what
is still in the spool too, while sidewake runs or not. Exit code 1 when nothing is found.

The folder is $STATE_DIRECTORY, else ./sidewake-data, as for \"run\".")]
pub struct Show {
    /// The id of a request or of a trace, as the model logged it
    #[arg(value_name = "REQUEST_ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub request_id: String,
    /// Print one JSON object, with every field whole
    #[arg(long)]
    pub json: bool,
    /// The config that runs: look where it keeps files and spools
    #[arg(long, short, value_name = "FILE", conflicts_with = "data_dir")]
    pub config: Option<PathBuf>,
    /// The folder of the embedded store, its spool in it
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of `policy`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = "Examples:
  sidewake policy --config sidewake.yaml
  sidewake policy --config sidewake.yaml --json | jq '.[] | select(.action == \"keep\")'")]
pub struct Policy {
    /// The config file. Without one, the policy of the embedded store
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print a JSON array with a row for each field and tier
    #[arg(long)]
    pub json: bool,
}

/// Why there is nothing to run: what to print, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The process' exit code.
    pub code: u8,
    /// What to print: on standard output for code 0, else on standard error.
    pub text: String,
}

/// Reads the command line, whose first item is the program's name.
///
/// # Errors
/// Help and version (exit code 0), or what is wrong with the command line (64).
pub fn parse<I>(argv: I) -> Result<Cli, Exit>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let cli = Cli::try_parse_from(argv).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => EXIT_OK,
            _ => EXIT_USAGE,
        };
        Exit { code, text: error.render().to_string() }
    })?;
    match &cli.command {
        Command::Run(run) if run.config.is_none() && run.command.is_empty() => {
            Err(Exit { code: EXIT_USAGE, text: NOTHING_TO_RUN.to_owned() })
        }
        _ => Ok(cli),
    }
}

const NOTHING_TO_RUN: &str = "\
error: there is nothing to run: neither a config nor a command
hint: Write: sidewake run -- python serve.py, or: sidewake run --config sidewake.yaml
";

/// Does what the command line says; the exit code.
///
/// # Errors
/// What to print instead, and the exit code.
pub fn execute(cli: &Cli) -> Result<u8, Exit> {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let env = crate::config::env::Process;
    let style = Style::of_stderr();
    let done = match &cli.command {
        Command::Run(args) => {
            // The daemon's threads write to both.
            drop((out, err));
            return run(args);
        }
        Command::Validate(args) => validate(args, &env, (&mut out, &mut err), style),
        Command::Schema => schema(&mut out),
        Command::Show(args) => show(args, &env, (&mut out, &mut err), style),
        Command::Spool(command) => spool::spool(command, &env, (&mut out, &mut err), style),
        Command::Policy(args) => policy(args, &env, (&mut out, &mut err), style),
        Command::Version => {
            writeln!(out, "sidewake {}", env!("CARGO_PKG_VERSION")).map(|()| EXIT_OK)
        }
    };
    match done {
        Ok(code) => Ok(code),
        // A closed pipe (`| head`) is the reader's wish, not an error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(EXIT_OK),
        Err(error) => Err(Exit { code: EXIT_FAILED, text: format!("error: {error}\n") }),
    }
}

fn duration(text: &str) -> Result<HumanDuration, String> {
    text.parse().map_err(|error: crate::units::UnitError| format!("{error}. {}", error.hint))
}

fn echo(word: &str) -> Result<Echo, String> {
    Echo::parse(word).ok_or_else(|| format!("write one of: {}", Echo::WORDS.join(", ")))
}

#[cfg(test)]
mod tests;
