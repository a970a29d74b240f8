//! Reads Thrift, in its compact and its binary protocol, from bytes in memory.
//!
//! Owns the two encodings, and their bounds: no size is believed that the bytes left cannot hold,
//! nothing is nested deeper than [`DEPTH_MAX`], and nothing is allocated. Knows no message and no
//! struct: what is read is the caller's loop over fields.
//!
//! # Why
//! - *An own reader, not the `thrift` crate.* That one reads from a stream and gives every text and
//!   every list an allocation of its own; its limits are 100 MB, and ten crates come along. What is
//!   needed of the two protocols is on this page, over a slice, and hands out slices of it.
//! - *A reader is a position, and cheap to copy.* So a list can be passed over and be read when its
//!   struct is known, or be read twice, without a place to keep it.
//!
//! Reference: `thrift-compact-protocol.md` and `thrift-binary-protocol.md` of apache/thrift.

use crate::event::otlp::wire::unzigzag;

/// How deep what nobody asked for may be nested. Jaeger's own structs need six.
const DEPTH_MAX: u32 = 16;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThriftError {
    /// They end inside a value, or a size reaches beyond their end.
    #[error("the message ends within a value")]
    Cut,
    /// They do not begin as a message of the protocol does.
    #[error("not a message of this Thrift protocol")]
    NoMessage,
    /// A message, but not a call of `emitBatch`.
    #[error("not a call of emitBatch")]
    OtherCall,
    /// A number of more bytes than its type has.
    #[error("a number is too long")]
    Number,
    /// A type that the protocol does not know.
    #[error("type {0} is unknown")]
    Type(u8),
    /// Structs or lists within each other without end.
    #[error("nested more than {DEPTH_MAX} deep")]
    Depth,
    /// A required field is not there.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Varints, and fields numbered by their distance.
    Compact,
    /// Everything as wide as its type, big endian.
    Binary,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    /// Text or bytes: the wire does not tell.
    Bytes,
    List,
    Set,
    Map,
    Struct,
    Uuid,
}

/// A place in the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    /// The value of the boolean field just read: the compact protocol has it in the field's type.
    field_bool: Option<bool>,
}

/// A list of structs, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// Where its first element begins.
    elements: Reader<'a>,
    /// How many there are; not more than bytes behind them.
    n: u32,
}

impl Default for List<'_> {
    /// An empty one, of whatever encoding.
    fn default() -> Self {
        Self { elements: Reader::new(&[], Encoding::Binary), n: 0 }
    }
}

impl<'a> List<'a> {
    /// A reader at the next element's first field, to be read to the element's end.
    pub(super) fn next(&mut self) -> Option<&mut Reader<'a>> {
        self.n = self.n.checked_sub(1)?;
        Some(&mut self.elements)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { bytes, encoding, field_bool: None }
    }

    /// The next field of a struct: its id and type. `None` at the struct's end. `last_id` is the
    /// field before, 0 at first; it belongs to one struct.
    pub(super) fn field(&mut self, last_id: &mut i16) -> Result<Option<(i16, Type)>, ThriftError> {
        let first = self.u8()?;
        if first == 0 {
            return Ok(None);
        }
        let kind = match self.encoding {
            Encoding::Binary => {
                *last_id = i16::from_be_bytes(self.array()?);
                Type::binary(first)?
            }
            Encoding::Compact => {
                let distance = i16::from(first >> 4);
                *last_id = match distance {
                    0 => self.i16()?,
                    _ => last_id.wrapping_add(distance),
                };
                self.field_bool = (first & 0x0f <= 2).then_some(first & 0x0f == 1);
                Type::compact(first & 0x0f)?
            }
        };
        Ok(Some((*last_id, kind)))
    }

    pub(super) fn bool(&mut self) -> Result<bool, ThriftError> {
        // An element of a list has a byte: 1, or 0 or 2 for false, as writers differ.
        self.field_bool.take().map_or_else(|| Ok(self.u8()? == 1), Ok)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ThriftError> {
        match self.encoding {
            Encoding::Binary => Ok(i32::from_be_bytes(self.array()?)),
            Encoding::Compact => {
                i32::try_from(unzigzag(self.varint()?)).map_err(|_| ThriftError::Number)
            }
        }
    }

    pub(super) fn i64(&mut self) -> Result<i64, ThriftError> {
        match self.encoding {
            Encoding::Binary => Ok(i64::from_be_bytes(self.array()?)),
            Encoding::Compact => Ok(unzigzag(self.varint()?)),
        }
    }

    pub(super) fn double(&mut self) -> Result<f64, ThriftError> {
        let bytes = self.array()?;
        Ok(match self.encoding {
            Encoding::Binary => f64::from_be_bytes(bytes),
            Encoding::Compact => f64::from_le_bytes(bytes),
        })
    }

    /// Text or bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], ThriftError> {
        let len = self.size()?;
        self.take(len)
    }

    /// Reads a list of structs, `read` each of them to its end; what is returned can be read again.
    /// A list of anything else counts as empty.
    pub(super) fn structs(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(), ThriftError>,
    ) -> Result<List<'a>, ThriftError> {
        let (kind, n) = self.list_head()?;
        let elements = *self;
        let is_wanted = kind == Type::Struct;
        for _ in 0..n {
            if is_wanted { read(self)? } else { self.skip(kind)? }
        }
        Ok(List { elements, n: if is_wanted { n } else { 0 } })
    }

    /// Passes over a list of structs, to be read later.
    pub(super) fn structs_later(&mut self) -> Result<List<'a>, ThriftError> {
        self.structs(|reader| reader.skip(Type::Struct))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, kind: Type) -> Result<(), ThriftError> {
        self.skip_within(kind, DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: Type, depth: u32) -> Result<(), ThriftError> {
        let below = || depth.checked_sub(1).ok_or(ThriftError::Depth);
        match kind {
            Type::Bool => self.bool().map(drop)?,
            Type::I8 => self.u8().map(drop)?,
            Type::I16 => self.i16().map(drop)?,
            Type::I32 => self.i32().map(drop)?,
            Type::I64 => self.i64().map(drop)?,
            Type::Double => self.take(8).map(drop)?,
            Type::Uuid => self.take(16).map(drop)?,
            Type::Bytes => self.bytes().map(drop)?,
            Type::List | Type::Set => {
                let (kind, n) = self.list_head()?;
                for _ in 0..n {
                    self.skip_within(kind, below()?)?;
                }
            }
            Type::Map => {
                let (key, value, n) = self.map_head()?;
                for _ in 0..n {
                    self.skip_within(key, below()?)?;
                    self.skip_within(value, below()?)?;
                }
            }
            Type::Struct => {
                let mut last_id = 0;
                while let Some((_, kind)) = self.field(&mut last_id)? {
                    self.skip_within(kind, below()?)?;
                }
            }
        }
        Ok(())
    }

    /// The type of a list's elements, and how many there are.
    fn list_head(&mut self) -> Result<(Type, u32), ThriftError> {
        let first = self.u8()?;
        let (code, n) = match self.encoding {
            Encoding::Binary => (first, self.size()?),
            Encoding::Compact if first >> 4 == 15 => (first & 0x0f, self.size()?),
            Encoding::Compact => (first & 0x0f, usize::from(first >> 4)),
        };
        // What type an empty list has is nobody's concern, and not every writer's.
        let kind = if n == 0 { Type::Struct } else { self.element(code)? };
        Ok((kind, self.count(n)?))
    }

    /// The types of a map's keys and values, and how many pairs there are.
    fn map_head(&mut self) -> Result<(Type, Type, u32), ThriftError> {
        let (key, value, n) = match self.encoding {
            Encoding::Binary => (self.u8()?, self.u8()?, self.size()?),
            Encoding::Compact => match self.size()? {
                0 => (0, 0, 0),
                n => {
                    let types = self.u8()?;
                    (types >> 4, types & 0x0f, n)
                }
            },
        };
        if n == 0 {
            return Ok((Type::Struct, Type::Struct, 0));
        }
        Ok((self.element(key)?, self.element(value)?, self.count(n)?))
    }

    fn element(&self, code: u8) -> Result<Type, ThriftError> {
        match self.encoding {
            Encoding::Binary => Type::binary(code),
            Encoding::Compact => Type::compact(code),
        }
    }

    /// A number of elements: each of them takes a byte at least.
    fn count(&self, n: usize) -> Result<u32, ThriftError> {
        if n > self.bytes.len() {
            return Err(ThriftError::Cut);
        }
        u32::try_from(n).map_err(|_| ThriftError::Cut)
    }

    /// A length or a number of elements, not yet compared with what is left.
    fn size(&mut self) -> Result<usize, ThriftError> {
        let size = match self.encoding {
            Encoding::Binary => u32::try_from(self.i32()?).ok(),
            Encoding::Compact => u32::try_from(self.varint()?).ok(),
        };
        size.map(|size| size as usize).ok_or(ThriftError::Cut)
    }

    fn i16(&mut self) -> Result<i16, ThriftError> {
        match self.encoding {
            Encoding::Binary => Ok(i16::from_be_bytes(self.array()?)),
            Encoding::Compact => {
                i16::try_from(unzigzag(self.varint()?)).map_err(|_| ThriftError::Number)
            }
        }
    }

    /// An unsigned number, seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, ThriftError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(ThriftError::Number);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ThriftError::Number)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ThriftError> {
        let (&first, rest) = self.bytes.split_first().ok_or(ThriftError::Cut)?;
        self.bytes = rest;
        Ok(first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ThriftError> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(ThriftError::Cut)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], ThriftError> {
        let (first, rest) = self.bytes.split_at_checked(n).ok_or(ThriftError::Cut)?;
        self.bytes = rest;
        Ok(first)
    }
}

impl Type {
    fn compact(code: u8) -> Result<Self, ThriftError> {
        Ok(match code {
            1 | 2 => Self::Bool,
            3 => Self::I8,
            4 => Self::I16,
            5 => Self::I32,
            6 => Self::I64,
            7 => Self::Double,
            8 => Self::Bytes,
            9 => Self::List,
            10 => Self::Set,
            11 => Self::Map,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return Err(ThriftError::Type(code)),
        })
    }

    fn binary(code: u8) -> Result<Self, ThriftError> {
        Ok(match code {
            2 => Self::Bool,
            3 => Self::I8,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::Bytes,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            16 => Self::Uuid,
            _ => return Err(ThriftError::Type(code)),
        })
    }
}

#[cfg(test)]
mod tests;
