//! One scrape's samples, gathered by family: whose they are, what their labels become, how many and
//! how long they may be.
//!
//! What points a family makes is `points`' matter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::labels::{self, get};
use super::points::Points;
use super::proto::{self, Take};
use super::relabel::{self, Rule};
use super::replay::Lines;
use super::sample::{NAME, Pair, ParseError, Sample};
use super::text::{Line, Reader};
use crate::event::otlp::prometheus::FamilyType;

/// What a scrape may be; `None` is without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Samples behind `metric_relabel`.
    pub samples: Option<usize>,
    /// Labels of a sample, its name among them.
    pub labels: Option<usize>,
    /// Bytes of a label's name.
    pub name_bytes: Option<usize>,
    /// Bytes of a label's value.
    pub value_bytes: Option<usize>,
}

/// What is done to the samples of a target.
#[derive(Clone, Debug, Default)]
pub struct Treatment {
    /// The target's own labels, `job` and `instance` among them.
    pub labels: Vec<(String, String)>,
    /// Whether a sample's label stays where the target has one of that name.
    pub honor_labels: bool,
    /// Whether a sample's time counts.
    pub honor_timestamps: bool,
    /// Rules for what is stored.
    pub relabel: Vec<Rule>,
    /// What it may be.
    pub limits: Limits,
}

/// Why an exposition is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// More samples than there may be.
    #[error("more than {0} samples (sample_limit)")]
    Samples(usize),
    /// More labels than a sample may have.
    #[error("{metric} has {n} labels, more than {most} (label_limit)")]
    Labels {
        /// Its name.
        metric: String,
        /// How many there are.
        n: usize,
        /// How many there may be.
        most: usize,
    },
    /// A name or value that is too long.
    #[error(
        "{metric} has a label {what} of {n} bytes, more than {most} (label_{what}_length_limit)"
    )]
    Length {
        /// Its name.
        metric: String,
        /// `name` or `value`.
        what: &'static str,
        /// How long it is.
        n: usize,
        /// How long it may be.
        most: usize,
    },
    /// The rules took the name away.
    #[error("metric_relabel left a sample without a name")]
    NoName,
}

/// What is known of a family.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) help: Cow<'a, str>,
    pub(super) unit: &'a str,
    pub(super) family_type: FamilyType,
}

/// What samples of a type are called beside their family.
fn suffixes(family_type: FamilyType) -> &'static [&'static str] {
    match family_type {
        FamilyType::Counter => &["_total", "_created"],
        FamilyType::Histogram => &["_bucket", "_sum", "_count", "_created"],
        FamilyType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        FamilyType::Summary => &["_sum", "_count", "_created"],
        FamilyType::Info => &["_info"],
        FamilyType::Gauge | FamilyType::StateSet | FamilyType::Unknown => &[],
    }
}

/// A sample with the labels that it is stored under, sorted.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) labels: Range<usize>,
    /// The number of its line, from 0; nothing in protobuf.
    pub(super) line: usize,
    pub(super) sample: Sample<'a>,
}

/// See the module.
pub(super) struct Gather<'a, 'o> {
    treatment: &'a Treatment,
    is_openmetrics: bool,
    known: HashMap<Cow<'a, str>, Meta<'a>>,
    current: Meta<'a>,
    pairs: Vec<Pair<'a>>,
    kept: Vec<Kept<'a>>,
    points: &'o mut Points,
    /// The number of the line that is read.
    line: usize,
    /// Samples that were read, and those that are stored.
    pub(super) n_scraped: usize,
    pub(super) n_kept: usize,
}

impl<'a, 'o> Gather<'a, 'o> {
    pub(super) fn new(
        treatment: &'a Treatment,
        is_openmetrics: bool,
        points: &'o mut Points,
    ) -> Self {
        Self {
            treatment,
            is_openmetrics,
            known: HashMap::new(),
            current: Meta::default(),
            pairs: Vec::new(),
            kept: Vec::new(),
            points,
            line: 0,
            n_scraped: 0,
            n_kept: 0,
        }
    }

    /// Reads all of a body of text; what its lines are.
    pub(super) fn read_text(&mut self, body: &'a [u8]) -> Result<Lines, Refused> {
        let mut reader = Reader::new(body, self.is_openmetrics)?;
        let mut labels = Vec::new();
        while let Some(line) = reader.next(&mut labels)? {
            self.line = reader.at();
            match line {
                Line::Help(name, help) => self.describe(name, |meta| meta.help = help),
                Line::Unit(name, unit) => self.describe(name, |meta| meta.unit = unit),
                Line::Type(name, family_type) => {
                    self.describe(name, |meta| meta.family_type = family_type);
                }
                Line::Sample(sample) => self.sample(&mut labels, sample)?,
            }
        }
        self.flush();
        Ok(reader.lines)
    }

    /// The same of protobuf.
    pub(super) fn read_protobuf(&mut self, body: &'a [u8]) -> Result<(), Refused> {
        self.points.recorder.spoil();
        proto::read(body, self)?;
        self.flush();
        Ok(())
    }

    fn describe(&mut self, name: Cow<'a, str>, say: impl FnOnce(&mut Meta<'a>)) {
        // What was read of it is what it was until now.
        if self.current.name == name {
            self.flush();
            self.current = Meta::default();
        }
        let fresh = Meta { name: name.clone(), ..Meta::default() };
        say(self.known.entry(name).or_insert(fresh));
    }

    fn allows(&self, suffix: &str) -> bool {
        suffix != "_created" || self.is_openmetrics
    }

    fn is_of_current(&self, name: &str) -> bool {
        let Some(suffix) = name.strip_prefix(&*self.current.name) else { return false };
        let is_part = suffixes(self.current.family_type).contains(&suffix) && self.allows(suffix);
        suffix.is_empty() || (is_part && !self.known.contains_key(name))
    }

    /// Goes on to the family of `name`.
    fn turn_to(&mut self, name: &str) {
        self.flush();
        if let Some(meta) = self.known.get(name) {
            self.current = meta.clone();
            return;
        }
        for suffix in
            ["_total", "_bucket", "_sum", "_count", "_created", "_info", "_gsum", "_gcount"]
        {
            let stem = name.strip_suffix(suffix).filter(|_| self.allows(suffix));
            let meta = stem.and_then(|stem| self.known.get(stem));
            if let Some(meta) = meta.filter(|meta| suffixes(meta.family_type).contains(&suffix)) {
                self.current = meta.clone();
                return;
            }
        }
        self.current = Meta { name: name.to_owned().into(), ..Meta::default() };
    }

    fn check(&self, labels: &[Pair<'a>]) -> Result<(), Refused> {
        let limits = &self.treatment.limits;
        let is_over = |most: Option<usize>, n: usize| most.filter(|most| n > *most);
        let metric = || get(labels, NAME).chars().take(50).collect::<String>();
        if get(labels, NAME).is_empty() {
            return Err(Refused::NoName);
        }
        if let Some(most) = is_over(limits.labels, labels.len()) {
            return Err(Refused::Labels { metric: metric(), n: labels.len(), most });
        }
        for (name, value) in labels {
            for (what, n, most) in [
                ("name", name.len(), limits.name_bytes),
                ("value", value.len(), limits.value_bytes),
            ] {
                if let Some(most) = is_over(most, n) {
                    return Err(Refused::Length { metric: metric(), what, n, most });
                }
            }
        }
        match is_over(limits.samples, self.n_kept) {
            Some(most) => Err(Refused::Samples(most)),
            None => Ok(()),
        }
    }

    fn flush(&mut self) {
        if !self.kept.is_empty() {
            self.points.write(&self.current, &self.pairs, &mut self.kept, self.is_openmetrics);
        }
        self.kept.clear();
        self.pairs.clear();
    }
}

impl<'a> Take<'a> for Gather<'a, '_> {
    type Refused = Refused;

    fn family(&mut self, family: proto::Family<'a>) {
        let proto::Family { name, help, unit, family_type } = family;
        self.flush();
        let meta = Meta { name: name.into(), help: help.into(), unit, family_type };
        self.known.insert(name.into(), meta.clone());
        self.current = meta;
    }

    fn sample(&mut self, labels: &mut Vec<Pair<'a>>, sample: Sample<'a>) -> Result<(), Refused> {
        let treatment = self.treatment;
        self.n_scraped += 1;
        let name = get(labels, NAME);
        if !self.is_of_current(name) {
            let name = name.to_owned();
            self.turn_to(&name);
        }
        // Before anything is added: what is empty is not there.
        labels.retain(|(_, value)| !value.is_empty());
        labels::add(labels, &treatment.labels, treatment.honor_labels);
        if !relabel::apply(&treatment.relabel, labels) {
            return Ok(());
        }
        // No name is there twice.
        labels.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.n_kept += 1;
        self.check(labels)?;
        let start = self.pairs.len();
        self.pairs.append(labels);
        let time_ns = sample.time_ns.filter(|_| treatment.honor_timestamps);
        let sample = Sample { time_ns, ..sample };
        self.points.recorder.keep(self.line);
        self.kept.push(Kept { labels: start..self.pairs.len(), line: self.line, sample });
        Ok(())
    }
}
