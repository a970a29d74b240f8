//! What is remembered from request to request: what keys say, and which texts were found clean.
//!
//! Both are direct-mapped tables of fixed size: a collision costs a look-up, never memory. A key is
//! first looked for where the one after its predecessor was the last time: spans of one kind have
//! the same keys in the same order, and a hash costs as much as all else that a key costs.
//!
//! # Why
//! A span has five keys, and the same ones for ever; a folded key and its patterns cost some
//! hundred nanoseconds. User agents and URLs look suspicious to the filter in every span, and are
//! the same few texts: the exact detectors need 300 ns each time to find nothing.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::otlp::edit::Edits;
use crate::pipeline::facts::Facts;
use crate::protect::context::KeyHint;

const KEYS: usize = 256;
const TEXTS: usize = 1024;
/// Longer texts are searched each time.
const TEXT_BYTES_MAX: usize = 512;

/// See the module; and the edits of the request in work, for their buffers.
#[derive(Debug)]
pub(in crate::pipeline) struct Memo {
    seed: u64,
    keys: Vec<Key>,
    /// The key asked for last.
    last_key: usize,
    texts: Vec<Text>,
    pub(super) edits: Edits,
}

#[derive(Clone, Debug, Default)]
struct Key {
    tier: u32,
    /// The key that was asked for after it.
    next: usize,
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

impl Default for Memo {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0u8);
        // Filled at the first use: most daemons take no requests.
        Self { seed, keys: Vec::new(), last_key: 0, texts: Vec::new(), edits: Edits::default() }
    }
}

impl Memo {
    /// What is known of `key`, if it is the one that followed the last one before.
    #[inline(always)]
    pub(super) fn next_key(&mut self, key: &[u8], tier: usize) -> Option<KnownKey> {
        let next = self.keys.get(self.last_key)?.next;
        let slot = self.keys.get(next)?;
        if !slot.is(key, tier) {
            return None;
        }
        self.last_key = next;
        Some(slot.known)
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
        let at = xxh3_64_with_seed(key, self.seed) as usize % KEYS;
        self.keys[self.last_key].next = at;
        self.last_key = at;
        let slot = &mut self.keys[at];
        if !slot.is(key, tier) {
            *slot = Key { tier: tier as u32, next: 0, key: key.into(), known: learn() };
        }
        slot.known
    }

    /// Whether `text` under a key of this `hint` was found clean before.
    pub(super) fn is_clean(&mut self, text: &[u8], hint: KeyHint, tier: usize) -> bool {
        let Some(slot) = self.text_slot(text) else { return false };
        slot.hint == hint && slot.tier == tier as u32 && *slot.text == *text
    }

    /// Remembers that it is.
    pub(super) fn note_clean(&mut self, text: &[u8], hint: KeyHint, tier: usize) {
        if let Some(slot) = self.text_slot(text) {
            *slot = Text { tier: tier as u32, hint, text: text.into() };
        }
    }

    fn text_slot(&mut self, text: &[u8]) -> Option<&mut Text> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        if self.texts.is_empty() {
            self.texts.resize_with(TEXTS, Text::default);
        }
        let slot = xxh3_64_with_seed(text, self.seed) as usize % TEXTS;
        self.texts.get_mut(slot)
    }
}
