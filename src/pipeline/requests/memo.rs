//! What is remembered from request to request: what keys say, and which texts were found clean.
//!
//! Both are direct-mapped tables of fixed size: a collision costs a look-up, never memory.
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
    texts: Vec<Text>,
    pub(super) edits: Edits,
}

#[derive(Clone, Debug, Default)]
struct Key {
    tier: u32,
    key: Box<[u8]>,
    known: KnownKey,
}

/// What is known of an attribute's key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownKey {
    pub(super) facts: Facts,
    /// Its value is the request's id.
    pub(super) is_request_id: bool,
    /// The key itself holds nothing that must not stay.
    pub(super) is_clean: bool,
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
        Self { seed, keys: Vec::new(), texts: Vec::new(), edits: Edits::default() }
    }
}

impl Memo {
    /// What is known of `key`, or what `learn` says of it.
    #[inline]
    pub(super) fn key(
        &mut self,
        key: &[u8],
        tier: usize,
        learn: impl FnOnce() -> KnownKey,
    ) -> KnownKey {
        if self.keys.is_empty() {
            self.keys.resize_with(KEYS, Key::default);
        }
        let slot = xxh3_64_with_seed(key, self.seed) as usize % KEYS;
        let slot = &mut self.keys[slot];
        // An empty slot looks like the empty key.
        if *slot.key == *key && slot.tier == tier as u32 && !key.is_empty() {
            return slot.known;
        }
        let known = learn();
        *slot = Key { tier: tier as u32, key: key.into(), known };
        known
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
