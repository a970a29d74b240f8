//! Which metrics a receiver means by its words.
//!
//! Owns the reading of series as receivers print them, and the search for the events that have
//! them. What the words mean for the body is `judge`'s.
//!
//! Source: Prometheus `storage/remote/write_handler.go` (2.0: a line for each sample that was not
//! stored), `model/labels` (`Labels.String`); Go's `strconv.Quote`; Mimir's `globalerror` texts,
//! which put the metric's name before the braces.
//!
//! # Why
//! - **No second try.** What a receiver did store it may refuse when it comes again: it takes an
//!   identical sample silently only where that is the series' newest. So the body is not halved
//!   and sent again, as where nothing of it was stored: the words are searched instead, and where
//!   they do not name as many samples as are missing, the whole body is buried. A letter too many
//!   is better than an event lost.
//! - **What is there already.** A body of which an earlier attempt was not answered, or that a
//!   process sent that was killed, may be stored. Of a series with several samples all but the
//!   newest are then refused as late. That the newest one was taken, being the same, says that the
//!   others are there: they are delivered. Only where nobody knows whether the body was sent
//!   before; else late is late. A receiver of 1.0 names no series: there each of them is buried.
//! - **`target_info`** is made of a resource by us, and no event: without it nothing is lost.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::scratch::Scratch;
use super::store::Sample;
use crate::event::batch::Batch;

/// Labels that a receiver may add of itself (Prometheus, `type-and-unit-labels`).
const ADDED: [&[u8]; 2] = [b"__type__", b"__unit__"];

/// A series' labels in their order, `__name__` among them.
pub(super) type Name = Vec<(Vec<u8>, Vec<u8>)>;

/// A series, and the times of its samples.
pub(super) type Timed = (Name, Vec<i64>);

/// How a series was refused, and what the body has of it.
#[derive(Debug, Default)]
struct Refusal {
    n_refused: usize,
    /// For no other reason than that samples came too late.
    is_late: bool,
    /// Of its samples in the body.
    times: BTreeSet<i64>,
}

/// The lines about samples, if they are as many as `n` and each names a series; else none.
pub(super) fn named(words: &str, n: u64) -> Vec<String> {
    let is_of_samples = |line: &&str| !line.trim().is_empty() && !line.contains(" exemplar for ");
    let lines: Vec<&str> = words.lines().filter(is_of_samples).collect();
    let is_whole = lines.len() as u64 == n && lines.iter().all(|line| series_in(line).is_some());
    if is_whole { lines.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}

/// The events among `pieces`, by piece, that have a series which is named in `lines`. `None` where
/// a series is none of theirs.
pub(super) fn accused(
    lines: &[String],
    pieces: &[(&Batch, Range<usize>)],
    may_be_stored: bool,
    series_of: &mut dyn FnMut(&Batch, Range<usize>) -> Vec<Timed>,
) -> Option<Vec<Vec<usize>>> {
    let mut refusals = HashMap::<Name, Refusal>::new();
    for line in lines {
        let one = refusals
            .entry(series_in(line)?)
            .or_insert(Refusal { is_late: true, ..Refusal::default() });
        one.n_refused += 1;
        one.is_late &= is_about_order(line);
    }
    let mut found: Vec<Vec<(usize, Name)>> = Vec::new();
    for (batch, events) in pieces {
        let mut of_piece = Vec::new();
        let mut ranges = vec![events.clone()];
        while let Some(range) = ranges.pop() {
            let mut all = series_of(batch, range.clone());
            all.retain(|(name, _)| refusals.contains_key(name));
            if all.is_empty() {
                continue;
            }
            if range.len() > 1 {
                let middle = range.start + range.len() / 2;
                ranges.extend([middle..range.end, range.start..middle]);
                continue;
            }
            for (name, times) in all {
                if let Some(one) = refusals.get_mut(&name) {
                    one.times.extend(times);
                }
                of_piece.push((range.start, name));
            }
        }
        found.push(of_piece);
    }
    let is_ours = |name: &Name| name.contains(&(b"__name__".to_vec(), b"target_info".to_vec()));
    if refusals.iter().any(|(name, one)| one.times.is_empty() && !is_ours(name)) {
        return None;
    }
    let is_guilty = |name: &Name| {
        refusals
            .get(name)
            .is_some_and(|one| !(may_be_stored && one.is_late && one.n_refused < one.times.len()))
    };
    let guilty = found.into_iter().map(|of_piece| {
        let events = of_piece.into_iter().filter(|(_, name)| is_guilty(name));
        let events: BTreeSet<usize> = events.map(|(event, _)| event).collect();
        events.into_iter().collect()
    });
    Some(guilty.collect())
}

/// The series of a body, with the times of their samples.
pub(super) fn series(scratch: &Scratch) -> Vec<Timed> {
    let (symbols, store) = (&scratch.symbols, &scratch.store);
    let mut samples: Vec<Sample> = Vec::new();
    let each = store.series.iter().map(|series| {
        let pairs = store.labels(series).as_chunks().0.iter();
        let name = pairs
            .map(|[name, value]| (symbols.text(*name).to_vec(), symbols.text(*value).to_vec()));
        let name = name.filter(|(name, _)| !ADDED.contains(&&name[..])).collect();
        store.samples(series, &mut samples);
        (name, samples.iter().map(|sample| sample.time_ms).collect())
    });
    each.collect()
}

/// As Prometheus says it of samples that came late.
fn is_about_order(line: &str) -> bool {
    ["out of order sample", "too old sample"].iter().any(|words| line.starts_with(words))
}

/// The first series that a line names.
fn series_in(line: &str) -> Option<Name> {
    let (head, labels) = line.split_once('{')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let metric = &head[head.trim_end_matches(is_of_name).len()..];
    let mut name = Name::new();
    if !metric.is_empty() {
        name.push((b"__name__".to_vec(), metric.into()));
    }
    let mut rest = labels.trim_start_matches([' ', ',']);
    while !rest.starts_with('}') {
        let (key, behind) = match rest.starts_with('"') {
            true => unquoted(rest)?,
            false => {
                let (key, _) = rest.split_once('=')?;
                (key.into(), &rest[key.len()..])
            }
        };
        let (value, behind) = unquoted(behind.strip_prefix('=')?)?;
        if !ADDED.contains(&&key[..]) {
            name.push((key, value));
        }
        rest = behind.trim_start_matches([' ', ',']);
    }
    name.sort();
    Some(name)
}

/// A text in Go's quotes at the start of `quoted`, and what is behind it.
fn unquoted(quoted: &str) -> Option<(Vec<u8>, &str)> {
    let text = quoted.strip_prefix('"')?;
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let plain = rest.find(['"', '\\'])?;
        out.extend_from_slice(&rest.as_bytes()[..plain]);
        if rest[plain..].starts_with('"') {
            return Some((out, &rest[plain + 1..]));
        }
        let mut behind = rest[plain + 1..].chars();
        let escape = behind.next()?;
        rest = behind.as_str();
        let n_digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                push(&mut out, plain_of(escape));
                continue;
            }
        };
        let code = u32::from_str_radix(rest.get(..n_digits)?, 16).ok()?;
        rest = &rest[n_digits..];
        match u8::try_from(code) {
            // A byte that is no text.
            Ok(byte) if escape == 'x' => out.push(byte),
            _ => push(&mut out, char::from_u32(code)?),
        }
    }
}

fn plain_of(escape: char) -> char {
    match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => other,
    }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pairs: &[(&str, &str)]) -> Name {
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
            .collect()
    }

    #[test]
    fn series_as_receivers_print_them() {
        for (line, pairs) in [
            (
                r#"out of order sample for series {__name__="a_total", x="say \"é\"\n\\", "ü.b"="\u007f"}"#,
                &[("__name__", "a_total"), ("x", "say \"é\"\n\\"), ("ü.b", "\u{7f}")][..],
            ),
            (
                r#"is from series up{job="a}b", instance="i"} (err)"#,
                &[("__name__", "up"), ("instance", "i"), ("job", "a}b")],
            ),
            (
                r#"for series {__name__="a", __type__="counter", __unit__="s"}"#,
                &[("__name__", "a")],
            ),
        ] {
            assert_eq!(series_in(line), Some(name(pairs)), "{line}");
        }
        for line in ["no series", "{", "{a=", r#"{a="b"#, r#"{a="\x"}"#, r#"{a=b}"#] {
            assert_eq!(series_in(line), None, "{line}");
        }
    }

    #[test]
    fn words_that_do_not_name_all_name_none() {
        let late = r#"out of order sample for series {__name__="a"}"#;
        let exemplar = r#"out of order exemplar for series {__name__="a"}"#;
        let both = format!("{late}\n{exemplar}\n{late}\n");
        assert_eq!(named(&both, 2), [late, late]);
        assert_eq!(named(&both, 1), [""; 0]);
        assert_eq!(named(&format!("{late}\nother words"), 2), [""; 0]);
        assert_eq!(named("some are bad", 1), [""; 0]);
    }
}
