//! What is exposed: the metrics of a model server, the same series in every scrape, with values
//! that change from one to the next.
//!
//! Two fifths of the series are classic histograms of 12 buckets, the rest gauges and counters in
//! equal parts; each has three to five labels. Of ten counters and histograms three stand still
//! between two scrapes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use super::rng::Rng;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Form {
    pub(crate) is_openmetrics: bool,
    pub(crate) is_packed: bool,
}

/// Upper bounds of the buckets, in seconds; the last one is all.
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
/// Samples of a histogram: buckets, sum and count.
const PER_HISTOGRAM: usize = BOUNDS.len() + 2;
/// Series of a family, or histograms.
const PER_FAMILY: usize = 500;

const MODELS: [&str; 8] = [
    "fraud_detector",
    "ranker",
    "embedder_v2",
    "resnet50",
    "churn",
    "llama-3.1-8b-instruct",
    "whisper-large-v3",
    "bert_base_uncased",
];
const COUNTERS: [&str; 6] = [
    "inference_requests",
    "inference_failures",
    "tokens_generated",
    "prompt_tokens",
    "cache_hits",
    "queue_rejections",
];
const GAUGES: [&str; 6] = [
    "gpu_cache_usage_ratio",
    "num_requests_running",
    "num_requests_waiting",
    "gpu_memory_used_bytes",
    "batch_size",
    "model_score_mean",
];
const HISTOGRAMS: [&str; 4] = [
    "request_latency_seconds",
    "time_to_first_token_seconds",
    "queue_time_seconds",
    "preprocessing_seconds",
];

/// The pages, made when they are asked for.
pub(crate) struct Pages {
    /// Samples of a page.
    pub(crate) n_samples: usize,
    counts: [usize; 3],
    made: Mutex<std::collections::BTreeMap<(usize, Form), Page>>,
}

/// One page.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) body: Arc<Vec<u8>>,
    /// All values' bits, added up.
    pub(crate) sum: u64,
}

impl Pages {
    /// Pages of about `n_series`.
    pub(crate) fn new(n_series: usize) -> Self {
        let n_histograms = n_series * 2 / 5 / PER_HISTOGRAM;
        let rest = n_series - n_histograms * PER_HISTOGRAM;
        let counts = [rest / 2, rest - rest / 2, n_histograms];
        Self { n_samples: n_series, counts, made: Mutex::default() }
    }

    /// The page of one scrape.
    pub(crate) fn page(&self, scrape: usize, form: Form) -> Page {
        let mut made = self.made.lock().expect("unpoisoned");
        made.entry((scrape, form)).or_insert_with(|| self.make(scrape, form)).clone()
    }

    fn make(&self, scrape: usize, form: Form) -> Page {
        let mut writer = Writer { out: String::new(), sum: 0, scrape: scrape as u64, form };
        let [counters, gauges, histograms] = self.counts;
        writer.families("counter", &COUNTERS, counters, Writer::counter);
        writer.families("gauge", &GAUGES, gauges, Writer::gauge);
        writer.families("histogram", &HISTOGRAMS, histograms, Writer::histogram);
        if form.is_openmetrics {
            writer.out.push_str("# EOF\n");
        }
        let body = match form.is_packed {
            false => writer.out.into_bytes(),
            true => {
                let fast = flate2::Compression::new(6);
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), fast);
                packer.write_all(writer.out.as_bytes()).expect("memory");
                packer.finish().expect("memory")
            }
        };
        Page { body: Arc::new(body), sum: writer.sum }
    }
}

struct Writer {
    out: String,
    sum: u64,
    scrape: u64,
    form: Form,
}

impl Writer {
    fn families(
        &mut self,
        word: &str,
        stems: &[&str],
        n: usize,
        write: fn(&mut Self, &str, &str, &mut Rng, u64),
    ) {
        for first in (0..n).step_by(PER_FAMILY) {
            let number = first / PER_FAMILY;
            let (stem, set) = (stems[number % stems.len()], number / stems.len());
            let mut name = format!("model_set{set}_{stem}");
            if word == "counter" && !self.form.is_openmetrics {
                name.push_str("_total");
            }
            let _ = writeln!(self.out, "# HELP {name} What the server knows of its {stem}.");
            let _ = writeln!(self.out, "# TYPE {name} {word}");
            for at in first..n.min(first + PER_FAMILY) {
                let mut rng = Rng::new(at as u64 + 1);
                let labels = labels(at, &mut rng);
                // Three of ten stand still.
                let steps = if rng.below(10) < 3 { 0 } else { self.scrape };
                write(self, &name, &labels, &mut rng, steps);
            }
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: f64) {
        self.sum = self.sum.wrapping_add(value.to_bits());
        // As the client of Python writes floats.
        let _ = writeln!(self.out, "{name}{suffix}{{{labels}}} {value:?}");
    }

    fn counter(&mut self, name: &str, labels: &str, rng: &mut Rng, steps: u64) {
        let value = rng.below(1 << 24) + steps * (1 + rng.below(500));
        let suffix = if self.form.is_openmetrics { "_total" } else { "" };
        self.sample(name, suffix, labels, value as f64);
    }

    fn gauge(&mut self, name: &str, labels: &str, rng: &mut Rng, _: u64) {
        let place = rng.next();
        let mut rng = Rng::new(place ^ self.scrape);
        let value = match place % 3 {
            0 => rng.below(1 << 34) as f64,
            1 => rng.below(200) as f64,
            _ => rng.unit(),
        };
        self.sample(name, "", labels, value);
    }

    fn histogram(&mut self, name: &str, labels: &str, rng: &mut Rng, steps: u64) {
        let mut count = 0;
        for bound in BOUNDS {
            count += rng.below(5000) + steps * rng.below(40);
            self.sample(name, "_bucket", &format!("{labels},le=\"{bound}\""), count as f64);
        }
        self.sample(name, "_count", labels, count as f64);
        self.sample(name, "_sum", labels, count as f64 * (0.05 + rng.unit()));
    }
}

/// Three to five labels, different for each series of a family.
fn labels(at: usize, rng: &mut Rng) -> String {
    let (model, route) = (MODELS[at % MODELS.len()], at % PER_FAMILY);
    let mut labels = format!(
        "model=\"{model}\",version=\"{}\",replica=\"{model}-7c9d8f6b5d-{route:04x}\"",
        1 + at % 5,
    );
    for (name, words) in [
        ("method", &["predict", "embed", "generate", "explain"][..]),
        ("code", &["200", "400", "429", "500"]),
    ] {
        if rng.below(2) == 0 {
            let _ = write!(labels, ",{name}=\"{}\"", rng.pick(words));
        }
    }
    labels
}
