//! Pending edits of one request, and their application in one pass: every length around what
//! changed is written anew.
//!
//! An edit replaces whole fields of a message ([`Edits::fields`]: none, one or more stand in their
//! place) or the bytes of one field's value ([`Edits::value`]). Edits inside of fields that are
//! taken out by a later edit must be given back first ([`Edits::forget_after`]).
//!
//! # Why
//! Lengths are written in their shortest form again rather than padded: overlong ones are legal,
//! but not every reader has seen one. Only the messages on the way to an edit are read a second
//! time: 500 spans with one edit cost the 500 heads and one span.

use super::wire::{Field, Malformed, Reader, push_varint, varint, varint_len};

/// "The edit is of fields."
const NO_VALUE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Edit {
    start: u32,
    end: u32,
    /// First byte of the value that is replaced, or [`NO_VALUE`].
    value: u32,
    /// The replacement, as a range of [`Edits::texts`].
    text: (u32, u32),
}

impl Edit {
    fn growth(&self) -> i64 {
        i64::from(self.text.1) - i64::from(self.text.0) - i64::from(self.end - self.start)
    }
}

/// A length that must be written anew.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where it stands, and where the value behind it begins.
    at: usize,
    start: usize,
    len: usize,
}

/// The edits of one request; reused from request to request.
#[derive(Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    texts: Vec<u8>,
    heads: Vec<Head>,
}

impl Edits {
    /// Forgets all edits.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.texts.clear();
    }

    /// Whether no edit is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Forgets all but the first `len`.
    pub fn forget_after(&mut self, len: usize) {
        self.edits.truncate(len);
    }

    /// Replaces the fields at `start..end`, which begin and end where fields do, by those that
    /// `write` appends. An empty range must be the beginning of a message that has fields.
    pub fn fields(&mut self, start: usize, end: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.push(start, end, NO_VALUE, write);
    }

    /// Takes `field` out.
    pub fn remove(&mut self, field: Field) {
        self.fields(field.at, field.end, |_| {});
    }

    /// Replaces the value of `field`, which is no message, by what `write` appends. An empty one
    /// stays: it has no place of its own among the bytes.
    pub fn value(&mut self, field: Field, write: impl FnOnce(&mut Vec<u8>)) {
        if field.is_empty() {
            return;
        }
        self.push(field.start, field.end, field.start as u32, write);
    }

    fn push(&mut self, start: usize, end: usize, value: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.texts.len() as u32;
        write(&mut self.texts);
        let text = (from, self.texts.len() as u32);
        self.edits.push(Edit { start: start as u32, end: end as u32, value, text });
    }

    /// Appends the edited request to `out`.
    ///
    /// # Errors
    /// [`Malformed`] where `bytes` is not what the edits were made for.
    pub fn apply(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.edits.sort_by_key(|edit| (edit.start, edit.end));
        let mut heads = std::mem::take(&mut self.heads);
        heads.clear();
        self.plan(bytes, (0, bytes.len()), 0, &mut heads)?;
        let growth: i64 = self.edits.iter().map(Edit::growth).sum();
        out.reserve((bytes.len() as i64 + growth).max(0) as usize + super::super::slab::PAD);
        let (mut done, mut next_head) = (0, heads.iter().peekable());
        for edit in &self.edits {
            while let Some(head) = next_head.next_if(|head| head.at < edit.start as usize) {
                out.extend_from_slice(bytes.get(done..head.at).unwrap_or_default());
                push_varint(out, head.len as u64);
                done = head.start;
            }
            out.extend_from_slice(bytes.get(done..edit.start as usize).unwrap_or_default());
            let text = self.texts.get(edit.text.0 as usize..edit.text.1 as usize);
            out.extend_from_slice(text.unwrap_or_default());
            done = edit.end as usize;
        }
        out.extend_from_slice(bytes.get(done..).unwrap_or_default());
        self.heads = heads;
        Ok(())
    }

    /// Notes the new lengths of the message at `start..end` and below, of which the first edit at
    /// or behind `start` is number `first`; returns how much it grows, and the first edit behind.
    fn plan(
        &self,
        bytes: &[u8],
        (start, end): (usize, usize),
        first: usize,
        heads: &mut Vec<Head>,
    ) -> Result<(i64, usize), Malformed> {
        let (mut growth, mut next) = (0, first);
        let mut reader = Reader::new(bytes, start, end);
        while let Some(edit) = self.edits.get(next).filter(|edit| (edit.start as usize) < end) {
            let Some(field) = reader.read()? else { break };
            if field.end <= edit.start as usize {
                continue;
            }
            next = self.plan_fields(field, next, &mut growth);
            let inside = self.edits.get(next).filter(|edit| (edit.start as usize) < field.end);
            let Some(inside) = inside.filter(|edit| edit.start as usize >= field.start) else {
                continue;
            };
            let index = heads.len();
            let mut at = field.at;
            varint(bytes, &mut at, end)?;
            heads.push(Head { at, start: field.start, len: 0 });
            let (inner, behind) = if inside.value as usize == field.start {
                (inside.growth(), next + 1)
            } else {
                self.plan(bytes, (field.start, field.end), next, heads)?
            };
            let len = (field.len() as i64 + inner).max(0) as usize;
            heads[index].len = len;
            growth += inner + varint_len(len as u64) as i64 - (field.start - at) as i64;
            if behind == next {
                return Err(Malformed { at: field.at, what: "an edit that fits no field" });
            }
            next = behind;
        }
        Ok((growth, next))
    }

    /// The edits of whole fields that begin with `field`.
    fn plan_fields(&self, field: Field, mut next: usize, growth: &mut i64) -> usize {
        while let Some(edit) = self.edits.get(next) {
            if edit.start as usize > field.at || edit.value != NO_VALUE {
                break;
            }
            *growth += edit.growth();
            next += 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{push_bytes, push_message, push_number};
    use super::*;

    /// A message of messages with texts of the lengths given.
    fn nested(lens: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        for len in lens {
            push_message(&mut out, 1, |out| {
                push_number(out, 2, 7);
                push_message(out, 3, |out| push_bytes(out, 1, &vec![b'x'; *len]));
                push_bytes(out, 4, b"tail");
            });
        }
        out
    }

    fn fields(bytes: &[u8], start: usize, end: usize) -> Vec<Field> {
        let mut reader = Reader::new(bytes, start, end);
        std::iter::from_fn(|| reader.read().expect("sound")).collect()
    }

    fn applied(edits: &mut Edits, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        edits.apply(bytes, &mut out).expect("applies");
        out
    }

    /// Values grow and shrink over the borders of their lengths' lengths, and so do those around.
    #[test]
    fn lengths_follow_the_values() {
        for (old, new) in [(5, 3), (120, 130), (130, 120), (10, 40_000), (20_000, 0), (0, 0)] {
            let bytes = nested(&[9, old, 200]);
            let outer = fields(&bytes, 0, bytes.len())[1];
            let middle = fields(&bytes, outer.start, outer.end)[1];
            let leaf = fields(&bytes, middle.start, middle.end)[0];
            let mut edits = Edits::default();
            edits.value(leaf, |out| out.extend(std::iter::repeat_n(b'x', new)));
            assert_eq!(applied(&mut edits, &bytes), nested(&[9, new, 200]), "{old} to {new}");
        }
    }

    #[test]
    fn fields_come_and_go() {
        let bytes = nested(&[9, 90, 200]);
        let outer = fields(&bytes, 0, bytes.len());
        let mut edits = Edits::default();
        edits.remove(outer[1]);
        assert_eq!(applied(&mut edits, &bytes), nested(&[9, 200]));
        edits.clear();
        // Out of order, at the front of a message, and a whole field with others inside of it.
        edits.remove(outer[2]);
        edits.fields(outer[0].start, outer[0].start, |out| push_bytes(out, 9, &[1; 200]));
        let inner = fields(&bytes, outer[0].start, outer[0].end);
        edits.remove(inner[2]);
        let mut expected = Vec::new();
        push_message(&mut expected, 1, |out| {
            push_bytes(out, 9, &[1; 200]);
            push_number(out, 2, 7);
            push_message(out, 3, |out| push_bytes(out, 1, &[b'x'; 9]));
        });
        expected.extend_from_slice(&nested(&[90]));
        assert_eq!(applied(&mut edits, &bytes), expected);
    }
}
