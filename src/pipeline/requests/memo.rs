//! What is remembered from request to request: what keys say, and which texts were found clean.
//!
//! All are tables of fixed size: a collision costs a look-up, never memory. A key is first looked
//! for where the one after its predecessor was the last time: spans of one kind have the same keys
//! in the same order, and a hash costs as much as all else that a key costs. Texts of up to fifteen
//! bytes that the filter let pass (`POST`, a tenant, a route) are compared in one register.
//!
//! # Why
//! A span has five keys, and the same ones for ever; a folded key and its patterns cost some
//! hundred nanoseconds. User agents and URLs look suspicious to the filter in every span, and are
//! the same few texts: the exact detectors need 300 ns each time to find nothing. A text is only
//! stored when it comes a second time, and leaves a mark of 32 bits at the first: those that are
//! one span's own would take an allocation each, and the place of one that all spans share.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::json::scan::load16;
use crate::event::otlp::Field;
use crate::event::otlp::edit::Edits;
use crate::pipeline::facts::Facts;
use crate::protect::context::KeyHint;

const KEYS: usize = 256;
/// Keys that have the same hash and a place. With one, two of fifteen keys meet for two seeds of
/// five, and each span learns both of them again.
const KEY_WAYS: usize = 4;
const TEXTS: usize = 1024;
/// Texts that have the same hash and a place.
const WAYS: usize = 2;
const MARKS: usize = 4096;
/// Short texts: as many as one byte of a hash tells apart.
const SHORTS: usize = 256;
/// Longer texts are searched each time.
const TEXT_BYTES_MAX: usize = 512;

/// See the module; and the edits of the request in work, for their buffers.
#[derive(Debug)]
pub(in crate::pipeline) struct Memo {
    seed: u64,
    keys: Vec<Key>,
    /// The key asked for last.
    last_key: usize,
    texts: Vec<[Text; WAYS]>,
    /// Of the hashes of texts seen once.
    marks: Vec<u32>,
    /// Short texts that are no suspects, see [`short`].
    shorts: Vec<u128>,
    pub(super) edits: Edits,
}

#[derive(Clone, Debug, Default)]
struct Key {
    tier: u32,
    /// The key that was asked for after it.
    next: usize,
    /// See [`short`]; zero of a long one.
    short: u128,
    key: Box<[u8]>,
    known: KnownKey,
}

impl Key {
    #[inline(always)]
    fn is(&self, key: &[u8], tier: usize) -> bool {
        // An empty slot looks like the empty key.
        *self.key == *key && self.tier == tier as u32 && !key.is_empty()
    }
}

/// What is known of an attribute's key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownKey {
    pub(super) facts: Facts,
    /// Its value is the request's id.
    pub(super) is_request_id: bool,
    /// The key itself holds nothing that must not stay.
    pub(super) is_clean: bool,
    /// Nothing is asked of the value but what the filter says of its text.
    pub(super) is_plain: bool,
}

#[derive(Clone, Debug, Default)]
struct Text {
    tier: u32,
    hint: KeyHint,
    text: Box<[u8]>,
}

/// A text of up to fifteen bytes and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    text: u128,
    place: usize,
}

/// The text `field` of `bytes` in one number, its length in the last byte; `None` for a longer one.
#[inline(always)]
fn short(bytes: &[u8], field: Field) -> Option<u128> {
    let len = field.len();
    let mask = (1u128.checked_shl(8 * len as u32)?).wrapping_sub(1);
    let text = u128::from_le_bytes(load16(bytes, field.start)) & mask;
    Some(text | (len as u128) << 120)
}

impl Default for Memo {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0u8);
        // Filled at the first use: most daemons take no requests.
        let (keys, texts) = (Vec::new(), Vec::new());
        let (marks, shorts) = (Vec::new(), Vec::new());
        Self { seed, keys, last_key: 0, texts, marks, shorts, edits: Edits::default() }
    }
}

impl Memo {
    /// What is known of the key `field`, if it is the one that followed the last one before.
    #[inline(always)]
    pub(super) fn next_key(&mut self, bytes: &[u8], field: Field, tier: usize) -> Option<KnownKey> {
        let next = self.keys.get(self.last_key)?.next;
        let slot = self.keys.get(next)?;
        let is_next = match short(bytes, field) {
            Some(short) => slot.short == short && short != 0 && slot.tier == tier as u32,
            None => slot.is(field.of(bytes), tier),
        };
        if !is_next {
            return None;
        }
        self.last_key = next;
        Some(slot.known)
    }

    /// Whether the text `field` was let pass by the filter before; where it would be noted if not.
    #[inline(always)]
    pub(super) fn passed(&self, bytes: &[u8], field: Field) -> Result<(), Option<Short>> {
        let Some(text) = short(bytes, field) else { return Err(None) };
        let folded = text as u64 ^ ((text >> 64) as u64).rotate_left(29);
        let place = (folded.wrapping_mul(self.seed | 1) >> 56) as usize;
        match self.shorts.get(place) {
            Some(known) if *known == text => Ok(()),
            _ => Err(Some(Short { text, place })),
        }
    }

    /// Notes that it was.
    #[inline(always)]
    pub(super) fn note_passed(&mut self, Short { text, place }: Short) {
        if self.shorts.is_empty() {
            self.shorts.resize(SHORTS, 0);
        }
        self.shorts[place] = text;
    }

    /// What is known of `key`, or what `learn` says of it.
    pub(super) fn key(
        &mut self,
        key: &[u8],
        tier: usize,
        learn: impl FnOnce() -> KnownKey,
    ) -> KnownKey {
        if self.keys.is_empty() {
            self.keys.resize_with(KEYS, Key::default);
        }
        let at = self.place_of_key(key, tier);
        self.keys[self.last_key].next = at;
        self.last_key = at;
        let slot = &mut self.keys[at];
        if !slot.is(key, tier) {
            let whole = Field { tag: 0, at: 0, start: 0, end: key.len() };
            let short = short(key, whole).unwrap_or(0);
            *slot = Key { tier: tier as u32, next: 0, short, key: key.into(), known: learn() };
        }
        slot.known
    }

    /// Where a key is, or is to be: in one of the places of its hash, an empty one if there is any.
    fn place_of_key(&self, key: &[u8], tier: usize) -> usize {
        let hash = self.hash(key);
        let first = hash as usize % (KEYS / KEY_WAYS) * KEY_WAYS;
        let mut places = first..first + KEY_WAYS;
        let place = places.clone().find(|place| self.keys[*place].is(key, tier));
        let place = place.or_else(|| places.find(|place| self.keys[*place].key.is_empty()));
        place.unwrap_or(first + (hash >> 32) as usize % KEY_WAYS)
    }

    /// Whether `text` under a key of this `hint` was found clean before.
    pub(super) fn is_clean(&self, text: &[u8], hint: KeyHint, tier: usize) -> bool {
        if self.texts.is_empty() || text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let ways = &self.texts[self.hash(text) as usize % (TEXTS / WAYS)];
        ways.iter().any(|way| way.hint == hint && way.tier == tier as u32 && *way.text == *text)
    }

    /// Notes that it is; remembers it if it was noted before.
    pub(super) fn note_clean(&mut self, text: &[u8], hint: KeyHint, tier: usize) {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return;
        }
        if self.texts.is_empty() {
            self.texts.resize_with(TEXTS / WAYS, Default::default);
            self.marks.resize(MARKS, 0);
        }
        let hash = self.hash(text);
        let mark = &mut self.marks[(hash >> 20) as usize % MARKS];
        if std::mem::replace(mark, (hash >> 32) as u32) != (hash >> 32) as u32 {
            return;
        }
        let ways = &mut self.texts[hash as usize % (TEXTS / WAYS)];
        // The newest one first; the oldest one goes.
        ways.rotate_right(1);
        ways[0] = Text { tier: tier as u32, hint, text: text.into() };
    }

    fn hash(&self, text: &[u8]) -> u64 {
        xxh3_64_with_seed(text, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span's keys are learnt once, whatever their hashes are: five that share one of 64 are as
    /// good as never among fifteen.
    #[test]
    fn keys_are_learnt_once() {
        let mut n_learnt = 0;
        for _ in 0..200 {
            let mut memo = Memo::default();
            for n in (0..15).chain(0..15) {
                memo.key(format!("a.key.of.number.{n}").as_bytes(), 0, || {
                    n_learnt += 1;
                    KnownKey::default()
                });
            }
        }
        assert!((3000..3020).contains(&n_learnt), "{n_learnt}");
    }

    #[test]
    fn short_texts_are_themselves() {
        let bytes = b"POST\0GETPOS0123456789abcdef";
        let field = |start, end| Field { tag: 0, at: 0, start, end };
        let mut memo = Memo::default();
        let note = |memo: &mut Memo, field| {
            let place = memo.passed(bytes, field).expect_err("not noted yet").expect("short");
            memo.note_passed(place);
        };
        note(&mut memo, field(0, 4));
        assert!(memo.passed(bytes, field(0, 4)).is_ok());
        // A prefix, one with a zero behind, another one, and one that is too long.
        for (start, end) in [(0, 3), (0, 5), (5, 8), (8, 11), (11, 27)] {
            assert!(memo.passed(bytes, field(start, end)).is_err(), "{start}");
        }
        assert!(matches!(memo.passed(bytes, field(11, 27)), Err(None)));
        note(&mut memo, field(11, 26));
        assert!(memo.passed(bytes, field(11, 26)).is_ok());
        assert!(memo.passed(bytes, field(12, 27)).is_err());
    }

    /// What comes once takes nobody's place; what comes twice is known from then on.
    #[test]
    fn texts_are_remembered_at_their_second_sight() {
        let mut memo = Memo::default();
        let mut is_clean_after_noting = |text: &str| {
            memo.note_clean(text.as_bytes(), KeyHint::NONE, 0);
            memo.is_clean(text.as_bytes(), KeyHint::NONE, 0)
        };
        assert!(!is_clean_after_noting("shared"));
        assert!(is_clean_after_noting("shared"));
        for n in 0..10_000 {
            assert!(!is_clean_after_noting(&format!("its own {n}")), "{n}");
        }
        assert!(memo.is_clean(b"shared", KeyHint::NONE, 0));
        assert!(!memo.is_clean(b"shared", KeyHint::IP, 0));
        assert!(!memo.is_clean(b"shared", KeyHint::NONE, 1));
    }
}
