//! `sidewake`: arguments, logging, one command, an exit code; nothing else.

use std::io::Write as _;
use std::process::ExitCode;

use sidewake::cli;

fn main() -> ExitCode {
    let outcome = cli::parse(std::env::args_os()).and_then(|cli| cli::execute(&cli));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(exit) => {
            let text = exit.text.as_bytes();
            // Nobody is left to tell when the output is closed.
            let _ = match exit.code {
                cli::EXIT_OK => std::io::stdout().write_all(text),
                _ => std::io::stderr().write_all(text),
            };
            ExitCode::from(exit.code)
        }
    }
}
