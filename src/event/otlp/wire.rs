//! Protobuf's wire format: fields one after the other, each a tag and a value.
//!
//! Source: the protobuf encoding guide. Groups (wire types 3 and 4) are not of proto3 and refused.

/// Bytes that are not protobuf, or not this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {at}: {what}")]
pub struct Malformed {
    /// Where in the request.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// How a field's value lies on the wire: the low three bits of its tag.
pub mod kind {
    /// A number of one to ten bytes.
    pub const VARINT: u32 = 0;
    /// Eight bytes.
    pub const FIXED64: u32 = 1;
    /// A length and as many bytes.
    pub const BYTES: u32 = 2;
    /// Four bytes.
    pub const FIXED32: u32 = 5;
}

/// The tag of field `number` with values of `kind`.
#[must_use]
pub const fn tag(number: u32, kind: u32) -> u32 {
    number << 3 | kind
}

/// One field: positions in the buffer that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Number and wire type, see [`tag`].
    pub tag: u32,
    /// First byte of the tag.
    pub at: usize,
    /// First byte of the value, behind tag and length.
    pub start: usize,
    /// Behind the last byte of the value.
    pub end: usize,
}

impl Field {
    /// The field's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.tag >> 3
    }

    /// The wire type.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.tag & 7
    }

    /// Bytes of the value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The value's bytes.
    #[must_use]
    #[inline]
    pub fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The value as a number: a varint, or eight or four bytes little-endian.
    #[must_use]
    #[inline]
    pub fn number_in(&self, bytes: &[u8]) -> u64 {
        let value = self.of(bytes);
        if self.kind() == kind::VARINT {
            let mut at = 0;
            return varint(value, &mut at, value.len()).unwrap_or(0);
        }
        if let Some(wide) = value.first_chunk() {
            return u64::from_le_bytes(*wide);
        }
        let mut wide = [0; 8];
        let len = value.len().min(8);
        wide[..len].copy_from_slice(&value[..len]);
        u64::from_le_bytes(wide)
    }
}

/// Reads the fields of one message: the rest of `bytes` behind `at`.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Cut where the message ends.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The message that lies at `start..end` of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self { bytes: bytes.get(..end).unwrap_or(bytes), at: start }
    }

    /// The message that is a field's value.
    #[must_use]
    pub fn of(bytes: &'a [u8], field: Field) -> Self {
        Self::new(bytes, field.start, field.end)
    }

    /// Whether there is no field left.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field; `None` behind the last one.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no field of proto3, or reach over the message's end.
    #[inline(always)]
    pub fn read(&mut self) -> Result<Option<Field>, Malformed> {
        let (bytes, at) = (self.bytes, self.at);
        if at >= bytes.len() {
            return Ok(None);
        }
        let Head { tag, len, end } = match short_head(bytes, at) {
            Some(head) => head,
            None => Head::unpack(long_head(bytes, at)),
        };
        if end > bytes.len() {
            return Err(malformed(bytes, at));
        }
        self.at = end;
        Ok(Some(Field { tag, at, start: at + len as usize, end }))
    }
}

/// What stands in front of a value.
struct Head {
    tag: u32,
    /// Bytes of tag and length.
    len: u32,
    /// Where the value ends: beyond all bytes for what is no field.
    end: usize,
}

impl Head {
    /// In two registers.
    ///
    /// # Why
    /// What comes back through memory is written there in parts and read as a whole at once, which
    /// stalls for longer than the field takes to read.
    fn pack(self) -> (u64, usize) {
        (u64::from(self.tag) | u64::from(self.len) << 32, self.end)
    }

    #[inline(always)]
    fn unpack((head, end): (u64, usize)) -> Self {
        Self { tag: head as u32, len: (head >> 32) as u32, end }
    }
}

/// A head of the commonest forms: a tag of one byte, and a length or number of one byte or a
/// value of eight.
#[inline(always)]
fn short_head(bytes: &[u8], at: usize) -> Option<Head> {
    let [tag, len] = *bytes.get(at..)?.first_chunk()?;
    let (tag, is_short) = (u32::from(tag), len < 0x80);
    match tag & 0x87 {
        kind::BYTES if is_short && tag >= 8 => {
            Some(Head { tag, len: 2, end: at + 2 + usize::from(len) })
        }
        kind::FIXED64 if tag >= 8 => Some(Head { tag, len: 1, end: at + 9 }),
        kind::VARINT if is_short && tag >= 8 => Some(Head { tag, len: 1, end: at + 2 }),
        _ => None,
    }
}

/// A head of any form, see [`Head::pack`].
#[inline(never)]
fn long_head(bytes: &[u8], at: usize) -> (u64, usize) {
    let none = Head { tag: 0, len: 0, end: usize::MAX };
    any_head(bytes, at).unwrap_or(none).pack()
}

/// Why there is no field at `at`.
#[cold]
#[inline(never)]
fn malformed(bytes: &[u8], at: usize) -> Malformed {
    let over = Malformed { at, what: "a value that reaches over its message's end" };
    any_head(bytes, at).err().unwrap_or(over)
}

fn any_head(bytes: &[u8], at: usize) -> Result<Head, Malformed> {
    let (mut behind, end) = (at, bytes.len());
    let tag = varint(bytes, &mut behind, end)?;
    let start = behind;
    let (start, len) = match tag as u32 & 7 {
        kind::BYTES => {
            let len = varint(bytes, &mut behind, end)?;
            (behind, usize::try_from(len).unwrap_or(usize::MAX))
        }
        kind::VARINT => {
            varint(bytes, &mut behind, end)?;
            (start, behind - start)
        }
        kind::FIXED64 => (start, 8),
        kind::FIXED32 => (start, 4),
        _ => return Err(Malformed { at, what: "a wire type that proto3 does not have" }),
    };
    if tag >> 3 == 0 || tag > u64::from(u32::MAX) {
        return Err(Malformed { at, what: "a field number out of range" });
    }
    Ok(Head { tag: tag as u32, len: (start - at) as u32, end: start.saturating_add(len) })
}

/// Reads a varint at `at`, which moves behind it.
///
/// # Errors
/// [`Malformed`] where it is cut, or longer than ten bytes.
#[inline]
pub fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Result<u64, Malformed> {
    let bytes = bytes.get(..end).unwrap_or(bytes);
    match bytes.get(*at) {
        Some(&byte) if byte < 0x80 => {
            *at += 1;
            Ok(u64::from(byte))
        }
        _ => long_varint(bytes, at),
    }
}

fn long_varint(bytes: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    let start = *at;
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let Some(&byte) = bytes.get(*at) else {
            return Err(Malformed { at: start, what: "a number that is cut off" });
        };
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed { at: start, what: "a number of more than ten bytes" })
}

/// Bytes of `n` as a varint.
#[must_use]
#[inline]
pub fn varint_len(n: u64) -> usize {
    // 7 bits a byte; `| 1` because zero takes a byte too.
    (70 - (n | 1).leading_zeros() as usize) / 7
}

/// Most bytes of a varint.
pub const VARINT_MAX: usize = 10;

/// Writes `n` at the front of `out` and returns its length. `out` has [`VARINT_MAX`] bytes of room.
#[inline]
pub fn put_varint(out: &mut [u8], mut n: u64) -> usize {
    let mut at = 0;
    while n >= 0x80 {
        out[at] = n as u8 | 0x80;
        n >>= 7;
        at += 1;
    }
    out[at] = n as u8;
    at + 1
}

/// Appends `n` as a varint.
#[inline]
pub fn push_varint(out: &mut Vec<u8>, n: u64) {
    // Nearly all are one of these; a copy whose length is known is no call.
    if n < 0x80 {
        return out.push(n as u8);
    }
    if n < 0x4000 {
        return out.extend_from_slice(&[n as u8 | 0x80, (n >> 7) as u8]);
    }
    let mut bytes = [0; VARINT_MAX];
    let len = put_varint(&mut bytes, n);
    push_front(out, bytes, len);
}

/// Appends the first `len` of `bytes`: all of them, less what is too much, as a copy whose length
/// is known is no call.
#[inline(always)]
fn push_front<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(&bytes);
    out.truncate(end);
}

/// A number below this is one or two bytes.
const SHORT_END: u32 = 0x4000;

/// The bytes of a number below [`SHORT_END`], the first one lowest, and how many they are.
#[inline(always)]
fn short(n: u32) -> (u32, usize) {
    if n < 0x80 { (n, 1) } else { (n & 0x7f | 0x80 | n >> 7 << 8, 2) }
}

/// Appends a tag and a number: the two at once where both are short.
#[inline(always)]
fn push_pair(out: &mut Vec<u8>, tag: u32, n: u64) {
    if tag < SHORT_END && n < u64::from(SHORT_END) {
        let ((tag, tag_len), (n, len)) = (short(tag), short(n as u32));
        let bytes = (tag | n << (8 * tag_len)).to_le_bytes();
        return push_front(out, bytes, tag_len + len);
    }
    push_varint(out, u64::from(tag));
    push_varint(out, n);
}

/// A signed number as `sint32` and `sint64` have it: its sign is the lowest bit.
#[must_use]
#[inline]
pub fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63).cast_unsigned()
}

/// The number that [`zigzag`] made that of.
#[must_use]
#[inline]
pub fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// Appends field `number` with the bytes `value`.
#[inline]
pub fn push_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    push_head(out, number, value.len());
    out.extend_from_slice(value);
}

/// Appends field `number` with a text, as UTF-8 whatever it was: a reader may refuse all for one
/// byte that is not.
pub fn push_text(out: &mut Vec<u8>, number: u32, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(_) => push_bytes(out, number, text),
        Err(_) => push_bytes(out, number, String::from_utf8_lossy(text).as_bytes()),
    }
}

/// Appends the head of field `number`, whose value of `len` bytes follows.
#[inline]
pub fn push_head(out: &mut Vec<u8>, number: u32, len: usize) {
    push_pair(out, tag(number, kind::BYTES), len as u64);
}

/// Appends field `number` as a varint.
#[inline]
pub fn push_number(out: &mut Vec<u8>, number: u32, value: u64) {
    push_pair(out, tag(number, kind::VARINT), value);
}

/// Appends field `number` as eight bytes.
#[inline]
pub fn push_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    let tag = tag(number, kind::FIXED64);
    if tag < SHORT_END {
        let (tag, len) = short(tag);
        let bytes = (u128::from(tag) | u128::from(value) << (8 * len)).to_le_bytes();
        return push_front(out, bytes, len + 8);
    }
    push_varint(out, u64::from(tag));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends field `number` as four bytes.
pub fn push_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    push_varint(out, u64::from(tag(number, kind::FIXED32)));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends field `number` as a message that `write` appends, and gives back what it gives back.
pub fn push_message<T>(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    push_varint(out, u64::from(tag(number, kind::BYTES)));
    let at = out.len();
    // One byte for the length, which most messages need; more of it is made room for behind.
    out.push(0);
    let outcome = write(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
        return outcome;
    }
    let n_more = varint_len(len as u64) - 1;
    out.resize(out.len() + n_more, 0);
    out.copy_within(at + 1..at + 1 + len, at + 1 + n_more);
    let mut rest = len;
    for byte in &mut out[at..at + n_more] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[at + n_more] = rest as u8;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        push_number(&mut bytes, 1, 300);
        push_fixed64(&mut bytes, 7, 1 << 40);
        push_fixed32(&mut bytes, 16, 5);
        push_message(&mut bytes, 2, |out| push_bytes(out, 1, &[7; 200]));
        push_bytes(&mut bytes, 3, b"");
        let mut reader = Reader::new(&bytes, 0, bytes.len());
        let mut next = || reader.read().expect("sound");
        assert_eq!(next().map(|f| (f.number(), f.number_in(&bytes))), Some((1, 300)));
        assert_eq!(next().map(|f| (f.number(), f.number_in(&bytes))), Some((7, 1 << 40)));
        assert_eq!(next().map(|f| (f.number(), f.number_in(&bytes))), Some((16, 5)));
        let message = next().expect("a message");
        let inside = Reader::of(&bytes, message).read().expect("sound").expect("a field");
        assert_eq!(inside.of(&bytes), [7; 200]);
        assert_eq!(next().map(|f| f.is_empty()), Some(true));
        assert_eq!(next(), None);
    }

    /// Tag and number at once are the same bytes as one behind the other.
    #[test]
    fn heads_have_every_length() {
        for number in [1, 15, 16, 2047, 2048, 1 << 28] {
            for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
                let (mut whole, mut parts) = (Vec::new(), Vec::new());
                push_number(&mut whole, number, value);
                push_varint(&mut parts, u64::from(tag(number, kind::VARINT)));
                push_varint(&mut parts, value);
                push_head(&mut whole, number, value as usize);
                push_varint(&mut parts, u64::from(tag(number, kind::BYTES)));
                push_varint(&mut parts, value);
                push_fixed64(&mut whole, number, value);
                push_varint(&mut parts, u64::from(tag(number, kind::FIXED64)));
                parts.extend_from_slice(&value.to_le_bytes());
                assert_eq!(whole, parts, "{number} {value}");
            }
        }
    }

    #[test]
    fn signs_are_the_lowest_bit() {
        for (n, written) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1)] {
            assert_eq!((zigzag(n), unzigzag(written)), (written, n));
        }
        assert_eq!((zigzag(i64::MIN), unzigzag(u64::MAX)), (u64::MAX, i64::MIN));
    }

    #[test]
    fn messages_have_the_length_they_say() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152] {
            let (mut written, mut known) = (Vec::new(), Vec::new());
            let body = vec![7; len];
            push_message(&mut written, 16, |out| out.extend_from_slice(&body));
            push_bytes(&mut known, 16, &body);
            assert!(written == known, "{len}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for bytes in [
            &[0x0a][..],   // a length is missing
            &[0x0a, 2, 1], // a value is cut
            &[0x09, 0, 0], // eight bytes are cut
            &[0x0b],       // a group
            &[0x02, 0],    // field 0
            &[0x80],       // a tag is cut
            &[0xff; 11],   // an endless number
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(Reader::new(bytes, 0, bytes.len()).read().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn varints_have_the_length_they_say() {
        for shift in 0..64 {
            for n in [1u64 << shift, (1 << shift) - 1, (1 << shift) + 1] {
                let mut out = Vec::new();
                push_varint(&mut out, n);
                assert_eq!(out.len(), varint_len(n), "{n}");
                assert_eq!(varint(&out, &mut 0, out.len()), Ok(n));
            }
        }
        assert_eq!(varint_len(u64::MAX), VARINT_MAX);
    }
}
