//! From the samples of a family to points of OTLP, as [`crate::event::otlp::prometheus`] agrees on.
//!
//! Owns which samples make one point, and what becomes of those that make none.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::family::{Kept, Meta};
use super::labels::get;
use super::output::{Of, Output, Shape, push_head};
use super::replay::{Part, Recorder};
use super::sample::{Exemplar, NAME, Pair, time_of, value};
use super::told::{Telling, Told};
use super::values::{Values, push_parts, push_values};
use crate::event::otlp::prometheus::FamilyType;
use crate::event::otlp::wire::push_message;
use crate::event::otlp::write::push_attribute;

/// Whole numbers that a double holds, and so a count that was written as one.
const WHOLE_MAX: f64 = (1u64 << 53) as f64;

/// See the module.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) output: Output,
    pub(super) telling: Telling,
    /// What becomes of the page's lines.
    pub(super) recorder: Recorder,
    /// Of the scrape.
    time_ns: i64,
    /// The series that there were before.
    before: HashSet<u64>,
    /// Those of now, points of other times included.
    now: HashSet<u64>,
    /// Samples of series that there were not.
    pub(super) n_added: usize,
    /// Points of series that had one already.
    pub(super) n_twice: usize,
    head: Vec<u8>,
    name: Vec<u8>,
    parts: Vec<u8>,
}

/// Samples that make one point.
#[derive(Debug, Default)]
struct Group {
    /// Of the point's name, which the parts' names begin with.
    base_len: usize,
    /// Buckets or quantiles, by their samples' numbers.
    parts: Vec<usize>,
    sum: Option<usize>,
    count: Option<usize>,
    created: Option<usize>,
    /// Samples that no point of this type has.
    others: Vec<usize>,
}

/// The family that is written.
struct Family<'f, 'a> {
    meta: &'f Meta<'a>,
    pairs: &'f [Pair<'a>],
    kept: &'f [Kept<'a>],
}

impl<'f, 'a> Family<'f, 'a> {
    fn labels(&self, at: usize) -> &'f [Pair<'a>] {
        &self.pairs[self.kept[at].labels.clone()]
    }

    fn name(&self, at: usize) -> &'f str {
        get(self.labels(at), NAME)
    }

    fn value(&self, at: usize) -> f64 {
        self.kept[at].sample.value
    }
}

impl Points {
    pub(super) fn new(output: Output, last: &Told, time_ns: i64) -> Self {
        Self {
            output,
            telling: Telling::new(last),
            recorder: Recorder::default(),
            time_ns,
            before: last.hashes(),
            now: HashSet::new(),
            n_added: 0,
            n_twice: 0,
            head: Vec::new(),
            name: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Writes the points of a family.
    pub(super) fn write(
        &mut self,
        meta: &Meta<'_>,
        pairs: &[Pair<'_>],
        kept: &mut [Kept<'_>],
        is_openmetrics: bool,
    ) {
        for one in kept.iter_mut() {
            one.sample.exemplars.retain(Exemplar::is_short);
        }
        let family = Family { meta, pairs, kept };
        let mut loose: Vec<usize> = Vec::new();
        match meta.family_type {
            FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary => {
                for group in groups(&family, is_openmetrics) {
                    self.group(&family, &group, &mut loose);
                }
            }
            FamilyType::GaugeHistogram => loose.extend(0..kept.len()),
            family_type => {
                for at in 0..family.kept.len() {
                    self.number(&family, at, (Shape::Gauge, family_type), None);
                    self.recorder.point([(family.kept[at].line, Part::Value)].into_iter());
                }
            }
        }
        if !loose.is_empty() {
            self.recorder.spoil();
        }
        // By name, as series of one name are one metric.
        loose.sort_by_key(|at| family.name(*at));
        for at in loose {
            match family.kept[at].sample.native {
                // It has no value that could be told.
                Some(_) => self.n_twice += 1,
                None => self.number(&family, at, (Shape::Gauge, FamilyType::Unknown), None),
            }
        }
    }

    /// Writes the point of a group, or gives its samples to those that make none.
    fn group(&mut self, family: &Family<'_, '_>, group: &Group, loose: &mut Vec<usize>) {
        let created = group.created.and_then(|at| time_of(family.value(at)));
        let family_type = family.meta.family_type;
        let is_written = match family_type {
            FamilyType::Counter => {
                for at in &group.parts {
                    self.number(family, *at, (Shape::Sum, family_type), created);
                }
                !group.parts.is_empty()
            }
            FamilyType::Summary => self.summary(family, group, created),
            _ => self.histogram(family, group, created),
        };
        if is_written {
            self.record(family, group);
        }
        for at in &group.others {
            match &family.kept[*at].sample.native {
                Some(native) if family_type == FamilyType::Histogram => {
                    let shape = (Shape::Exponential, family_type);
                    let name = family.name(*at).len();
                    let values = Values::Exponential(native);
                    self.point(family, (*at, name), shape, (values, created), &[*at], None);
                }
                _ => loose.push(*at),
            }
        }
        if !is_written {
            loose.extend(&group.parts);
            loose.extend([group.sum, group.count, group.created].into_iter().flatten());
        }
    }

    /// Notes the lines of a group's point.
    fn record(&mut self, family: &Family<'_, '_>, group: &Group) {
        let (part, is_plain) = match family.meta.family_type {
            FamilyType::Counter => (Part::Value, group.parts.len() == 1),
            family_type => {
                let label = if family_type == FamilyType::Summary { "quantile" } else { "le" };
                let bound = |at: &usize| value(get(family.labels(*at), label));
                (Part::Bound, group.parts.is_sorted_by(|a, b| bound(a) < bound(b)))
            }
        };
        if !is_plain || !group.others.is_empty() {
            self.recorder.spoil();
        }
        let line = |at: usize| family.kept[at].line;
        let parts = group.parts.iter().map(|at| (line(*at), part));
        let others =
            [(group.sum, Part::Sum), (group.count, Part::Count), (group.created, Part::Created)];
        let others = others.into_iter().filter_map(|(at, part)| Some((line(at?), part)));
        self.recorder.point(parts.chain(others));
    }

    fn number(
        &mut self,
        family: &Family<'_, '_>,
        at: usize,
        kind: (Shape, FamilyType),
        created: Option<i64>,
    ) {
        let values = Values::Number(family.value(at));
        let name = family.name(at).len();
        self.point(family, (at, name), kind, (values, created), &[at], None);
    }

    fn summary(&mut self, family: &Family<'_, '_>, group: &Group, created: Option<i64>) -> bool {
        let (Some(sum), Some(count)) = (group.sum, group.count) else { return false };
        let Some(n) = whole(family.value(count)) else { return false };
        let Some(quantiles) = bounds(family, group, "quantile") else { return false };
        let all: Vec<usize> = group.parts.iter().copied().chain([sum, count]).collect();
        if !is_one_time(family, &all) {
            return false;
        }
        let values = Values::Summary { count: n, sum: family.value(sum), quantiles: &quantiles };
        let kind = (Shape::Summary, family.meta.family_type);
        self.point(family, (count, group.base_len), kind, (values, created), &all, None);
        true
    }

    fn histogram(&mut self, family: &Family<'_, '_>, group: &Group, created: Option<i64>) -> bool {
        let Some(mut buckets) = bounds(family, group, "le") else { return false };
        // Without a count of its own, a reader would tell one that nobody exposed.
        let (Some(&(last, total)), Some(of_all)) = (buckets.last(), group.count) else {
            return false;
        };
        let is_parted = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if last != f64::INFINITY || !is_parted {
            return false;
        }
        let mut below = 0;
        for (_, count) in &mut buckets {
            let Some(n) = whole(*count).filter(|n| *n >= below) else { return false };
            (*count, below) = ((n - below) as f64, n);
        }
        let all = group.parts.iter().copied().chain(group.sum).chain([of_all]);
        let all: Vec<usize> = all.collect();
        if !is_one_time(family, &all) {
            return false;
        }
        let sum = group.sum.map(|at| family.value(at));
        let values = Values::Histogram { count: total as u64, sum, buckets: &buckets };
        let kind = (Shape::Histogram, family.meta.family_type);
        let first = group.parts.first().copied().unwrap_or(0);
        self.point(family, (first, group.base_len), kind, (values, created), &all, Some("le"));
        true
    }

    /// Writes a point with the labels of the sample `at` but one; its metric's name is as much of
    /// the sample's as is said. `all` are the samples in it.
    fn point(
        &mut self,
        family: &Family<'_, '_>,
        (at, name_len): (usize, usize),
        (shape, family_type): (Shape, FamilyType),
        (values, created): (Values<'_>, Option<i64>),
        all: &[usize],
        without: Option<&str>,
    ) {
        let labels = family.labels(at);
        let sample = &family.kept[at].sample;
        let metric = family.name(at).get(..name_len).unwrap_or_default();
        self.head.clear();
        let said = (&*family.meta.help, family.meta.unit);
        push_head(&mut self.head, metric, said, family_type);
        self.name.clear();
        for (name, value) in labels {
            let is_own = matches!(&**name, NAME | "job" | "instance");
            if !is_own && Some(&**name) != without {
                push_message(&mut self.name, shape.attribute(), |out| {
                    push_attribute(out, name, value);
                });
            }
        }
        let who = (get(labels, "job"), get(labels, "instance"));
        let n_name = self.name.len();
        self.name.extend_from_slice(&[shape as u8, 0xff]);
        for part in [metric, who.0, who.1] {
            self.name.extend_from_slice(part.as_bytes());
            self.name.push(0xff);
        }
        let hash = xxh3_64(&self.name);
        self.name.truncate(n_name);
        let is_of_now = sample.time_ns.is_none();
        let time_ns = sample.time_ns.unwrap_or(self.time_ns);
        let moment = if is_of_now { 0 } else { time_ns.cast_unsigned() };
        if !self.now.insert(hash ^ moment) {
            self.n_twice += 1;
            self.recorder.spoil();
            return;
        }
        let of = Of { who, shape, head: &self.head };
        if is_of_now {
            self.parts.clear();
            push_parts(&mut self.parts, &values);
            self.telling.note(hash, of, &self.name, &self.parts);
        } else {
            self.recorder.spoil();
        }
        if !self.before.contains(&hash) {
            self.n_added += all.len();
        }
        let start_ns = all.iter().find_map(|at| family.kept[*at].sample.created_ns).or(created);
        let exemplars = all.iter().flat_map(|at| &family.kept[*at].sample.exemplars);
        let name = &self.name;
        self.output.point(of, |out| {
            out.extend_from_slice(name);
            push_values(out, (shape, &values), (start_ns, time_ns), exemplars);
        });
    }
}

/// The number that a count is.
pub(super) fn whole(count: f64) -> Option<u64> {
    ((0.0..=WHOLE_MAX).contains(&count) && count.fract() == 0.0).then_some(count as u64)
}

/// Bounds and values of a group's parts, in order.
fn bounds(family: &Family<'_, '_>, group: &Group, label: &str) -> Option<Vec<(f64, f64)>> {
    let each = group.parts.iter().map(|at| {
        let bound = value(get(family.labels(*at), label)).filter(|bound| !bound.is_nan());
        bound.map(|bound| (bound, family.value(*at)))
    });
    let mut bounds = each.collect::<Option<Vec<(f64, f64)>>>()?;
    bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    Some(bounds)
}

fn is_one_time(family: &Family<'_, '_>, all: &[usize]) -> bool {
    let time = |at: &usize| family.kept[*at].sample.time_ns;
    all.windows(2).all(|pair| time(&pair[0]) == time(&pair[1]))
}

/// What a sample is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Part,
    Sum,
    Count,
    Created,
    Other,
}

/// The role of a sample, how much of its name is the group's, and the label that is not.
fn role(
    family: &Family<'_, '_>,
    at: usize,
    is_openmetrics: bool,
) -> (Role, usize, Option<&'static str>) {
    let name = family.name(at);
    let has = |label: &str| !get(family.labels(at), label).is_empty();
    let base = |suffix: &str| name.strip_suffix(suffix).map(str::len);
    let family_type = family.meta.family_type;
    let created = base("_created").filter(|_| is_openmetrics);
    if let Some(len) = created.filter(|_| *family.meta.name != *name) {
        return (Role::Created, len, None);
    }
    if family_type == FamilyType::Counter {
        return (Role::Part, base("_total").unwrap_or(name.len()), None);
    }
    if family.kept[at].sample.native.is_some() {
        return (Role::Other, name.len(), None);
    }
    match family_type {
        FamilyType::Histogram if has("le") => {
            if let Some(len) = base("_bucket") {
                return (Role::Part, len, Some("le"));
            }
        }
        FamilyType::Summary if has("quantile") => {
            return (Role::Part, name.len(), Some("quantile"));
        }
        _ => {}
    }
    match (base("_sum"), base("_count")) {
        (Some(len), _) => (Role::Sum, len, None),
        (_, Some(len)) => (Role::Count, len, None),
        _ => (Role::Other, name.len(), None),
    }
}

/// The groups of a family, in the order of their first samples.
fn groups(family: &Family<'_, '_>, is_openmetrics: bool) -> Vec<Group> {
    let (mut groups, mut index) = (Vec::<Group>::new(), HashMap::<Vec<u8>, usize>::new());
    let mut key = Vec::new();
    for at in 0..family.kept.len() {
        let (role, base_len, without) = role(family, at, is_openmetrics);
        key.clear();
        key.extend_from_slice(&family.name(at).as_bytes()[..base_len]);
        let moment = family.kept[at].sample.time_ns.filter(|_| role != Role::Created);
        for (name, value) in family.labels(at) {
            if name != NAME && Some(&**name) != without {
                key.push(0xff);
                key.extend_from_slice(name.as_bytes());
                key.push(0xff);
                key.extend_from_slice(value.as_bytes());
            }
        }
        // Points of one series at several times are several groups.
        if let Some(moment) = moment {
            key.push(0xff);
            key.extend_from_slice(&moment.to_le_bytes());
        }
        let group = match index.get(&key) {
            Some(group) => *group,
            None => {
                index.insert(key.clone(), groups.len());
                groups.push(Group { base_len, ..Group::default() });
                groups.len() - 1
            }
        };
        let group = &mut groups[group];
        let place = match role {
            Role::Part => None,
            Role::Sum => Some(&mut group.sum),
            Role::Count => Some(&mut group.count),
            Role::Created => Some(&mut group.created),
            Role::Other => {
                group.others.push(at);
                continue;
            }
        };
        match place {
            None => group.parts.push(at),
            Some(place) if place.is_none() => *place = Some(at),
            Some(_) => group.others.push(at),
        }
    }
    groups
}
