//! What is around a batch: the head of a Thrift message, and the arguments of `emitBatch`.
//!
//! Owns the three ways in which a batch comes ([`Protocol`]), and both heads of the binary
//! protocol. Deliberately answers nothing: `emitBatch` is one-way.

use super::thrift::{Encoding, Reader, ThriftError, Type};

/// How a batch comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A message of the compact protocol: UDP 6831.
    Compact,
    /// A message of the binary protocol: UDP 6832.
    Binary,
    /// A `Batch` in the binary protocol with no message around it: the body of a POST to
    /// `/api/traces`, HTTP 14268.
    Bare,
}

/// The first byte of a compact message.
const COMPACT_ID: u8 = 0x82;
/// The version of the compact protocol, in the low five bits of the second byte.
const COMPACT_VERSION: u8 = 1;
/// The upper half of a binary message's first word. Old writers have none.
const BINARY_VERSION: u32 = 0x8001_0000;

/// Kinds of messages: some clients send a call where no answer is wanted either.
const CALL: u8 = 1;
const ONEWAY: u8 = 4;

const METHOD: &[u8] = b"emitBatch";

/// A reader at the first field of the `Batch`.
pub(super) fn batch(bytes: &[u8], protocol: Protocol) -> Result<Reader<'_>, ThriftError> {
    let encoding = match protocol {
        Protocol::Compact => Encoding::Compact,
        Protocol::Binary | Protocol::Bare => Encoding::Binary,
    };
    let mut reader = Reader::new(bytes, encoding);
    let (kind, method) = match protocol {
        Protocol::Bare => return Ok(reader),
        Protocol::Compact => compact_head(&mut reader)?,
        Protocol::Binary => binary_head(&mut reader)?,
    };
    if method != METHOD || !matches!(kind, CALL | ONEWAY) {
        return Err(ThriftError::OtherCall);
    }
    let mut id = 0;
    while let Some((id, kind)) = reader.field(&mut id)? {
        match (id, kind) {
            (1, Type::Struct) => return Ok(reader),
            _ => reader.skip(kind)?,
        }
    }
    Err(ThriftError::Missing("batch"))
}

fn compact_head<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), ThriftError> {
    let (id, kind) = (reader.u8()?, reader.u8()?);
    if id != COMPACT_ID || kind & 0x1f != COMPACT_VERSION {
        return Err(ThriftError::NoMessage);
    }
    reader.varint()?;
    Ok((kind >> 5, reader.bytes()?))
}

fn binary_head<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), ThriftError> {
    let mut whole = *reader;
    let word = reader.i32()? as u32;
    let (kind, method) = if word & 0xffff_0000 == BINARY_VERSION {
        (word as u8, reader.bytes()?)
    } else if word <= i32::MAX as u32 {
        // The first word is the length of the method's name.
        let method = whole.bytes().map_err(|_| ThriftError::NoMessage)?;
        *reader = whole;
        (reader.u8()?, method)
    } else {
        return Err(ThriftError::NoMessage);
    };
    reader.i32()?;
    Ok((kind, method))
}
