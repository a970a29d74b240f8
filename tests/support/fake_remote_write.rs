//! A strict receiver of remote write in this process: read by the official definitions, and told to
//! misbehave. What a request does that no sender may do is kept as an offence.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use prost::Message as _;

use super::remote_write_proto::{one, two};

/// How the next request is treated.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answered so, with nothing stored; header lines, each with its end.
    Say(u16, String, String),
    /// Broken off, with nothing stored.
    Break,
    /// Stored, and broken off instead of an answer.
    StoreAndBreak,
    /// Stored, and answered so.
    Store(u16, String),
    /// Stored but for as many samples of the end, with 400 and the headers of what was written.
    StoreBut(usize),
    /// Stored, and answered only after so long.
    StoreSlowly(Duration),
}

impl Act {
    pub(crate) fn status(status: u16) -> Self {
        Self::Say(status, String::new(), String::new())
    }
}

/// What the receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Both,
    /// 1.0, and it takes 2.0 for an empty request of it.
    One,
    /// 1.0, and it says so.
    OneSaid,
    /// 1.0, and it cannot read 2.0.
    OneFails,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) line: String,
    /// In lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) raw: Vec<u8>,
    /// Whether it is of 2.0.
    pub(crate) is_two: bool,
    pub(crate) series: Vec<Series>,
}

/// Names and values.
pub(crate) type Labels = Vec<(String, String)>;

/// A series, of either version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Time, bits and start.
    pub(crate) samples: Vec<(i64, u64, i64)>,
    pub(crate) histograms: Vec<two::Histogram>,
    /// Labels, value, time.
    pub(crate) exemplars: Vec<(Labels, f64, i64)>,
    /// Type, help, unit.
    pub(crate) metadata: (i32, String, String),
}

impl Series {
    /// The series with its labels, as text.
    pub(crate) fn name(&self) -> String {
        let labels = self.labels.iter().filter(|(name, _)| name != "__name__");
        let labels: Vec<String> =
            labels.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{}{{{}}}", self.label("__name__"), labels.join(","))
    }

    /// As Prometheus names it in its answers.
    fn as_prometheus(&self) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{{{}}}", labels.join(", "))
    }

    pub(crate) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// What is stored of a series at one time.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) time: i64,
    /// The value; of a histogram, its sum, which is what says that it is stale.
    pub(crate) bits: u64,
    pub(crate) start: i64,
    /// A histogram's.
    pub(crate) count: Option<u64>,
    /// What became of each request that had it; `None` is that it was not answered.
    pub(crate) answers: Vec<Option<Reply>>,
}

/// When a request was answered, and when the connection was taken that it came by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) connected_at: Instant,
    pub(crate) at: Instant,
}

#[derive(Debug)]
struct State {
    acts: VecDeque<Act>,
    speaks: Speaks,
    requests: Vec<Request>,
    /// By series, in order.
    stored: BTreeMap<String, Vec<Kept>>,
    n_repeated: usize,
    offences: Vec<String>,
}

/// An answer, and how long it takes.
struct Answer {
    text: Option<String>,
    after: Duration,
}

#[derive(Clone)]
pub(crate) struct FakeRemoteWrite {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl FakeRemoteWrite {
    /// Listens for as long as the process lives.
    pub(crate) fn start(speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            acts: VecDeque::new(),
            speaks,
            requests: Vec::new(),
            stored: BTreeMap::new(),
            n_repeated: 0,
            offences: Vec::new(),
        };
        let fake = Self { state: Arc::new(Mutex::new(state)), address };
        let serving = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = serving.clone();
                // An end of the connection is no error.
                let connected_at = Instant::now();
                std::thread::spawn(move || while fake.serve(&stream, connected_at).is_some() {});
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Forgets the acts that were not played yet.
    pub(crate) fn recover(&self) {
        self.state().acts.clear();
    }

    /// Times and bits by series.
    pub(crate) fn stored(&self) -> BTreeMap<String, Vec<(i64, u64)>> {
        let state = self.state();
        let each = state.stored.iter().map(|(name, kept)| {
            (name.clone(), kept.iter().map(|one| (one.time, one.bits)).collect())
        });
        each.collect()
    }

    /// All that is known of what is stored.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<Kept>> {
        self.state().stored.clone()
    }

    /// How many requests came.
    pub(crate) fn n_requests(&self) -> usize {
        self.state().requests.len()
    }

    /// The newest value of the series, if `name` has one.
    pub(crate) fn newest(&self, name: &str) -> Option<f64> {
        let newest = self.state().stored.get(name)?.last().map(|one| one.bits);
        newest.map(f64::from_bits)
    }

    /// Samples that were stored before, to the bit.
    pub(crate) fn n_repeated(&self) -> usize {
        self.state().n_repeated
    }

    pub(crate) fn offences(&self) -> Vec<String> {
        self.state().offences.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }

    /// One request; `None` at the end of the connection.
    fn serve(&self, mut stream: &TcpStream, connected_at: Instant) -> Option<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("a head of text");
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let len = headers["content-length"].parse().expect("a length");
        let mut body = vec![0; len];
        stream.read_exact(&mut body).ok()?;
        let Answer { text, after } = self.answer(line, headers, &body, connected_at);
        if !after.is_zero() {
            std::thread::park_timeout(after);
        }
        stream.write_all(text?.as_bytes()).ok()
    }

    fn answer(
        &self,
        line: String,
        headers: BTreeMap<String, String>,
        body: &[u8],
        connected_at: Instant,
    ) -> Answer {
        let mut state = self.state();
        let at_once = |text| Answer { text: Some(text), after: Duration::ZERO };
        let never = Answer { text: None, after: Duration::ZERO };
        // A block is one that the decoder of blocks takes whole.
        let raw = match snap::raw::Decoder::new().decompress_vec(body) {
            Ok(raw) => raw,
            Err(error) => {
                state.offences.push(format!("no snappy block: {error}"));
                return at_once(answered(400, "", ""));
            }
        };
        let is_two = headers.get("content-type").is_some_and(|kind| kind.contains("v2"));
        let at = Instant::now();
        let series = match is_two {
            true => series_of_two(&raw, &mut state.offences),
            false => series_of_one(&raw),
        };
        offences_of_all(&series, &mut state.offences);
        state.requests.push(Request { at, line, headers, raw, is_two, series: series.clone() });
        let act = state.acts.pop_front();
        match act {
            Some(Act::Break) => return never,
            Some(Act::Say(status, headers, body)) => {
                return at_once(answered(status, &headers, &body));
            }
            _ => {}
        }
        match state.speaks {
            Speaks::One if is_two => return at_once(answered(204, "", "")),
            Speaks::OneSaid if is_two => return at_once(answered(415, "", "no 2.0 here")),
            Speaks::OneFails if is_two => {
                return at_once(answered(400, "", "proto: wrong wireType"));
            }
            _ => {}
        }
        let n_left_out = if let Some(Act::StoreBut(n)) = act { n } else { 0 };
        let reply = match act {
            Some(Act::StoreAndBreak) => None,
            Some(Act::StoreSlowly(after)) => Some(Reply { connected_at, at: at + after }),
            _ => Some(Reply { connected_at, at }),
        };
        let stored = state.store(&series, is_two, n_left_out, reply);
        match act {
            Some(Act::StoreAndBreak) => never,
            Some(Act::StoreSlowly(after)) => Answer { text: Some(stored.answer(is_two)), after },
            Some(Act::Store(status, body)) => {
                at_once(answered(status, &written(stored.n_samples, stored.n_histograms), &body))
            }
            _ => at_once(stored.answer(is_two)),
        }
    }
}

/// What became of a request.
#[derive(Debug, Default)]
struct Stored {
    n_samples: usize,
    n_histograms: usize,
    /// A line for each sample that was not stored.
    refused: Vec<String>,
}

impl Stored {
    /// As Prometheus says it.
    fn answer(&self, is_two: bool) -> String {
        let headers = match is_two {
            true => written(self.n_samples, self.n_histograms),
            false => String::new(),
        };
        match &self.refused[..] {
            [] => answered(204, &headers, ""),
            [one, ..] if !is_two => answered(400, "", one.split(" for ").next().unwrap_or(one)),
            all => answered(400, &headers, &all.join("\n")),
        }
    }
}

impl State {
    /// Stores all but the last `n_left_out` samples, as Prometheus does: in the order of time or
    /// not at all, and of 1.0 all or nothing. What was stored before is no offence; what is another
    /// value of its time, or of a time that was passed over, is one.
    fn store(
        &mut self,
        series: &[Series],
        is_two: bool,
        n_left_out: usize,
        reply: Option<Reply>,
    ) -> Stored {
        let mut result = Stored::default();
        let before = (!is_two).then(|| self.stored.clone());
        let floats = |one: &Series| {
            let each = one.samples.iter();
            each.map(|(time, bits, start)| (*time, *bits, *start, None)).collect::<Vec<_>>()
        };
        let histograms = |one: &Series| {
            let each = one.histograms.iter().map(|histogram| {
                let two::histogram::Count::CountInt(count) = histogram.count.expect("a count")
                else {
                    return (histogram.timestamp, histogram.sum.to_bits(), 0, None);
                };
                let start = histogram.start_timestamp;
                (histogram.timestamp, histogram.sum.to_bits(), start, Some(count))
            });
            each.collect::<Vec<_>>()
        };
        let all = series.iter().flat_map(|one| {
            let each = [floats(one), histograms(one)].concat();
            each.into_iter().map(move |sample| (one, sample))
        });
        let all: Vec<_> = all.collect();
        let n_all = all.len();
        for (index, (one, (time, bits, start, count))) in all.into_iter().enumerate() {
            let kept = Kept { time, bits, start, count, answers: vec![reply] };
            let words = match index + n_left_out < n_all {
                true => self.keep(&one.name(), kept),
                false => Some("out of order sample"),
            };
            match words {
                Some(words) => {
                    result.refused.push(format!("{words} for series {}", one.as_prometheus()));
                }
                None if one.samples.is_empty() => result.n_histograms += 1,
                None => result.n_samples += 1,
            }
        }
        if let Some(before) = before.filter(|_| !result.refused.is_empty()) {
            self.stored = before;
        }
        result
    }

    /// Keeps one sample; the words where it is refused.
    fn keep(&mut self, name: &str, new: Kept) -> Option<&'static str> {
        let kept = self.stored.entry(name.to_owned()).or_default();
        let is_newest = kept.last().is_none_or(|last| last.time < new.time);
        if is_newest {
            kept.push(new);
            return None;
        }
        let n = kept.len();
        let offence = match kept.binary_search_by_key(&new.time, |one| one.time) {
            Ok(at) if (kept[at].bits, kept[at].count) == (new.bits, new.count) => {
                kept[at].answers.extend(new.answers);
                self.n_repeated += 1;
                return (at + 1 < n).then_some("out of order sample");
            }
            Ok(at) => format!("another value than {}", f64::from_bits(kept[at].bits)),
            Err(_) => format!("out of order, after {}", kept[n - 1].time),
        };
        let value = f64::from_bits(new.bits);
        self.offences.push(format!("{offence}: {name} @{} {value}", new.time));
        Some("out of order sample")
    }
}

fn written(samples: usize, histograms: usize) -> String {
    format!(
        "X-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\
         X-Prometheus-Remote-Write-Histograms-Written: {histograms}\r\n"
    )
}

fn answered(status: u16, headers: &str, body: &str) -> String {
    let len = match status {
        204 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    format!("HTTP/1.1 {status} Said\r\n{headers}{len}\r\n{body}")
}

fn series_of_one(raw: &[u8]) -> Vec<Series> {
    let request = one::WriteRequest::decode(raw).expect("a request of 1.0");
    let labels = |labels: &[one::Label]| -> Labels {
        labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
    };
    let told = request.timeseries.iter().map(|series| Series {
        labels: labels(&series.labels),
        samples: series.samples.iter().map(|one| (one.timestamp, one.value.to_bits(), 0)).collect(),
        // The messages have the same numbers.
        histograms: series
            .histograms
            .iter()
            .map(|one| two::Histogram::decode(&one.encode_to_vec()[..]).expect("alike"))
            .collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|one| (labels(&one.labels), one.value, one.timestamp))
            .collect(),
        metadata: (0, String::new(), String::new()),
    });
    told.collect()
}

fn series_of_two(raw: &[u8], offences: &mut Vec<String>) -> Vec<Series> {
    let request = two::Request::decode(raw).expect("a request of 2.0");
    if request.symbols.first().map(String::as_str) != Some("") {
        offences.push("the first symbol is not empty".to_owned());
    }
    let mut unique: Vec<&String> = request.symbols.iter().collect();
    unique.sort();
    unique.dedup();
    if unique.len() != request.symbols.len() {
        offences.push("a symbol twice".to_owned());
    }
    let mut text = |number: u32| {
        request.symbols.get(number as usize).cloned().unwrap_or_else(|| {
            offences.push(format!("no symbol {number}"));
            String::new()
        })
    };
    let mut series = Vec::new();
    for one in &request.timeseries {
        let mut labels = |refs: &[u32]| -> Labels {
            assert_eq!(refs.len() % 2, 0, "names and values");
            refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect()
        };
        let own = labels(&one.labels_refs);
        let exemplars = one.exemplars.iter();
        let exemplars = exemplars.map(|of| (labels(&of.labels_refs), of.value, of.timestamp));
        let exemplars = exemplars.collect();
        let said = one.metadata.unwrap_or_default();
        series.push(Series {
            labels: own,
            samples: one
                .samples
                .iter()
                .map(|of| (of.timestamp, of.value.to_bits(), of.start_timestamp))
                .collect(),
            histograms: one.histograms.clone(),
            exemplars,
            metadata: (said.r#type, text(said.help_ref), text(said.unit_ref)),
        });
    }
    series
}

/// What a request must keep: no series twice, and what each must.
fn offences_of_all(series: &[Series], offences: &mut Vec<String>) {
    let mut names: Vec<_> =
        series.iter().map(|one| (&one.labels, one.samples.is_empty())).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        offences.push("a series twice in one request".to_owned());
    }
    series.iter().for_each(|one| offences_of(one, offences));
}

/// What every series must keep.
fn offences_of(series: &Series, offences: &mut Vec<String>) {
    let name = series.name();
    let mut no = |is_so: bool, what: &str| {
        if is_so {
            offences.push(format!("{what}: {name}"));
        }
    };
    no(!series.labels.is_sorted_by(|a, b| a.0 < b.0), "labels not sorted, or not unique");
    no(
        series.labels.iter().any(|(name, value)| name.is_empty() || value.is_empty()),
        "empty label",
    );
    let metric = series.label("__name__");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let starts_well = !metric.starts_with(|c: char| c.is_ascii_digit());
    no(metric.is_empty() || !metric.chars().all(is_word) || !starts_well, "name");
    no(series.samples.is_empty() == series.histograms.is_empty(), "samples or histograms");
    no(!series.samples.is_sorted_by(|a, b| a.0 < b.0), "samples out of order");
    let after_2001 = |time: i64| time > 1_000_000_000_000;
    no(!series.samples.iter().all(|(time, _, _)| after_2001(*time)), "no milliseconds");
    no(series.samples.iter().any(|(time, _, start)| start > time), "start after the sample");
    no(!series.exemplars.iter().all(|(_, _, time)| after_2001(*time)), "time of an exemplar");
    for histogram in &series.histograms {
        no(!after_2001(histogram.timestamp), "no milliseconds");
        no(histogram.count.is_none(), "no count");
        no(!(-4..=8).contains(&histogram.schema), "schema");
    }
}
