//! Sources: that there is one, that they can live side by side, and what each must be.

use crate::units::ByteSize;

use super::super::named::Named;
use super::super::sources::{Exec, Jaeger, ListenAddress, Otlp, Source};
use super::super::tree::{Step, steps};
use super::Resolver;

/// Shorter lines than these would cut ordinary log records.
const LINE_MIN: ByteSize = ByteSize::kib(1);
/// Clients send up to 4 MiB without being told; a frame of the spool holds 64 MiB.
const REQUEST_MIN: ByteSize = ByteSize::kib(64);
const REQUEST_MAX: ByteSize = ByteSize::mib(48);
/// Name of the source that a command line makes.
const COMMAND_SOURCE: &str = "model";

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        named: Named<Source>,
        memory_limit: ByteSize,
    ) -> Vec<(String, Source)> {
        let mut sources = named.0;
        for (name, source) in &sources {
            self.source(&[Step::from("sources"), Step::from(name.as_str())], source, memory_limit);
        }
        self.one_of(
            &sources,
            "exec",
            "Its exit code is sidewake's own, and there can be only one.",
        );
        self.one_of(&sources, "stdin", "There is only one standard input.");
        self.command(&mut sources);
        sources
    }

    fn source(&mut self, path: &[Step], source: &Source, memory_limit: ByteSize) {
        let field = |name: &str| [path, &[Step::from(name)]].concat();
        match source {
            Source::Exec(exec)
                if exec.command.first().is_none_or(String::is_empty)
                    && self.document.is_whole(&field("command")) =>
            {
                let message = "a command needs a program to run";
                self.at_value(&field("command"), message, "Write [python, serve.py].");
            }
            Source::File(file)
                if file.include.is_empty() && self.document.is_whole(&field("include")) =>
            {
                let message = "a file source needs a path to read";
                self.at_value(&field("include"), message, "Write [/var/log/model/*.log].");
            }
            Source::Fifo(fifo) => {
                let example = "/run/sidewake/model.pipe";
                self.absolute(&field("path"), "the path of a fifo", &fifo.path, example);
            }
            Source::Otlp(otlp) => {
                self.otlp(path, otlp);
                return;
            }
            Source::Jaeger(jaeger) => {
                self.jaeger(path, jaeger);
                return;
            }
            Source::Prometheus(scraped) => {
                self.prometheus(path, scraped, memory_limit);
                return;
            }
            _ => {}
        }
        let max_line = source.max_line();
        // A line has to fit while the lines around it do, too.
        let most = ByteSize(memory_limit.0 / 4);
        let is_written = self.document.find(&field("max_line")).is_some();
        if is_written && (max_line < LINE_MIN || max_line > most) {
            let message = format!("{max_line} is out of range for the longest line");
            let hint = format!("Write {LINE_MIN} to {most} (a quarter of \"memory.limit\").");
            self.at_value(&field("max_line"), message, hint);
        }
    }

    fn otlp(&mut self, path: &[Step], otlp: &Otlp) {
        if otlp.grpc == ListenAddress::Off && otlp.http == ListenAddress::Off {
            let message = "an OTLP source that listens nowhere receives nothing";
            self.at_key(path, message, "Leave out \"grpc\" or \"http\", or give it an address.");
        }
        if otlp.max_request < REQUEST_MIN || otlp.max_request > REQUEST_MAX {
            let field = [path, &[Step::from("max_request")]].concat();
            let message = format!("{} is out of range for the largest request", otlp.max_request);
            let hint = format!("Write {REQUEST_MIN} to {REQUEST_MAX}.");
            self.at_value(&field, message, hint);
        }
    }

    fn jaeger(&mut self, path: &[Step], jaeger: &Jaeger) {
        let Jaeger { compact, binary, http, .. } = jaeger;
        if [compact, binary, http].iter().all(|listen| **listen == ListenAddress::Off) {
            let message = "a Jaeger source that listens nowhere receives nothing";
            self.at_key(path, message, "Leave out one of \"compact\", \"binary\" and \"http\".");
        }
        for (name, listen) in [("compact", compact), ("binary", binary)] {
            if matches!(listen, ListenAddress::Unix(_)) {
                let field = [path, &[Step::from(name)]].concat();
                let message = "datagrams of Jaeger come over UDP, not to a path";
                self.at_value(&field, message, "Write HOST:PORT, such as 127.0.0.1:6831, or off.");
            }
        }
    }

    fn one_of(&mut self, sources: &[(String, Source)], of_type: &str, why: &str) {
        let mut names = sources
            .iter()
            .filter(|(_, source)| source.type_name() == of_type)
            .map(|(name, _)| name.as_str());
        let Some(first) = names.next() else { return };
        for name in names {
            let path = steps!["sources", name];
            let message = format!("source \"{name}\" is a second source of type {of_type}");
            let first_at = self.document.locate(&steps!["sources", first]).unwrap_or_default();
            let note = format!("Source \"{first}\" at {first_at} is the first. {why}");
            let problem = self.document.at_key(&path, message).with_note(note);
            self.problems.push(problem.with_hint("Run a second sidewake for the other one."));
        }
    }

    /// The command line's source, and the complaint where there is no source at all.
    fn command(&mut self, sources: &mut Vec<(String, Source)>) {
        let Some(command) = self.overrides.command.clone() else {
            let written = self.document.keys(&steps!["sources"]);
            if written.is_empty() && !self.document.is_misspelled("sources") {
                self.at_key(
                    &steps!["sources"],
                    "the config has no sources",
                    "Add one: sources: { model: { type: exec, command: [python, serve.py] } }. \
                     Or give the command when you run it: \
                     sidewake run --config FILE -- python serve.py",
                );
            }
            return;
        };
        if let Some((name, _)) = sources.iter().find(|(_, s)| matches!(s, Source::Exec(_))) {
            let message = format!("source \"{name}\" and the command line both run a command");
            let hint = "Remove one: the source, or the command behind \"--\".";
            self.at_key(&steps!["sources", name.as_str()], message, hint);
            return;
        }
        if sources.iter().any(|(name, _)| name == COMMAND_SOURCE) {
            let message =
                format!("the name \"{COMMAND_SOURCE}\" belongs to the command line's source");
            let hint = "Give this source another name, or run without a command.";
            self.at_key(&steps!["sources", COMMAND_SOURCE], message, hint);
            return;
        }
        if command.first().is_none_or(String::is_empty) {
            let message = "the command line names no program to run";
            self.at_key(
                &[],
                message,
                "Write it behind two dashes: sidewake run -- python serve.py",
            );
            return;
        }
        sources.push((COMMAND_SOURCE.to_owned(), Source::Exec(Exec::new(command))));
    }
}
