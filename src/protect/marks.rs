//! What protection left behind, read again: masks (`[email]`) and pseudonyms
//! (`email:k2:MZXW6YTB…`), by which a stored event says what was done to it.
//!
//! Owns the reading of what [`super::replace`] and [`super::pseudonym`] write. A value that was
//! dropped, cut or made coarser leaves no mark; and where a model itself writes `[email]`, that
//! cannot be told from ours.

use super::entity::Entity;

/// What was written in the place of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// What was there; none of a declared field that was masked whatever it held.
    pub entity: Option<Entity>,
    /// Of a pseudonym, the id of the key that made it.
    pub key_id: Option<&'a str>,
}

/// The longest word between brackets, or before a colon.
const WORD_BYTES_MAX: usize = 16;

/// Every mark in `text`, in its order.
pub fn marks(text: &str) -> impl Iterator<Item = Mark<'_>> {
    let candidates = memchr::memchr2_iter(b'[', b':', text.as_bytes());
    candidates.filter_map(|at| match text.as_bytes()[at] {
        b'[' => mask(text.get(at + 1..)?),
        _ => pseudonym(text.get(..at)?, text.get(at + 1..)?),
    })
}

/// `email]…`
fn mask(rest: &str) -> Option<Mark<'_>> {
    let end =
        memchr::memchr(b']', rest.as_bytes().get(..=WORD_BYTES_MAX).unwrap_or(rest.as_bytes()))?;
    let entity = match rest.get(..end)? {
        "masked" => None,
        word => Some(Entity::parse(word)?),
    };
    Some(Mark { entity, key_id: None })
}

/// `…email` and `k2:MZXW6YTBOI3TQOJRGIZTINJWG4…`
fn pseudonym<'a>(before: &str, behind: &'a str) -> Option<Mark<'a>> {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let n = before.bytes().rev().take_while(is_word).take(WORD_BYTES_MAX).count();
    let entity = match &before[before.len() - n..] {
        "value" => Entity::Value,
        word => Entity::parse(word)?,
    };
    let (key_id, token) = behind.split_once(':')?;
    let is_token = token
        .as_bytes()
        .get(..super::pseudonym::TOKEN_CHARS)?
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(byte));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_id =
        (1..=super::pseudonym::KEY_ID_MAX).contains(&key_id.len()) && key_id.bytes().all(is_plain);
    (is_token && is_id).then_some(Mark { entity: Some(entity), key_id: Some(key_id) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::pseudonym::Keyring;

    #[test]
    fn masks_are_read_again() {
        for (text, expected) in [
            ("to [email] and [masked]", vec![Some(Entity::Email), None]),
            ("[email", vec![]),
            ("[a list] [] [[ip_address]]", vec![Some(Entity::IpAddress)]),
            ("[emäil] 12:30:00 email: x", vec![]),
            // What a model may write: no key has such an id.
            ("email:not an id:MZXW6YTBOI3TQOJRGIZTINJWG4", vec![]),
        ] {
            let found: Vec<_> = marks(text).map(|mark| mark.entity).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn every_word_that_is_written_is_read() {
        let keyring = Keyring::parse(&[b'k'; 40]).expect("a key");
        for entity in Entity::DETECTABLE.into_iter().chain([Entity::Value]) {
            let mut token = b"a ".to_vec();
            keyring.token(entity, b"somebody", &mut token);
            let text = String::from_utf8(token).expect("text") + " b";
            let found: Vec<_> = marks(&text).collect();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].entity, Some(entity));
            assert!(found[0].key_id.is_some_and(|id| text.contains(id)));
        }
    }
}
