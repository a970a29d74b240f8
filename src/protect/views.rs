//! A value in all its spellings: as it stands, unescaped, percent-decoded, folded, and what a
//! base64 word in it holds.
//!
//! Each spelling is one pass that makes a shorter text and a map from its bytes to the raw ones;
//! passes follow on each other until nothing changes (JSON inside of strings: three levels), and
//! every text on the way is searched. Hits are raw ranges that cut no escape, no percent triplet
//! and no character, so that replacing them keeps the syntax around.
//!
//! Necessary condition beside those of the detectors: a backslash, a `%` with two hex digits behind
//! it, a byte beyond ASCII, an escape character (0x1B), or [`BASE64_MIN`] base64 characters in a
//! row (of text in ASCII the first of every four is one of `I`-`Z`, `a`-`f`, or `C` for a line's
//! end).
//!
//! Deliberately not decoded: binary containers, compressed data, encryption, HTML entities.
//!
//! # Why
//! Searching every spelling rather than a canonical one means that no decoding can hide what the
//! plain text shows (`100%4111…` is a card after a percent sign as well as an `A`). Every pass
//! shortens the text, so the work is bounded by the number of passes; where that bound is reached
//! with something left to decode, the whole value is a hit.

pub(in crate::protect) mod base64;
mod spelling;

use std::borrow::Cow;

use super::context::KeyHint;
use super::entity::{Entity, EntitySet};
pub use super::find::BASE64_MIN;
use super::find::{self, Hit, Seen};
use spelling::Spelling;

/// Passes over one value: a string's own escapes, three levels of JSON inside, percent twice,
/// folds.
const PASSES_MAX: usize = 14;
/// Base64 inside of base64.
const BASE64_DEPTH_MAX: usize = 2;

/// What the raw bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The inside of a JSON string, without its quotes.
    JsonString,
    /// The inside of a JSON key, without its quotes.
    Key,
    /// A JSON number's token.
    Number,
    /// Plain text.
    Text,
}

impl Form {
    fn is_json(self) -> bool {
        matches!(self, Form::JsonString | Form::Key)
    }
}

/// Buffers of [`inspect`], kept from value to value.
#[derive(Debug, Default)]
pub struct Scratch {
    layers: [Layer; 2],
    found: Vec<Hit>,
    blob: Vec<u8>,
    inner: Option<Box<Scratch>>,
}

/// A decoded text; byte `i` came from the raw bytes at `map[i]` up to `map[i + 1]` or further.
#[derive(Debug, Default)]
struct Layer {
    text: Vec<u8>,
    map: Vec<u32>,
}

/// Appends what `set` names and `raw` holds in any spelling: sorted, apart from each other, on the
/// borders of escapes, triplets and characters. Returns whether there was any.
pub fn inspect(
    raw: &[u8],
    form: Form,
    hint: KeyHint,
    set: EntitySet,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) -> bool {
    inspect_at(raw, form, Search { hint, set, depth: 0 }, scratch, hits)
}

/// What is looked for, and how many base64 words the text lies in.
#[derive(Clone, Copy, Debug)]
struct Search {
    hint: KeyHint,
    set: EntitySet,
    depth: usize,
}

fn inspect_at(
    raw: &[u8],
    form: Form,
    search: Search,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) -> bool {
    let Search { hint, set, .. } = search;
    let first = hits.len();
    let whole = |entity| Hit { start: 0, end: raw.len() as u32, entity };
    if form == Form::Number {
        hits.extend(find::number(raw, set, hint).map(whole));
        return hits.len() > first;
    }
    let seen = Seen::of(raw);
    // Between escapes a hit could cut one; the unescaped text shows all that the raw one does.
    let escaped = form.is_json() && seen.has(Seen::BACKSLASH) && spelling::has_escape(raw);
    if !escaped {
        find::find_seen(raw, seen, set, hint, hits);
        base64_words(raw, seen, search, scratch, hits);
        if find::is_whole_number(raw, set, hint) {
            hits.extend(find::number(raw, set, hint).map(whole));
        }
    }
    if seen.has(Seen::BACKSLASH | Seen::PERCENT | Seen::HIGH)
        && !decode_all(raw, seen, escaped, search, scratch, hits)
    {
        hits.truncate(first);
        hits.push(whole(Entity::Secret));
        return true;
    }
    if hits.len() > first {
        settle(raw, seen, first, hits);
    }
    hits.len() > first
}

/// Decodes pass by pass and searches each text. False when the bound was reached with something
/// left to decode.
fn decode_all(
    raw: &[u8],
    mut seen: Seen,
    escaped: bool,
    search: Search,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) -> bool {
    let [mut from, mut to] = std::mem::take(&mut scratch.layers);
    let mut found = std::mem::take(&mut scratch.found);
    let (mut done, mut left) = (0, true);
    while done < PASSES_MAX {
        let source = if done == 0 { raw } else { &from.text };
        let map = (done > 0).then_some(&from.map[..]);
        let certain = (escaped && done == 0).then_some(Spelling::Escapes);
        let next = certain.into_iter().chain(Spelling::ALL).find(|spelling| {
            seen.has(spelling.sign()) && spelling.decode(source, map, &mut to.text, &mut to.map)
        });
        left = next.is_some();
        if !left {
            break;
        }
        std::mem::swap(&mut from, &mut to);
        seen = Seen::of(&from.text);
        found.clear();
        find::find_seen(&from.text, seen, search.set, search.hint, &mut found);
        base64_words(&from.text, seen, search, scratch, &mut found);
        let origin = |at: u32| from.map[at as usize];
        hits.extend(found.iter().map(|hit| Hit {
            start: origin(hit.start),
            end: origin(hit.end),
            entity: hit.entity,
        }));
        done += 1;
    }
    scratch.layers = [from, to];
    scratch.found = found;
    !left
}

/// Decodes each base64 word and searches the text in it; the whole word is the hit.
fn base64_words(
    text: &[u8],
    seen: Seen,
    search: Search,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) {
    if !seen.has_base64 || search.depth == BASE64_DEPTH_MAX {
        return;
    }
    let deeper = Search { depth: search.depth + 1, ..search };
    let mut blob = std::mem::take(&mut scratch.blob);
    let mut inner = scratch.inner.take().unwrap_or_default();
    let mut found = std::mem::take(&mut inner.found);
    base64::words(text, &mut blob, |(start, end), decoded| {
        let mut inside = std::mem::take(&mut found);
        inside.clear();
        inspect_at(decoded, Form::Text, deeper, &mut inner, &mut inside);
        let entity = inside.iter().map(|hit| hit.entity).min();
        hits.extend(entity.map(|entity| Hit { start: start as u32, end: end as u32, entity }));
        found = inside;
    });
    inner.found = found;
    scratch.inner = Some(inner);
    scratch.blob = blob;
}

/// `text` without escapes, percent signs and look-alikes, as keys and pseudonyms want it; borrowed
/// where it is plain already.
#[must_use]
pub fn plain(text: &[u8]) -> Cow<'_, [u8]> {
    let mut plain = Cow::Borrowed(text);
    let (mut next, mut map) = (Vec::new(), Vec::new());
    for _ in 0..PASSES_MAX {
        let seen = Seen::of(&plain);
        let mut found = Spelling::ALL.into_iter().filter(|spelling| seen.has(spelling.sign()));
        if !found.any(|spelling| spelling.decode(&plain, None, &mut next, &mut map)) {
            break;
        }
        plain = Cow::Owned(std::mem::take(&mut next));
    }
    plain
}

/// Widens a range of `raw` so that it cuts no escape, no triplet and no character.
#[must_use]
pub fn whole_units(raw: &[u8], (start, end): (usize, usize)) -> (usize, usize) {
    spelling::widen(raw, start, end)
}

/// Widens the hits from `first` on to whole escapes, triplets and characters, sorts them and joins
/// those that touch the same bytes.
fn settle(raw: &[u8], seen: Seen, first: usize, hits: &mut Vec<Hit>) {
    if seen.has(Seen::BACKSLASH | Seen::PERCENT | Seen::HIGH) {
        for hit in &mut hits[first..] {
            let (start, end) = spelling::widen(raw, hit.start as usize, hit.end as usize);
            (hit.start, hit.end) = (start as u32, end as u32);
        }
    }
    hits[first..].sort_unstable_by_key(|hit| (hit.start, hit.end));
    let mut kept = first;
    for i in first + 1..hits.len() {
        let hit = hits[i];
        let last = &mut hits[kept];
        if hit.start < last.end {
            last.end = last.end.max(hit.end);
            last.entity = last.entity.min(hit.entity);
        } else {
            kept += 1;
            hits[kept] = hit;
        }
    }
    hits.truncate(kept + 1);
}

#[cfg(test)]
mod tests;
