//! Keyed pseudonyms: the same person has the same token in every field, tier and pod, and nobody
//! without the key can tell who it is.
//!
//! ```text
//! email:k2:MZXW6YTBOI3TQOJRGIZTINJWG4            the token
//! email:k2:MZXW6YTBOI3TQOJRGIZTINJWG4~k1:GEZD…   while keys rotate: by the new key, by the old one
//! ```
//! Token = entity, key id, the first 26 base32 characters (130 bits) of
//! HMAC-SHA-256(subkey(key, entity), canonical(value)). Each entity has a subkey of its own (one
//! HKDF-expand block, RFC 5869 2.3), so that tokens of different entities never join and one leaked
//! subkey opens one entity.
//!
//! The key file holds one key (32 bytes or more: raw, hex or base64), or lines `kid=key` in hex or
//! base64: the first is current, a second one is the previous key, and its presence is the overlap.
//! Keep it as long as the longest retention of what is joined, then take it out. A key without an
//! id gets one from its own bytes.
//!
//! Does not read files and never stores or prints key material. Deliberately not reversible.
//!
//! # Why
//! An unkeyed hash of an address or a phone number is undone with a list of all of them. The keyed
//! states of both hash passes are computed once and cloned per value (112 ns instead of 300).

mod canonical;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::entity::Entity;

/// The least a key must have.
pub const KEY_BYTES_MIN: usize = 32;
/// Characters of a token behind its key id.
pub(super) const TOKEN_CHARS: usize = 26;
/// Bytes of the hash that they come from.
const TOKEN_BYTES: usize = 17;
pub(super) const KEY_ID_MAX: usize = 16;

/// Why bytes are no key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it.
    #[error("the key file is empty")]
    Empty,
    /// Too little to be secret.
    #[error("the key `{id}` has {n_bytes} bytes; it needs 32 or more")]
    Short {
        /// The key's id, `key` where it has none.
        id: String,
        /// What it has.
        n_bytes: usize,
    },
    /// Neither hex nor base64.
    #[error("the key `{id}` is neither hex nor base64")]
    Encoding {
        /// The key's id.
        id: String,
    },
    /// Two keys with one id.
    #[error("the key id `{id}` stands there twice")]
    Twice {
        /// The id.
        id: String,
    },
    /// More than a current and a previous one.
    #[error("a key file holds one key, or a current and a previous one; this one holds {n}")]
    Many {
        /// How many.
        n: usize,
    },
}

/// The current key and, while keys rotate, the previous one.
#[derive(Clone)]
pub struct Keyring {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    /// The keyed state of each entity.
    subkeys: [Hmac<Sha256>; Entity::COUNT],
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let previous = self.previous.as_ref().map(|key| &key.id);
        f.debug_struct("Keyring")
            .field("current", &self.current.id)
            .field("previous", &previous)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError`], which never shows key material.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let keys = match named_lines(file) {
            Some(lines) => lines
                .into_iter()
                .map(|(id, text)| {
                    let bytes = decode(text).ok_or(KeyError::Encoding { id: id.to_owned() })?;
                    Key::new(id, &bytes)
                })
                .collect::<Result<Vec<Key>, KeyError>>()?,
            None => vec![Key::unnamed(file)?],
        };
        let n = keys.len();
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(KeyError::Empty)?;
        let previous = keys.next();
        if n > 2 {
            return Err(KeyError::Many { n });
        }
        match &previous {
            Some(key) if key.id == current.id => Err(KeyError::Twice { id: current.id }),
            _ => Ok(Self { current, previous }),
        }
    }

    /// The id of the current key, for `redaction_key_id`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.current.id
    }

    /// Whether two keys are in use.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.previous.is_some()
    }

    /// Appends the token of `value`, which is plain text: no escapes, no quotes. ASCII letters,
    /// digits and `: ~ _ -` only, so it may stand anywhere.
    pub fn token(&self, entity: Entity, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(entity.as_str().as_bytes());
        out.push(b':');
        self.current.token(entity, value, out);
        if let Some(previous) = &self.previous {
            out.push(b'~');
            previous.token(entity, value, out);
        }
    }
}

impl Key {
    fn new(id: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < KEY_BYTES_MIN {
            return Err(KeyError::Short { id: id.to_owned(), n_bytes: bytes.len() });
        }
        let state = keyed(bytes);
        let subkey = |entity: &str| {
            let info = format!("sidewake/pseudonym/v1/{entity}\u{1}");
            keyed(Zeroizing::new(digest(state.clone(), info.as_bytes())).as_slice())
        };
        let value = subkey(Entity::Value.as_str());
        let mut subkeys = std::array::from_fn(|_| value.clone());
        for entity in Entity::DETECTABLE {
            subkeys[entity as usize] = subkey(entity.as_str());
        }
        Ok(Self { id: id.to_owned(), subkeys })
    }

    /// A file that is one key; its id is `k` and four characters of a hash of the key.
    fn unnamed(file: &[u8]) -> Result<Self, KeyError> {
        let text = file.trim_ascii();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let decoded = std::str::from_utf8(text).ok().and_then(decode);
        let decoded = decoded.filter(|bytes| bytes.len() >= KEY_BYTES_MIN);
        let bytes = decoded.unwrap_or_else(|| Zeroizing::new(file.to_vec()));
        let hash = Zeroizing::new(digest(keyed(&bytes), b"sidewake/key-id/v1"));
        let name = data_encoding::BASE32_NOPAD.encode(&hash[..5]).to_ascii_lowercase();
        if bytes.len() < KEY_BYTES_MIN {
            return Err(KeyError::Short { id: "key".into(), n_bytes: bytes.len() });
        }
        Self::new(&format!("k{}", &name[..4]), &bytes)
    }

    fn token(&self, entity: Entity, value: &[u8], out: &mut Vec<u8>) {
        let mut state = self.subkeys[entity as usize].clone();
        canonical::feed(entity, value, &mut |part| state.update(part));
        let hash = state.finalize().into_bytes();
        let mut text = [0u8; 28];
        data_encoding::BASE32_NOPAD.encode_mut(&hash[..TOKEN_BYTES], &mut text);
        out.extend_from_slice(self.id.as_bytes());
        out.push(b':');
        out.extend_from_slice(&text[..TOKEN_CHARS]);
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("BUG: HMAC takes keys of any length")
}

fn digest(mut state: Hmac<Sha256>, text: &[u8]) -> [u8; 32] {
    state.update(text);
    state.finalize().into_bytes().into()
}

/// The lines `kid=key` of a file in which every line is one; blank lines and `#` comments are not.
fn named_lines(file: &[u8]) -> Option<Vec<(&str, &str)>> {
    let text = std::str::from_utf8(file).ok()?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let named: Option<Vec<_>> = lines
        .map(|line| {
            let (id, key) = line.split_once('=')?;
            let (id, key) = (id.trim(), key.trim());
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let named = (1..=KEY_ID_MAX).contains(&id.len()) && id.bytes().all(plain);
            (named && key.len() > 1).then_some((id, key))
        })
        .collect();
    named.filter(|lines| !lines.is_empty())
}

/// Hex or base64 of either alphabet, padded or not.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    const LAX: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    if let Ok(bytes) = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()) {
        return Some(Zeroizing::new(bytes));
    }
    let alphabets = [&alphabet::STANDARD, &alphabet::URL_SAFE];
    let decode = |alphabet| GeneralPurpose::new(alphabet, LAX).decode(text).ok();
    alphabets.into_iter().find_map(decode).map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
