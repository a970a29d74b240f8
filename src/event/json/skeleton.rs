//! The shape of a line seen before: the bytes between its values.
//!
//! Services print the same few shapes of line for ever. A [`Skeleton`] is learned from one walked
//! line; the next line is *compared* with it: 32 literal bytes at a time, and only the values
//! between them are looked at, once: one pass finds where a value ends, proves that it is plain,
//! and yields the class masks of the prefilter. No key is hashed, no newline searched, nothing
//! allocated.
//!
//! The comparison is as strict as the walk: the literal bytes are the grammar, strings and numbers
//! are checked by [`super::scan`], containers by [`super::walk`]. What does not fit is walked.
//!
//! Deliberately knows nothing of kinds, roles or policies: whoever learns it decides per member
//! whether the value stays literal and whether it must be searched ([`Gate`]), and keeps what else
//! it knows beside the skeleton.
//!
//! # Why
//! On 378-byte prediction lines the walk with every string recorded costs about 350 ns and the
//! comparison with prefilter 150 to 250; `serde_json::Value` 2,000. Segments hold their 32 bytes
//! inline (36 bytes a segment) so that a whole skeleton streams through L1 in order.

use super::block::Block;
use super::doc::{Doc, DocBuffers, Member, ValueKind};
use super::scan::{byte, load16, number_end, string_end, word_len};
use super::shapes::{CLASSES_LEN, Classes, SUSPECT_LEN_MIN, could_hold};
use super::walk::walk_container;

/// Most values of a skeleton; a line with more is walked every time.
pub const VALUES_MAX: usize = 192;
/// Longest line that teaches a skeleton.
const LINE_MAX: usize = 16 << 10;
const LIT: usize = 32;

/// What must be done with a member's value on every line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Part of the shape: another value is another shape.
    Literal,
    /// Any value, never searched (the policy replaces or keeps it whole).
    Pass,
    /// Any value, searched if the prefilter suspects it.
    Prefilter,
    /// Any value, always searched (the key says what it is).
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The literal goes on in the next segment.
    More,
    /// The line ends.
    End,
    /// A scalar of any kind: a shape does not change when a value is null for once.
    Scalar(Gate),
    /// An array or an object with the given signature of what lies in it.
    Container(Gate),
}

#[derive(Clone, Debug)]
struct Seg {
    lit: [u8; LIT],
    len: u8,
    expect: Expect,
}

/// A learned shape.
#[derive(Clone, Debug)]
pub struct Skeleton {
    segs: Box<[Seg]>,
    /// For each container value, in order: its path (as text) and what lies in it.
    containers: Box<[(Box<[u8]>, Content)]>,
    n_values: usize,
}

/// What one comparison found; reused from line to line.
#[derive(Debug, Default)]
pub struct Found {
    /// Span of each value's token, relative to the line.
    pub values: Vec<(u32, u32)>,
    /// Values to search, as indices into `values`, in their order.
    pub suspects: Vec<u16>,
    /// Members inside containers (strings and containers), in their order.
    pub nested: DocBuffers,
    /// Each container: its index in `values`, and where in `nested.members` its content begins.
    pub containers: Vec<(u16, u32)>,
}

impl Found {
    fn clear(&mut self) {
        self.values.clear();
        self.suspects.clear();
        self.nested.clear();
        self.containers.clear();
    }
}

impl Skeleton {
    /// Learns the shape of `doc`. `gate` is asked once per member that can be a value: scalars and
    /// arrays that lie in no array, and empty objects. Returns the skeleton and, for each member of
    /// the doc, the index of its value ([`u16::MAX`] where it is none).
    #[must_use]
    pub fn learn<B: Block>(
        doc: &Doc<'_>,
        mut gate: impl FnMut(usize, &Member) -> Gate,
    ) -> Option<(Self, Vec<u16>)> {
        if doc.line.len() > LINE_MAX || doc.members().iter().any(|m| m.depth == u8::MAX) {
            return None;
        }
        let mut segs = Vec::new();
        let mut containers = Vec::new();
        let mut value_of = vec![u16::MAX; doc.members().len()];
        let mut written = 0usize;
        let mut n_values = 0usize;
        for (index, member) in doc.members().iter().enumerate() {
            let (start, end) = (member.value.0 as usize, member.value.1 as usize);
            // What lies in an array is the array's business.
            if start < written || member.kind == ValueKind::Object {
                continue;
            }
            let gate = gate(index, member);
            if gate == Gate::Literal && member.kind != ValueKind::Array {
                continue;
            }
            let expect = match member.kind {
                ValueKind::Array => {
                    let content = Content::of(doc.found, nested_members(doc, index))?;
                    containers.push((doc.path(member).into(), content));
                    Expect::Container(gate)
                }
                _ => Expect::Scalar(gate),
            };
            push_literal(&mut segs, doc.line.get(written..start)?, expect);
            value_of[index] = n_values as u16;
            n_values += 1;
            written = end;
        }
        if n_values > VALUES_MAX {
            return None;
        }
        let tail = [doc.line.get(written..)?, b"\n"].concat();
        push_literal(&mut segs, &tail, Expect::End);
        let skeleton = Self { segs: segs.into(), containers: containers.into(), n_values };
        Some((skeleton, value_of))
    }

    /// Number of values.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.n_values
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.segs.len() * size_of::<Seg>() + self.containers.len() * 64
    }

    /// Compares the line that begins at `start` and lies before `limit` (the end of the content,
    /// whose last byte is a newline). Returns the position of the line's newline, or `None` where
    /// it does not fit; `found` is then meaningless.
    #[inline]
    pub fn fit<B: Block>(
        &self,
        bytes: &[u8],
        start: usize,
        limit: usize,
        found: &mut Found,
    ) -> Option<usize> {
        found.clear();
        let mut at = start;
        for seg in &self.segs {
            if !seg.is_at::<B>(bytes, at) {
                return None;
            }
            at += usize::from(seg.len);
            match seg.expect {
                Expect::More => {}
                Expect::End => return (at <= limit).then_some(at - 1),
                Expect::Scalar(gate) => {
                    let end = scalar::<B>(bytes, at, limit, gate, found)?;
                    found.values.push(((at - start) as u32, (end - start) as u32));
                    at = end;
                }
                Expect::Container(gate) => {
                    let end = self.container::<B>(bytes, start, at, limit, gate, found)?;
                    found.values.push(((at - start) as u32, (end - start) as u32));
                    at = end;
                }
            }
        }
        None
    }

    #[inline(never)]
    fn container<B: Block>(
        &self,
        bytes: &[u8],
        base: usize,
        at: usize,
        limit: usize,
        gate: Gate,
        found: &mut Found,
    ) -> Option<usize> {
        let (path, expected) = self.containers.get(found.containers.len())?;
        if byte(bytes, at) != b'[' {
            return None;
        }
        let from = found.nested.members.len();
        let path_from = found.nested.paths.len() as u32;
        found.nested.paths.extend_from_slice(path);
        let path = (path_from, found.nested.paths.len() as u32);
        let end = walk_container::<B>(bytes, base, at, limit, path, &mut found.nested).ok()?;
        // JSON allows a newline between elements; here it ends the line, and the rest is another's.
        if memchr::memchr(b'\n', bytes.get(at..end)?).is_some() {
            return None;
        }
        if !expected.is(&found.nested, from..found.nested.members.len()) {
            return None;
        }
        found.containers.push((found.values.len() as u16, from as u32));
        // Numbers are no members, and under a key that tells they are searched too.
        if gate == Gate::Always || (gate != Gate::Pass && found.nested.members.len() > from) {
            found.suspects.push(found.values.len() as u16);
        }
        Some(end)
    }
}

impl Seg {
    #[inline(always)]
    fn is_at<B: Block>(&self, bytes: &[u8], at: usize) -> bool {
        let (low, high) = self.lit.split_at(16);
        let lit = |half: &[u8]| B::load(half.first_chunk().unwrap_or(&[0; 16]));
        let low = B::load(&load16(bytes, at)).differs(lit(low));
        let within = u32::MAX >> (32 - u32::from(self.len)).min(31);
        if self.len <= 16 {
            return u32::from(low) & within == 0;
        }
        let high = B::load(&load16(bytes, at + 16)).differs(lit(high));
        (u32::from(low) | (u32::from(high) << 16)) & within == 0
    }
}

/// Finds the end of the scalar at `at` and notes whether it is to be searched.
#[inline(always)]
fn scalar<B: Block>(
    bytes: &[u8],
    at: usize,
    limit: usize,
    gate: Gate,
    found: &mut Found,
) -> Option<usize> {
    let first = byte(bytes, at);
    if first == b'"' {
        let (end, is_suspect) = plain_string::<B>(bytes, at + 1, limit, gate)?;
        if is_suspect {
            found.suspects.push(found.values.len() as u16);
        }
        return Some(end + 1);
    }
    if first.is_ascii_digit() || (first == b'-' && byte(bytes, at + 1) != b'I') {
        if gate == Gate::Always {
            found.suspects.push(found.values.len() as u16);
        }
        return number_end::<B>(bytes, at, limit).ok();
    }
    match word_len(bytes, at, limit) {
        0 => None,
        len => Some(at + len),
    }
}

/// The closing quote of a plain string and whether its inside must be searched. `None` for one that
/// is not plain: its line is walked, and decoded there.
#[inline(always)]
fn plain_string<B: Block>(
    bytes: &[u8],
    start: usize,
    limit: usize,
    gate: Gate,
) -> Option<(usize, bool)> {
    let mut classes = Classes::default();
    let mut at = 0;
    loop {
        let block = B::load(&load16(bytes, start + at));
        let quote = block.eq(b'"');
        let special = block.special();
        let stop = quote | special;
        if stop == 0 {
            classes.add(block, at, u16::MAX);
            at += 16;
            if at == CLASSES_LEN {
                return long_string::<B>(bytes, start, limit, gate);
            }
            continue;
        }
        let first = stop.trailing_zeros();
        if special & (1 << first) != 0 {
            return None;
        }
        classes.add(block, at, ((1u32 << first) - 1) as u16);
        let len = at + first as usize;
        let is_suspect = match gate {
            Gate::Prefilter => len >= SUSPECT_LEN_MIN && classes.is_suspect(bytes, start, len),
            Gate::Always => true,
            Gate::Pass | Gate::Literal => false,
        };
        return (start + len < limit).then_some((start + len, is_suspect));
    }
}

#[inline(never)]
fn long_string<B: Block>(
    bytes: &[u8],
    start: usize,
    limit: usize,
    gate: Gate,
) -> Option<(usize, bool)> {
    let (end, special) = string_end::<B>(bytes, start, limit).ok()?;
    if special {
        return None;
    }
    let is_suspect = match gate {
        Gate::Prefilter => could_hold::<B>(bytes, start, end),
        Gate::Always => true,
        Gate::Pass | Gate::Literal => false,
    };
    Some((end, is_suspect))
}

/// Cuts `literal` into segments; the last one expects `expect`.
fn push_literal(segs: &mut Vec<Seg>, literal: &[u8], expect: Expect) {
    let mut rest = literal;
    loop {
        let (now, later) = rest.split_at(rest.len().min(LIT));
        let mut lit = [0; LIT];
        lit[..now.len()].copy_from_slice(now);
        let expect = if later.is_empty() { expect } else { Expect::More };
        segs.push(Seg { lit, len: now.len() as u8, expect });
        if later.is_empty() {
            return;
        }
        rest = later;
    }
}

/// The members that lie in the container at `index` of the doc.
fn nested_members(doc: &Doc<'_>, index: usize) -> std::ops::Range<usize> {
    let end = doc.members().get(index).map_or(0, |member| member.value.1);
    let later = doc.members().get(index + 1..).unwrap_or_default();
    let n = later.iter().take_while(|member| member.value.0 < end).count();
    index + 1..index + 1 + n
}

/// Which paths and kinds of values occur in a container, in any order and number. Lines whose
/// containers differ in it may mean different things and are different shapes.
#[derive(Clone, Debug)]
struct Content(Box<[u64]>);

/// Different paths in one container of a skeleton.
const CONTENT_MAX: usize = 64;

impl Content {
    fn of(found: &DocBuffers, members: std::ops::Range<usize>) -> Option<Self> {
        let mut paths = Vec::new();
        for member in found.members.get(members)? {
            let hash = path_hash(found, member);
            if !paths.contains(&hash) {
                paths.push(hash);
            }
        }
        (paths.len() <= CONTENT_MAX).then(|| Self(paths.into()))
    }

    /// Whether the members have these paths, all of them and no others.
    fn is(&self, found: &DocBuffers, members: std::ops::Range<usize>) -> bool {
        let (n, mut seen, mut next) = (self.0.len(), 0u64, 0);
        for member in found.members.get(members).unwrap_or_default() {
            let hash = path_hash(found, member);
            // Elements repeat: the path behind the last one is the likeliest.
            let mut places = (next..n).chain(0..next);
            let Some(at) = places.find(|&at| self.0[at] == hash) else { return false };
            seen |= 1 << at;
            next = if at + 1 == n { 0 } else { at + 1 };
        }
        seen.count_ones() as usize == n
    }
}

fn path_hash(found: &DocBuffers, member: &Member) -> u64 {
    let path = found.paths.get(member.path.0 as usize..member.path.1 as usize);
    // A null may be a number's next time.
    let kind = match member.kind {
        ValueKind::Object => 1,
        ValueKind::Array => 2,
        _ => 0,
    };
    xxhash_rust::xxh3::xxh3_64_with_seed(path.unwrap_or_default(), kind)
}

#[cfg(test)]
mod tests {
    use super::super::block::{Native, Swar};
    use super::super::walk::walk;
    use super::*;

    fn learn(line: &str, gate: Gate) -> Skeleton {
        let mut found = DocBuffers::default();
        walk::<Native>(line.as_bytes(), 0, line.len(), &mut found).expect("JSON");
        let doc = Doc { line: line.as_bytes(), found: &found };
        Skeleton::learn::<Native>(&doc, |_, _| gate).expect("learnable").0
    }

    /// The values found in `line` by the skeleton learned from `teacher`; both implementations.
    fn fit(teacher: &str, line: &str) -> Option<(Vec<String>, Vec<u16>)> {
        let skeleton = learn(teacher, Gate::Prefilter);
        let text = format!("{line}\n");
        let run = |fitted: &dyn Fn(&mut Found) -> Option<usize>| {
            let mut found = Found::default();
            let end = fitted(&mut found)?;
            assert_eq!(end, line.len());
            let values = found.values.iter().map(|&(s, e)| line[s as usize..e as usize].to_owned());
            Some((values.collect::<Vec<_>>(), found.suspects))
        };
        let native = run(&|found| skeleton.fit::<Native>(text.as_bytes(), 0, text.len(), found));
        let swar = run(&|found| skeleton.fit::<Swar>(text.as_bytes(), 0, text.len(), found));
        assert_eq!(native, swar);
        native
    }

    #[test]
    fn values_of_a_line_of_the_same_shape() {
        let teacher = r#"{"a":"x","b":1,"c":{"d":true},"e":[1,2],"long_long_long_long_long_key_beyond_32":null}"#;
        let line = r#"{"a":"a_longer_value_than_sixteen_bytes_","b":-1.5e7,"c":{"d":null},"e":[],"long_long_long_long_long_key_beyond_32":"y"}"#;
        let (values, suspects) = fit(teacher, line).expect("fits");
        assert_eq!(
            values,
            ["\"a_longer_value_than_sixteen_bytes_\"", "-1.5e7", "null", "[]", "\"y\""]
        );
        assert!(suspects.is_empty());
        let (_, suspects) =
            fit(teacher, &line.replace("\"y\"", "\"bob@example.com\"")).expect("fits");
        assert_eq!(suspects, [4]);
    }

    #[test]
    fn what_does_not_fit() {
        let teacher = r#"{"a":"x","b":[1,"y"]}"#;
        assert!(fit(teacher, teacher).is_some());
        for line in [
            r#"{"a":"x","b":[1,"y"]"#,
            r#"{"a":"x","b":[1,"y"]}}"#,
            r#"{"a":"x","b":[1]}"#,
            r#"{"a":"x\n","b":[1,"y"]}"#,
            r#"{"a":"ü","b":[1,"y"]}"#,
            r#"{"a":01,"b":[1,"y"]}"#,
            r#"{"b":"x","b":[1,"y"]}"#,
            r#"{"a":"x","b":[1,"y",{"c":2}]}"#,
            r#"{"a":"x","b":"y"}"#,
            r#"{"a":x,"b":[1,"y"]}"#,
            r#"{"a":"x","b":[1,"y"}"#,
            // White space to JSON, and the end of the line to us.
            "{\"a\":\"x\",\"b\":[1,\n\"y\"]}",
            "",
            "{",
        ] {
            assert_eq!(fit(teacher, line), None, "{line}");
        }
    }

    #[test]
    fn a_value_may_end_the_buffer_only_with_its_newline() {
        let skeleton = learn(r#"{"a":"x"}"#, Gate::Prefilter);
        let mut found = Found::default();
        for text in ["{\"a\":\"x\"}", "{\"a\":\"x\"", "{\"a\":\"x", "{\"a\":\""] {
            let fitted = skeleton.fit::<Native>(text.as_bytes(), 0, text.len(), &mut found);
            assert_eq!(fitted, None, "{text}");
        }
        // What follows belongs to the next line, whatever it is.
        let text = b"{\"a\":\"x\"}\n{\"a";
        assert_eq!(skeleton.fit::<Native>(text, 0, text.len(), &mut found), Some(9));
    }

    #[test]
    fn literal_values_belong_to_the_shape() {
        let line = br#"{"event":"prediction_completed","n":1}"#;
        let mut buffers = DocBuffers::default();
        walk::<Native>(line, 0, line.len(), &mut buffers).expect("JSON");
        let doc = Doc { line, found: &buffers };
        let gate = |index: usize, _: &Member| if index == 0 { Gate::Literal } else { Gate::Pass };
        let (skeleton, value_of) = Skeleton::learn::<Native>(&doc, gate).expect("learnable");
        assert_eq!(value_of, [u16::MAX, 0]);
        let mut found = Found::default();
        for (line, fits) in [
            ("{\"event\":\"prediction_completed\",\"n\":27}\n", true),
            ("{\"event\":\"prediction_startedxx\",\"n\":27}\n", false),
        ] {
            let fitted = skeleton.fit::<Native>(line.as_bytes(), 0, line.len(), &mut found);
            assert_eq!(fitted.is_some(), fits, "{line}");
        }
    }
}
