//! A page of text that names the same series as the one before: only its values are read.
//!
//! Owns what is remembered of the lines of a page, and the reading by it. It makes the very points
//! that reading the page anew would make, or none: a page that differs in anything but values, or
//! whose values no longer make whole points, is left to the ordinary way.
//!
//! # Why
//! A target exposes the same series in the same order for as long as it runs, and nearly all that
//! a scrape costs is to find out again what they are: labels read, sorted, grouped and written.
//! What stands in front of a line's value is compared by its hash instead (eleven bytes a line
//! are kept), and what was written for its point is what [`Told`] keeps anyway. Should two lines
//! share a hash, a value would go to a series that was there before: less than once in 10^12
//! scrapes in which all of 100,000 lines are new.

use xxhash_rust::xxh3::xxh3_64;

use super::output::{Output, Shape};
use super::points::whole;
use super::sample::{time_of, value};
use super::told::{Names, Told};
use super::values::{Values, bounds_of, push_values, quantiles_of};

/// What a line is of its point; [`LAST`] is added to a point's last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A sample that is not kept.
    None = 0,
    /// A sample of which no point is known yet.
    Open = 1,
    Value = 2,
    /// A bucket or a quantile.
    Bound = 3,
    Sum = 4,
    Count = 5,
    Created = 6,
}

const LAST: u8 = 0x80;
/// A line's value comes behind as many bytes as are told with this bit; else they are all of it.
const IS_SAMPLE: u16 = 0x8000;

/// The lines of a page, in their order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Of all that is no value.
    hashes: Vec<u64>,
    lens: Vec<u16>,
    /// A line was too long to be remembered.
    is_short_of: bool,
}

impl Lines {
    /// Notes a line whose value, if it has one, begins at `value_at`.
    pub(super) fn note(&mut self, line: &str, value_at: Option<usize>) {
        let len = value_at.unwrap_or(line.len());
        self.is_short_of |= len >= usize::from(IS_SAMPLE);
        self.hashes.push(xxh3_64(&line.as_bytes()[..len]));
        self.lens.push(len as u16 | if value_at.is_some() { IS_SAMPLE } else { 0 });
    }
}

/// What becomes of the lines, noted while they are read.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    parts: Vec<u8>,
    /// The first line that may be open.
    next: usize,
    is_spoilt: bool,
}

impl Recorder {
    /// Notes that the sample of `line` is kept.
    pub(super) fn keep(&mut self, line: usize) {
        self.parts.resize(line, Part::None as u8);
        self.parts.push(Part::Open as u8);
    }

    /// Notes the next point and its lines, which must be the next that are open.
    pub(super) fn point(&mut self, lines: impl Iterator<Item = (usize, Part)>) {
        let mut last = None;
        for (line, part) in lines {
            let Some(open) = self.parts.get_mut(line).filter(|one| **one == Part::Open as u8)
            else {
                self.is_spoilt = true;
                return;
            };
            *open = part as u8;
            last = last.max(Some(line));
        }
        let Some(last) = last else { return };
        let between = self.parts.get(self.next..last).unwrap_or_default();
        self.is_spoilt |= between.contains(&(Part::Open as u8));
        self.parts[last] |= LAST;
        self.next = last + 1;
    }

    /// The page holds what cannot be read by its lines.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    /// What the next page can be read by.
    pub(super) fn finish(mut self, lines: Lines, numbers: (usize, usize)) -> Option<Script> {
        let is_whole = !lines.is_short_of && !self.parts.contains(&(Part::Open as u8));
        self.parts.resize(lines.lens.len(), Part::None as u8);
        let Self { parts, is_spoilt, .. } = self;
        let (n_scraped, n_kept) = numbers;
        (is_whole && !is_spoilt).then_some(Script { lines, parts, n_scraped, n_kept })
    }
}

/// All that is remembered of a page.
#[derive(Debug)]
pub(super) struct Script {
    lines: Lines,
    parts: Vec<u8>,
    pub(super) n_scraped: usize,
    pub(super) n_kept: usize,
}

#[cfg(test)]
impl Script {
    /// Bytes that it takes.
    pub(super) fn n_bytes(&self) -> usize {
        self.parts.len() + self.lines.hashes.len() * (size_of::<u64>() + size_of::<u16>())
    }
}

/// The values of the point that is read.
#[derive(Debug, Default)]
struct Read {
    value: f64,
    bounds: Vec<f64>,
    sum: Option<f64>,
    count: Option<f64>,
    created: Option<f64>,
    /// Bounds with their values.
    pairs: Vec<(f64, f64)>,
}

/// Writes the points of a page, if it can be read by what is remembered of the last one.
pub(super) fn read(body: &[u8], last: &Told, mut output: Output, time_ns: i64) -> Option<Output> {
    let script = last.script.as_ref()?;
    let Script { lines, parts, .. } = script;
    let mut rest = std::str::from_utf8(body).ok()?;
    let (mut names, mut point) = (last.names(), Read::default());
    for ((hash, len), part) in lines.hashes.iter().zip(&lines.lens).zip(parts) {
        let (line, behind) = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None if rest.is_empty() => return None,
            None => (rest, ""),
        };
        rest = behind;
        let len_of_name = usize::from(len & !IS_SAMPLE);
        let name = line.as_bytes().get(..len_of_name)?;
        if xxh3_64(name) != *hash {
            return None;
        }
        if len & IS_SAMPLE == 0 {
            if line.len() != len_of_name {
                return None;
            }
            continue;
        }
        point.take(part & !LAST, value(line.get(len_of_name..)?)?);
        if part & LAST != 0 {
            point.write(&mut names, &mut output, time_ns)?;
        }
    }
    rest.is_empty().then_some(output)
}

impl Read {
    fn take(&mut self, part: u8, value: f64) {
        match part {
            part if part == Part::Value as u8 => self.value = value,
            part if part == Part::Bound as u8 => self.bounds.push(value),
            part if part == Part::Sum as u8 => self.sum = Some(value),
            part if part == Part::Count as u8 => self.count = Some(value),
            part if part == Part::Created as u8 => self.created = Some(value),
            _ => {}
        }
    }

    /// Writes the point under the next name; `None` where its values make none.
    fn write(&mut self, names: &mut Names<'_>, output: &mut Output, time_ns: i64) -> Option<()> {
        if !names.next() {
            return None;
        }
        let of = names.of();
        self.pairs.clear();
        let values = match of.shape {
            Shape::Gauge | Shape::Sum => Values::Number(self.value),
            Shape::Histogram => {
                let bounds = bounds_of(names.parts()).chain([f64::INFINITY]);
                let mut below = 0;
                for (bound, count) in bounds.zip(&self.bounds) {
                    let n = whole(*count).filter(|n| *n >= below)?;
                    self.pairs.push((bound, (n - below) as f64));
                    below = n;
                }
                Values::Histogram { count: below, sum: self.sum, buckets: &self.pairs }
            }
            Shape::Summary => {
                let quantiles = quantiles_of(names.parts()).zip(&self.bounds);
                self.pairs.extend(quantiles.map(|(at, value)| (at, *value)));
                let count = self.count.and_then(whole)?;
                Values::Summary { count, sum: self.sum?, quantiles: &self.pairs }
            }
            Shape::Exponential => return None,
        };
        if self.pairs.len() != self.bounds.len() {
            return None;
        }
        let times = (self.created.and_then(time_of), time_ns);
        output.point(of, |out| {
            out.extend_from_slice(names.attributes());
            push_values(out, (of.shape, &values), times, std::iter::empty());
        });
        self.bounds.clear();
        (self.sum, self.count, self.created) = (None, None, None);
        Some(())
    }
}

#[cfg(test)]
mod tests;
