//! Sinks: the embedded default, and what each must be.

use std::path::Path;

use reqwest::header::{HeaderName, HeaderValue};

use crate::diagnostic::list;
use crate::units::{ByteSize, HumanDuration};

use super::super::Tier;
use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::super::sinks::{
    BigQuery, BigQueryApi, Delivery, FileStoreFormat, Files, Loki, Otlp, PrometheusRemoteWrite,
    Rate, RequestBatch, Retry, Sink,
};
use super::super::tree::{Step, steps};
use super::Resolver;
use super::tiers::has_table;

/// Name of the embedded store where no sink is defined.
pub(super) const EMBEDDED: &str = "embedded";

/// Smaller requests would be one line each.
const REQUEST_MIN: ByteSize = ByteSize::kib(16);
/// BigQuery takes 10 MB.
const INSERT_ALL_MAX: ByteSize = ByteSize::mib(9);
/// Labels whose meaning the sink depends on.
const OWN_LABELS: [&str; 4] = ["tier", "stream", "backlog", "pod"];
/// Labels that are filled from the source's attributes unless the config fills them.
const GIVEN_LABELS: [&str; 4] = ["service_name", "namespace", "container", "env"];
/// Loki's `max_label_names_per_series`.
const LABELS_MAX: usize = 15;
/// Headers that other settings, or HTTP itself, set.
const OWN_HEADERS: [(&str, &str); 6] = [
    ("authorization", "Use \"auth\" for it."),
    ("x-scope-orgid", "Use \"tenant\" for it."),
    ("content-type", "It follows from the encoding."),
    ("content-encoding", "It follows from the encoding."),
    ("content-length", "It follows from the body."),
    ("host", "It follows from \"endpoint\"."),
];

/// Those that remote write sets beside them.
const REMOTE_WRITE_HEADERS: [(&str, &str); 2] = [
    ("user-agent", "Remote write demands that it names the sender."),
    ("x-prometheus-remote-write-version", "Use \"protocol\" for it."),
];

/// The settings of a sink that sends requests.
struct Requests<'a> {
    batch: RequestBatch,
    rate: Rate,
    timeout: HumanDuration,
    retry: &'a Retry,
    headers: Option<&'a Named<SecretText>>,
}

impl<'a> Requests<'a> {
    fn of_loki(loki: &'a Loki) -> Self {
        let Loki { batch, rate, timeout, retry, headers, .. } = loki;
        Self { batch: *batch, rate: *rate, timeout: *timeout, retry, headers: Some(headers) }
    }

    fn of_otlp(otlp: &'a Otlp) -> Self {
        let Otlp { batch, rate, timeout, retry, headers, .. } = otlp;
        Self { batch: *batch, rate: *rate, timeout: *timeout, retry, headers: Some(headers) }
    }

    fn of_remote_write(sink: &'a PrometheusRemoteWrite) -> Self {
        let PrometheusRemoteWrite { batch, rate, timeout, retry, headers, .. } = sink;
        Self { batch: *batch, rate: *rate, timeout: *timeout, retry, headers: Some(headers) }
    }
}

impl Resolver<'_> {
    pub(super) fn sinks(
        &mut self,
        named: Named<Sink>,
        data_dir: &Path,
        memory_limit: ByteSize,
    ) -> Vec<(String, Sink)> {
        if self.document.keys(&steps!["sinks"]).is_empty() {
            let store = Files::new(data_dir.to_owned());
            return vec![(EMBEDDED.to_owned(), Sink::Files(store))];
        }
        for (name, sink) in &named {
            let path = steps!["sinks", name.as_str()];
            match sink {
                Sink::Loki(loki) => {
                    self.requests(&path, &Requests::of_loki(loki), memory_limit);
                    self.labels(&path, loki);
                }
                Sink::Otlp(otlp) => {
                    self.requests(&path, &Requests::of_otlp(otlp), memory_limit);
                }
                Sink::PrometheusRemoteWrite(sink) => {
                    self.requests(&path, &Requests::of_remote_write(sink), memory_limit);
                    self.own_headers(&path, &sink.headers, &REMOTE_WRITE_HEADERS);
                }
                Sink::BigQuery(sink) => self.bigquery(&path, sink, memory_limit),
                Sink::Files(files) => {
                    self.not_zero(&path, &["batch", "max_age"], files.batch.max_age);
                }
                Sink::Console(_) => {}
            }
        }
        named.0
    }

    fn bigquery(&mut self, path: &[Step], sink: &BigQuery, memory_limit: ByteSize) {
        let BigQuery { batch, rate, timeout, retry, .. } = sink;
        let of = Requests { batch: *batch, rate: *rate, timeout: *timeout, retry, headers: None };
        self.requests(path, &of, memory_limit);
        if sink.api == BigQueryApi::InsertAll {
            self.insert_all(path, sink, memory_limit);
        }
        if sink.anonymous && (sink.credentials.is_some() || sink.impersonate.is_some()) {
            let message = "requests cannot be anonymous and authorised";
            self.at_key(&below(path, &["anonymous"]), message, "Keep one of them.");
        }
        for (name, value) in &sink.labels {
            let is_word = |text: &str| {
                let sound =
                    |c: char| !c.is_uppercase() && (c.is_alphanumeric() || "_-".contains(c));
                text.chars().count() <= 63 && text.chars().all(sound)
            };
            let is_name = is_word(name) && name.starts_with(char::is_alphabetic);
            if !is_name || !is_word(value) {
                let message = format!("\"{name}: {value}\" cannot be a label of a table");
                let hint = "Use lower-case letters, digits, \"_\" and \"-\", a letter first, and at \
                            most 63 of them.";
                self.at_key(&below(path, &["labels", name]), message, hint);
            }
        }
    }

    /// What goes by REST, and what fits there.
    fn insert_all(&mut self, path: &[Step], sink: &BigQuery, memory_limit: ByteSize) {
        if sink.endpoint.is_some() {
            let message = "insert_all sends nothing to the endpoint of the Storage Write API";
            let hint = "Write rest_endpoint, or remove it.";
            self.at_key(&below(path, &["endpoint"]), message, hint);
        }
        let max_bytes = sink.batch.max_bytes;
        // More than there is memory for is told already.
        if max_bytes > INSERT_ALL_MAX && max_bytes.0 <= memory_limit.0 / 4 {
            let message = format!("{max_bytes} are more than a request of insert_all may have");
            let hint = format!("Write up to {INSERT_ALL_MAX}: BigQuery takes 10 MB.");
            self.at_value(&below(path, &["batch", "max_bytes"]), message, hint);
        }
    }

    /// Rows that land once need a place that outlives the process.
    pub(super) fn deliveries(&mut self, sinks: &[(String, Sink)], is_on_disk: bool) {
        for (name, sink) in sinks {
            let Sink::BigQuery(sink) = sink else { continue };
            let is_exact = sink.delivery == Some(Delivery::ExactlyOnce);
            let path = steps!["sinks", name.as_str(), "delivery"];
            if is_exact && sink.api == BigQueryApi::InsertAll {
                let message = "insert_all cannot see to it that rows land exactly_once";
                let hint = "Write at_least_once, or leave out api: insert_all.";
                self.at_value(&path, message, hint);
            } else if is_exact && !is_on_disk {
                let message = "exactly_once needs a spool on disk";
                let hint = "Write spool: { type: disk, path: … }, or at_least_once.";
                self.at_value(&path, message, hint);
            }
        }
    }

    /// What all sinks that send requests have in common.
    fn requests(&mut self, path: &[Step], of: &Requests<'_>, memory_limit: ByteSize) {
        let most = ByteSize(memory_limit.0 / 4);
        let max_bytes = of.batch.max_bytes;
        let written = below(path, &["batch", "max_bytes"]);
        let is_written = self.document.find(&written).is_some();
        if is_written && (max_bytes < REQUEST_MIN || max_bytes > most) {
            let message = format!("{max_bytes} is out of range for a request");
            let hint = format!("Write {REQUEST_MIN} to {most} (a quarter of \"memory.limit\").");
            self.at_value(&written, message, hint);
        } else if of.rate.bytes_per_second.is_some_and(|rate| rate < max_bytes) {
            let message = "this rate is less than one request";
            let hint = format!("Write \"batch.max_bytes\" ({max_bytes}) or more, or lower that.");
            self.at_value(&below(path, &["rate", "bytes_per_second"]), message, hint);
        }
        if let Rate { events_per_second: Some(_), bytes_per_second: Some(_) } = of.rate {
            let message = "a rate is in events or in bytes, and this has both";
            self.at_key(&below(path, &["rate"]), message, "Keep one of them.");
        }
        self.not_zero(path, &["batch", "max_age"], of.batch.max_age);
        self.not_zero(path, &["timeout"], of.timeout);
        self.retry(path, of.retry);
        for (name, value) in of.headers.into_iter().flatten() {
            self.header(&below(path, &["headers", name]), name, value.value.expose());
        }
    }

    fn not_zero(&mut self, path: &[Step], fields: &[&str], duration: HumanDuration) {
        if duration.0.is_zero() {
            let message = "this time cannot be zero";
            self.at_value(&below(path, fields), message, "Write how long: 500ms, 1s, 60s.");
        }
    }

    fn retry(&mut self, path: &[Step], retry: &Retry) {
        self.not_zero(path, &["retry", "initial"], retry.initial);
        if retry.initial > retry.max {
            let (initial, max) = (retry.initial, retry.max);
            let message = format!("the first wait ({initial}) is longer than the longest ({max})");
            let fields = ["initial", "max"].map(|field| below(path, &["retry", field]));
            let written = fields.iter().find(|field| self.document.find(field).is_some());
            let place = written.cloned().unwrap_or_else(|| path.to_vec());
            self.at_value(&place, message, "Write \"initial\" up to \"max\".");
        }
    }

    fn labels(&mut self, path: &[Step], loki: &Loki) {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        for (name, value) in &loki.labels {
            let place = below(path, &["labels", name]);
            let digit_first = name.bytes().next().is_none_or(|b| b.is_ascii_digit());
            if digit_first || !name.bytes().all(word) || name.starts_with("__") {
                let hint = "Use letters, digits and \"_\", no digit first and no \"__\" first.";
                self.at_key(&place, format!("\"{name}\" cannot be the name of a label"), hint);
            } else if OWN_LABELS.contains(&name.as_str()) {
                let hint = format!("Use another name: sidewake sets {}.", list(OWN_LABELS));
                self.at_key(&place, format!("label \"{name}\" is set by sidewake"), hint);
            } else if value.is_empty() || value.len() > 2048 {
                let message = format!("label \"{name}\" needs a value of 1 to 2048 bytes");
                self.at_value(&place, message, "Write a value, or remove the label.");
            }
        }
        let room = LABELS_MAX - OWN_LABELS.len() - GIVEN_LABELS.len();
        let is_new = |name: &str| !OWN_LABELS.contains(&name) && !GIVEN_LABELS.contains(&name);
        let count = loki.labels.iter().filter(|(name, _)| is_new(name)).count();
        if count > room {
            let message = format!("{count} labels are more than the {room} that there is room for");
            let hint = format!(
                "Remove {}. Loki takes {LABELS_MAX}, and sidewake sets {} and {}.",
                count - room,
                list(OWN_LABELS),
                list(GIVEN_LABELS),
            );
            self.at_key(&below(path, &["labels"]), message, hint);
        }
    }

    /// Headers that no setting may override.
    fn own_headers(&mut self, path: &[Step], headers: &Named<SecretText>, own: &[(&str, &str)]) {
        for (name, _) in headers {
            if let Some((_, why)) = own.iter().find(|(own, _)| name.eq_ignore_ascii_case(own)) {
                let message = format!("header \"{name}\" is set by sidewake");
                self.at_key(&below(path, &["headers", name]), message, *why);
            }
        }
    }

    fn header(&mut self, path: &[Step], name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let hint = "Use letters, digits and \"-\".";
            self.at_key(path, format!("\"{name}\" cannot be the name of a header"), hint);
        } else if let Some((_, instead)) = OWN_HEADERS.iter().find(|(own, _)| *own == lower) {
            self.at_key(path, format!("header \"{name}\" is set by sidewake"), *instead);
        } else if HeaderValue::from_str(value).is_err() {
            let message = format!("the value of header \"{name}\" holds what no header can");
            self.at_value(path, message, "Use visible ASCII characters on one line.");
        }
    }

    /// Formats of stores name tiers, and columns need a table.
    pub(super) fn formats(&mut self, sinks: &[(String, Sink)], tiers: &[Tier]) {
        for (name, sink) in sinks {
            let Sink::Files(files) = sink else { continue };
            for (tier, format) in &files.formats {
                let path = steps!["sinks", name.as_str(), "formats", tier.as_str()];
                match tiers.iter().find(|known| known.name == *tier) {
                    None => self.unknown_tier(&path, tier, tiers),
                    Some(known) if *format == FileStoreFormat::Parquet && !has_table(known) => {
                        let message = format!("there are no columns for all of tier \"{tier}\"");
                        let hint = "Write jsonl. Columns are for predictions, or for a tier whose \
                                    only kind is model, data or sampling.";
                        self.at_value(&path, message, hint);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

fn below(path: &[Step], fields: &[&str]) -> Vec<Step> {
    path.iter().cloned().chain(fields.iter().map(|field| Step::from(*field))).collect()
}
