//! Bodies of remote write, made of any metrics that the pipeline lets pass: received or scraped.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message as _;
use sidewake::event::batch::Batch;
use sidewake::sinks::remote_write::{Options, Protocol, RemoteWrite};
use sidewake::sinks::{Body, LogRange, Sink as _};
use sidewake::sources::prometheus::{Format, Treatment, requests};

#[path = "../../remote_write_proto/messages.rs"]
mod remote_write_proto;

use remote_write_proto::{one, two};

const NOW: i64 = 1_767_522_600_000_000_000;

/// Names and values.
type Labels = Vec<(String, String)>;
/// Times of samples and of histograms, in their order.
type Times = (Vec<i64>, Vec<i64>);

/// What a body of either version says, in one form.
struct Said {
    series: Vec<(Labels, Times)>,
    exemplars: Vec<Labels>,
}

/// Both versions decode by the official definitions, name each series once and soundly, have their
/// samples in order, and say the same; and what says less than was taken says what was refused.
pub(crate) fn bodies(bytes: &[u8]) {
    agree(bytes);
    let treatment = Treatment { honor_timestamps: true, ..Treatment::default() };
    let scraped = requests(bytes, Format::OpenMetrics, &treatment, NOW).unwrap_or_default();
    scraped.iter().for_each(|request| agree(request));
}

fn agree(request: &[u8]) {
    let Some(batch) = super::otlp::metrics(request) else { return };
    let [first, second] = [Protocol::One, Protocol::Two].map(|protocol| said(&batch, protocol));
    check(&first);
    assert_eq!(first.series, second.series, "both say the same");
    assert_eq!(first.exemplars, second.exemplars, "both say the same");
}

fn said(batch: &Batch, protocol: Protocol) -> Said {
    let (url, headers, timeout) = (String::new(), Vec::new(), Duration::ZERO);
    let sink = RemoteWrite::new(Options { url, protocol: Some(protocol), headers, timeout });
    let mut encoder = sink.encoder(NOW);
    let refused = encoder.push(batch, 0..batch.len());
    assert!(refused.iter().all(|one| one.event < batch.len() && !one.reason.is_empty()));
    assert!(refused.is_sorted_by(|a, b| a.event < b.event), "each at most once");
    let is_empty = encoder.is_empty();
    assert!(!is_empty || refused.len() == batch.len(), "what is taken is there");
    let mut body = Body::default();
    encoder.finish(LogRange::default(), &mut body).expect("finished");
    let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a block of snappy");
    let said = match protocol {
        Protocol::One => said_in_one(&raw),
        Protocol::Two => said_in_two(&raw),
    };
    assert_eq!(said.series.is_empty(), is_empty);
    let n_items = said.series.iter().map(|(_, (floats, others))| floats.len() + others.len());
    assert_eq!(body.contents.n_items, n_items.sum::<usize>() as u64, "what a receiver counts");
    said
}

fn said_in_one(raw: &[u8]) -> Said {
    let request = one::WriteRequest::decode(raw).expect("it is sound");
    let labels = |labels: &[one::Label]| -> Labels {
        labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
    };
    let series = request.timeseries.iter().map(|series| {
        let floats = series.samples.iter().map(|one| one.timestamp).collect();
        let others = series.histograms.iter().map(|one| one.timestamp).collect();
        (labels(&series.labels), (floats, others))
    });
    let exemplars = request.timeseries.iter().flat_map(|series| &series.exemplars);
    let exemplars = exemplars.map(|one| labels(&one.labels)).collect();
    Said { series: series.collect(), exemplars }
}

fn said_in_two(raw: &[u8]) -> Said {
    let request = two::Request::decode(raw).expect("it is sound");
    assert_eq!(request.symbols.first().map(String::as_str), Some(""));
    assert_eq!(request.symbols.iter().collect::<HashSet<_>>().len(), request.symbols.len());
    let text = |number: u32| request.symbols[number as usize].clone();
    let labels = |refs: &[u32]| -> Labels {
        assert!(refs.len().is_multiple_of(2));
        refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect()
    };
    let series = request.timeseries.iter().map(|series| {
        let said = series.metadata.as_ref().expect("metadata");
        assert!(text(said.help_ref).len() + text(said.unit_ref).len() < raw.len());
        assert!(series.samples.iter().all(|one| one.start_timestamp <= one.timestamp));
        let floats = series.samples.iter().map(|one| one.timestamp).collect();
        let others = series.histograms.iter().map(|one| one.timestamp).collect();
        (labels(&series.labels_refs), (floats, others))
    });
    let exemplars = request.timeseries.iter().flat_map(|series| &series.exemplars);
    let exemplars = exemplars.map(|one| labels(&one.labels_refs)).collect();
    Said { series: series.collect(), exemplars }
}

/// What every receiver demands.
fn check(said: &Said) {
    let mut seen = HashSet::new();
    for (labels, (floats, others)) in &said.series {
        check_labels(labels);
        let name = labels.iter().find(|(name, _)| name == "__name__").map(|(_, value)| value);
        assert!(name.is_some_and(|name| !name.is_empty()), "{labels:?}");
        assert_ne!(floats.is_empty(), others.is_empty(), "one of both: {labels:?}");
        assert!(floats.is_sorted_by(|a, b| a < b) && others.is_sorted_by(|a, b| a < b));
        assert!(seen.insert((labels, floats.is_empty())), "twice: {labels:?}");
    }
    said.exemplars.iter().for_each(check_labels);
}

/// Sorted, unique, none empty.
fn check_labels(labels: &Labels) {
    assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{labels:?}");
    assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{labels:?}");
}
