//! The symbol table of a body: every text once, in the form that 2.0 sends it in.
//!
//! Number 0 is the empty text, as 2.0 demands. A body of 1.0 has no table, and takes the texts out
//! of this one.

use xxhash_rust::xxh3::xxh3_64;

use super::index::Index;
use crate::event::otlp::wire::push_bytes;

/// `Request.symbols` of 2.0.
const SYMBOLS: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Symbols {
    /// The fields, one after the other.
    wire: Vec<u8>,
    /// Where each text stands in them.
    places: Vec<(u32, u32)>,
    index: Index,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut new = Self { wire: Vec::new(), places: Vec::new(), index: Index::default() };
        new.clear();
        new
    }
}

impl Symbols {
    /// The number of `text`. What is no UTF-8 is made so: one such byte would cost the request.
    #[inline]
    pub(super) fn reference(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = xxh3_64(text);
        match self.index.find(hash, |place| self.text(place) == text) {
            Some(found) => found,
            None => self.add(text, hash),
        }
    }

    fn add(&mut self, text: &[u8], hash: u64) -> u32 {
        if std::str::from_utf8(text).is_err() {
            return self.reference(String::from_utf8_lossy(text).as_bytes());
        }
        let number = self.places.len() as u32;
        push_bytes(&mut self.wire, SYMBOLS, text);
        self.places.push(((self.wire.len() - text.len()) as u32, text.len() as u32));
        self.index.insert(hash, number);
        number
    }

    /// The text of a number.
    #[inline]
    pub(super) fn text(&self, number: u32) -> &[u8] {
        let (start, len) = self.places.get(number as usize).copied().unwrap_or_default();
        &self.wire[start as usize..(start + len) as usize]
    }

    /// All fields.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub(super) fn clear(&mut self) {
        self.wire.clear();
        self.places.clear();
        self.index.clear();
        push_bytes(&mut self.wire, SYMBOLS, b"");
        self.places.push((self.wire.len() as u32, 0));
    }

    /// Bytes that it keeps for the next body.
    pub(super) fn capacity(&self) -> usize {
        self.wire.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_once() {
        let mut symbols = Symbols::default();
        let job = symbols.reference(b"job");
        assert_eq!(symbols.reference(b""), 0);
        assert_eq!((job, symbols.reference(b"job")), (1, 1));
        let odd = symbols.reference(b"a\xffb");
        assert_eq!(symbols.text(odd), "a\u{fffd}b".as_bytes());
        assert_eq!(symbols.reference(b"a\xffb"), odd);
        assert_eq!(symbols.wire(), [&b"\x22\0\x22\x03job\x22\x05a"[..], b"\xef\xbf\xbdb"].concat());
        symbols.clear();
        assert_eq!((symbols.wire(), symbols.text(0)), (&b"\x22\0"[..], &b""[..]));
    }
}
