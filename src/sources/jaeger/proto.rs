//! Writes protobuf: the few kinds of fields that OTLP has, appended to a vector.
//!
//! Owns tags, varints and the length before a message. Knows no message. A field with protobuf's
//! default is left out, except where a choice (`oneof`) makes it count: those functions say
//! *always*.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LEN: u64 = 2;

/// The longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(n: usize) -> Self {
        Self { bytes: Vec::with_capacity(n) }
    }

    /// A number; 0 is left out.
    pub(super) fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.number_always(field, value);
        }
    }

    /// A number of a choice.
    pub(super) fn number_always(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    /// Eight bytes; 0 is left out.
    pub(super) fn fixed64(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.fixed64_always(field, value);
        }
    }

    /// Eight bytes of a choice.
    pub(super) fn fixed64_always(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Text, as UTF-8 whatever it was; none is left out.
    pub(super) fn text(&mut self, field: u64, text: &[u8]) {
        if !text.is_empty() {
            self.text_always(field, text);
        }
    }

    /// Text of a choice. A receiver may refuse the whole request for one byte that is not UTF-8.
    pub(super) fn text_always(&mut self, field: u64, text: &[u8]) {
        match std::str::from_utf8(text) {
            Ok(text) => self.bytes_always(field, text.as_bytes()),
            Err(_) => self.bytes_always(field, String::from_utf8_lossy(text).as_bytes()),
        }
    }

    /// Bytes of a choice, or bytes that are there.
    pub(super) fn bytes_always(&mut self, field: u64, bytes: &[u8]) {
        self.head(field, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// A message whose length is known.
    pub(super) fn head(&mut self, field: u64, len: usize) {
        self.varint(field << 3 | LEN);
        self.varint(len as u64);
    }

    /// A message that `write` writes. The length is put in afterwards: messages here are mostly
    /// short of 128 bytes, so that its one byte is mostly right.
    pub(super) fn message<T>(&mut self, field: u64, write: impl FnOnce(&mut Self) -> T) -> T {
        self.head(field, 0);
        let start = self.bytes.len();
        let outcome = write(self);
        let len = self.bytes.len() - start;
        if len < 0x80 {
            self.bytes[start - 1] = len as u8;
            return outcome;
        }
        let (length, n) = varint(len as u64);
        self.bytes.resize(self.bytes.len() + n - 1, 0);
        self.bytes.copy_within(start..start + len, start + n - 1);
        self.bytes[start - 1..start - 1 + n].copy_from_slice(&length[..n]);
        outcome
    }

    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.bytes.push(value as u8);
        }
        let (bytes, n) = varint(value);
        self.bytes.extend_from_slice(&bytes[..n]);
    }
}

/// The bytes that a message of `len` bytes takes as field `field`, below 16.
pub(super) fn message_len(len: usize) -> usize {
    1 + varint(len as u64).1 + len
}

fn varint(mut value: u64) -> ([u8; VARINT_BYTES_MAX], usize) {
    let mut bytes = [0; VARINT_BYTES_MAX];
    let mut n = 0;
    while value >= 0x80 {
        bytes[n] = value as u8 | 0x80;
        value >>= 7;
        n += 1;
    }
    bytes[n] = value as u8;
    (bytes, n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn varints_and_lengths() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut ours = Writer::default();
            ours.varint(value);
            let mut theirs = Vec::new();
            prost::encoding::encode_varint(value, &mut theirs);
            assert_eq!(ours.bytes, theirs);
        }
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152] {
            let mut ours = Writer::default();
            let body = vec![7; len];
            ours.message(1, |writer| writer.bytes.extend_from_slice(&body));
            let mut known = Writer::default();
            known.bytes_always(1, &body);
            assert_eq!(ours.bytes, known.bytes);
            assert_eq!(ours.bytes.len(), message_len(len));
            // To prost, `Vec<u8>` is a message with bytes as its field 1.
            let theirs = Vec::<u8>::decode(&*ours.bytes).expect("prost reads it");
            assert_eq!(theirs, body);
        }
    }
}
