//! A small mutator: changes inputs of a corpus, reproducibly.
//!
//! Owns the choice of changes. Knows no target; the tokens are those that parsers trip over.

/// Bytes that mean something to one parser or another.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b".",
    b"-",
    b"+",
    b"=",
    b"%",
    b"*",
    b"'",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"T",
    b"Z",
    b"e",
    b"E",
    b"true",
    b"null",
    b"NaN",
    b"-Infinity",
    b"\\u00e9",
    b"\\ud83d",
    b"\\ude00",
    b"\xff",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x98\x80",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"1e400",
    b"0.0001",
    b"9999-12-31T23:59:60Z",
    b"stdout F ",
    b"stderr P ",
    b"${A:-b}",
    b"KiB",
    b" days",
    b"and",
    b"not",
    b"4111111111111111",
    b"bob@example.com",
    b"Traceback (most recent call last):",
];

/// Longest input that is made.
const LEN_MAX: usize = 4096;

/// An endless row of inputs.
pub(crate) struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
    input: Vec<u8>,
}

impl Mutator {
    /// The same seed and corpus give the same row.
    pub(crate) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { state: seed, corpus, input: Vec::new() }
    }

    /// The next input: one of the corpus, changed in one to eight places.
    pub(crate) fn next(&mut self) -> &[u8] {
        let chosen = self.below(self.corpus.len());
        self.input.clear();
        self.input.extend_from_slice(&self.corpus[chosen]);
        for _ in 0..=self.below(8) {
            self.change();
        }
        self.input.truncate(LEN_MAX);
        &self.input
    }

    fn change(&mut self) {
        let at = self.below(self.input.len() + 1);
        let end = at + self.below(self.input.len() - at + 1).min(64);
        match self.below(9) {
            0 => self.flip_bit(at),
            1 => {
                let byte = self.random() as u8;
                self.input.insert(at, byte);
            }
            2 => {
                let token = TOKENS[self.below(TOKENS.len())];
                self.input.splice(at..at, token.iter().copied());
            }
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                self.input.splice(at..end, token.iter().copied());
            }
            4 => drop(self.input.drain(at..end)),
            5 => self.input.truncate(at),
            6 => {
                let n_times = 1 + self.below(4);
                let part = self.input[at..end].repeat(n_times);
                self.input.splice(end..end, part);
            }
            7 => self.cross(at),
            _ => self.add_to_number(at),
        }
    }

    fn flip_bit(&mut self, at: usize) {
        let bit = self.below(8);
        if let Some(byte) = self.input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    /// Goes on with the rest of another input.
    fn cross(&mut self, at: usize) {
        let other = &self.corpus[(self.state as usize) % self.corpus.len()];
        let from = at.min(other.len());
        self.input.truncate(at);
        self.input.extend_from_slice(&other[from..]);
    }

    /// Adds a little to four bytes read as a number: lengths and offsets of binary formats.
    fn add_to_number(&mut self, at: usize) {
        let by = (self.below(33) as u32).wrapping_sub(16);
        if let Some(bytes) = self.input[at..].first_chunk_mut::<4>() {
            *bytes = u32::from_le_bytes(*bytes).wrapping_add(by).to_le_bytes();
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random() % n as u64) as usize
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications a number.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
