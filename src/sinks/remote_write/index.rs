//! What was seen in this body, found again by its hash.
//!
//! Owns the table of hashes, and the memo from bytes to a number. What is found is always compared
//! in full by the caller: a hash alone decides nothing.

use xxhash_rust::xxh3::xxh3_64;

/// Places in somebody's list, by hash.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A hash's upper half and, below it, a place plus one; 0 is empty. As many as a power of two.
    slots: Vec<u64>,
    len: usize,
}

const SLOTS_MIN: usize = 64;

impl Index {
    /// The place with this hash that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (mask, upper) = (self.slots.len().checked_sub(1)?, hash >> 32);
        let mut at = upper as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let place = slot as u32 - 1;
            if slot >> 32 == upper && is_it(place) {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
    }

    /// Notes a `place` that was not found.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        if self.len * 4 >= self.slots.len() * 3 {
            let room = (self.slots.len() * 2).max(SLOTS_MIN);
            let old = std::mem::replace(&mut self.slots, vec![0; room]);
            old.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
        self.put(hash >> 32 << 32 | u64::from(place + 1));
        self.len += 1;
    }

    fn put(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.len = 0;
    }
}

/// Numbers by bytes.
#[derive(Debug, Default)]
pub(super) struct Memo {
    keys: Vec<u8>,
    /// Where a key ends; it begins where the one before ends.
    ends: Vec<u32>,
    values: Vec<u32>,
    index: Index,
}

impl Memo {
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<u32> {
        let place = self.index.find(xxh3_64(key), |place| self.key(place) == key)?;
        self.values.get(place as usize).copied()
    }

    pub(super) fn put(&mut self, key: &[u8], value: u32) {
        let place = self.values.len() as u32;
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len() as u32);
        self.values.push(value);
        self.index.insert(xxh3_64(key), place);
    }

    #[inline]
    fn key(&self, place: u32) -> &[u8] {
        let place = place as usize;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start as usize..self.ends[place] as usize]
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.values.clear();
        self.index.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found() {
        let mut memo = Memo::default();
        assert_eq!(memo.get(b"0"), None);
        for round in 0..2 {
            for n in 0..1000u32 {
                let key = n.to_string();
                assert_eq!(memo.get(key.as_bytes()), None, "{round} {n}");
                memo.put(key.as_bytes(), n * 7);
            }
            for n in 0..1000u32 {
                assert_eq!(memo.get(n.to_string().as_bytes()), Some(n * 7));
            }
            assert_eq!(memo.get(b""), None);
            memo.clear();
        }
    }

    /// Equal hashes are told apart by what is compared.
    #[test]
    fn equal_hashes() {
        let mut index = Index::default();
        for place in 0..200 {
            index.insert(7 << 32, place);
        }
        for place in 0..200 {
            assert_eq!(index.find(7 << 32, |other| other == place), Some(place));
        }
        assert_eq!(index.find(7 << 32, |_| false), None);
    }
}
