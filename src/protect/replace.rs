//! What is written where something was: masks, pseudonyms, shorter and coarser values.
//!
//! [`Replacer::value`] takes a JSON token and writes one; [`Replacer::plain`] does the same for
//! text; [`Replacer::rewrite`] and [`Replacer::hit`] serve callers who searched already. Whatever
//! is written in JSON is a valid token again: masks and pseudonyms hold nothing that needs an
//! escape, hits cut none, and numbers become `null` (or a string that is a pseudonym), so that no
//! column of numbers meets a mask.
//!
//! Deliberately does not take members out: a dropped one is `null` here, and its key, colon and
//! comma go where lines are edited.
//!
//! # Why
//! A truncated value is searched before it is cut: a card cut in half is no card to a detector, and
//! its first half is still half a card to a reader.

mod bucket;
mod container;
mod cut;

use super::context::KeyHint;
use super::entity::{Entity, EntitySet};
use super::find::{self, Hit};
use super::policy::{Action, Bucket, Policy};
use super::pseudonym::Keyring;
use super::views::{self, Form, Scratch};

/// What a tier writes instead of what it must not keep.
#[derive(Clone, Copy, Debug)]
pub struct Replacer<'a> {
    /// The tier's policy.
    pub policy: &'a Policy,
    /// Its keys; a policy that hashes was not compiled without them.
    pub keyring: Option<&'a Keyring>,
}

/// Reused buffers.
#[derive(Debug, Default)]
pub struct Work {
    scratch: Scratch,
    hits: Vec<Hit>,
    text: Vec<u8>,
}

impl Replacer<'_> {
    /// Writes to `out` what becomes of the JSON token `token` (quotes and brackets included) under
    /// `action`. Returns whether that differs from the token. Containers are searched member by
    /// member, each under its own key's hint.
    pub fn value(
        &self,
        action: Action,
        token: &[u8],
        hint: KeyHint,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        match (action, token.first().copied().unwrap_or(b'n')) {
            (Action::Keep, _) => out.extend_from_slice(token),
            (Action::Inspect, _) => return self.inspect_token(token, hint, work, out),
            (_, b'n' | b'N') | (Action::Drop, _) => out.extend_from_slice(b"null"),
            // A word of two cannot be a secret, and models count on its type.
            (Action::Mask, b't' | b'f') if hint.has(KeyHint::SECRET) => {
                out.extend_from_slice(token);
            }
            (Action::Mask | Action::Truncate { .. } | Action::Bucket(_), b't' | b'f')
            | (Action::Truncate { .. } | Action::Bucket(_), b'{' | b'[') => {
                out.extend_from_slice(b"null");
            }
            (Action::Mask, b'"') => out.extend_from_slice(b"\"[masked]\""),
            (Action::Mask, _) => out.extend_from_slice(b"null"),
            (Action::Hash, _) => {
                out.push(b'"');
                self.pseudonym(inner(token), hint, work, out);
                out.push(b'"');
            }
            (Action::Truncate { chars }, b'"') => {
                out.push(b'"');
                self.truncated(inner(token), Form::JsonString, hint, chars, work, out);
                out.push(b'"');
            }
            (Action::Truncate { .. }, _) => return self.inspect_token(token, hint, work, out),
            (Action::Bucket(bucket), b'"') => {
                out.push(b'"');
                bucketed(bucket, inner(token), out);
                out.push(b'"');
            }
            (Action::Bucket(bucket), _) => {
                if !bucket::number(bucket, token, out) {
                    out.extend_from_slice(b"null");
                }
            }
        }
        out[start..] != *token
    }

    /// The same for a value that is plain text; a dropped one is empty.
    pub fn plain(
        &self,
        action: Action,
        text: &[u8],
        hint: KeyHint,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        self.text(action, text, (Form::Text, hint), work, out)
    }

    /// The same for a part of a JSON string: what is written needs no escape.
    pub fn string(
        &self,
        action: Action,
        text: &[u8],
        hint: KeyHint,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        self.text(action, text, (Form::JsonString, hint), work, out)
    }

    fn text(
        &self,
        action: Action,
        text: &[u8],
        (form, hint): (Form, KeyHint),
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        match action {
            Action::Keep => out.extend_from_slice(text),
            Action::Drop => {}
            Action::Inspect => return self.inspect(text, form, hint, work, out),
            Action::Mask => out.extend_from_slice(b"[masked]"),
            Action::Hash => self.pseudonym(text, hint, work, out),
            Action::Truncate { chars } => self.truncated(text, form, hint, chars, work, out),
            Action::Bucket(bucket) => bucketed(bucket, text, out),
        }
        out[start..] != *text
    }

    /// Searches `raw` (for JSON forms: without quotes) in all spellings and writes it with all
    /// findings replaced. Returns whether there were any.
    pub fn inspect(
        &self,
        raw: &[u8],
        form: Form,
        hint: KeyHint,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        work.hits.clear();
        let set = self.policy.detect();
        let found = views::inspect(raw, form, hint, set, &mut work.scratch, &mut work.hits);
        match found {
            true => self.rewrite(raw, form, &work.hits, out),
            false => out.extend_from_slice(raw),
        }
        found
    }

    /// Writes `raw` with `hits`, which are sorted and apart, replaced.
    pub fn rewrite(&self, raw: &[u8], form: Form, hits: &[Hit], out: &mut Vec<u8>) {
        let mut done = 0;
        for hit in hits {
            let (start, end) = (hit.start as usize, hit.end as usize);
            out.extend_from_slice(&raw[done..start]);
            self.hit(&raw[start..end], form, hit.entity, out);
            done = end;
        }
        out.extend_from_slice(&raw[done..]);
    }

    /// Writes what stands in the place of one finding, raw bytes `found`.
    pub fn hit(&self, found: &[u8], form: Form, entity: Entity, out: &mut Vec<u8>) {
        let quote: &[u8] = if form == Form::Number { b"\"" } else { b"" };
        match (self.policy.on_detect(entity), self.keyring) {
            (Action::Keep, _) => out.extend_from_slice(found),
            (Action::Hash, Some(keyring)) => {
                out.extend_from_slice(quote);
                // A float column's `4111111111111111.0` is the same card.
                match find::integer::digits(found).filter(|_| form == Form::Number) {
                    Some((digits, n)) => keyring.token(entity, &digits[..n], out),
                    None => keyring.token(entity, found, out),
                }
                out.extend_from_slice(quote);
            }
            _ if form == Form::Number => out.extend_from_slice(b"null"),
            (Action::Drop, _) => {}
            _ => mask(entity, out),
        }
    }

    fn inspect_token(
        &self,
        token: &[u8],
        hint: KeyHint,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) -> bool {
        match token.first() {
            Some(b'"') => {
                let text = inner(token);
                out.push(b'"');
                let found = self.inspect(text, Form::JsonString, hint, work, out);
                // A string that the line's end cut off stays without its quote.
                out.extend_from_slice(&token[1 + text.len()..]);
                found
            }
            Some(b'{' | b'[') => container::inspect(self, token, hint, work, out),
            _ => self.inspect(token, Form::Number, hint, work, out),
        }
    }

    /// The pseudonym of a declared value: under the entity that it is as a whole, so that it joins
    /// with what detectors find elsewhere, or as a value.
    fn pseudonym(&self, text: &[u8], hint: KeyHint, work: &mut Work, out: &mut Vec<u8>) {
        let Some(keyring) = self.keyring else {
            out.extend_from_slice(b"[masked]");
            return;
        };
        let plain = views::plain(text);
        let plain = plain.trim_ascii();
        work.hits.clear();
        let set = EntitySet::ALL.without(Entity::Secret);
        views::inspect(plain, Form::Text, hint, set, &mut work.scratch, &mut work.hits);
        let entity = match work.hits[..] {
            [hit] if hit.start == 0 && hit.end as usize == plain.len() => hit.entity,
            _ => Entity::Value,
        };
        keyring.token(entity, plain, out);
    }

    fn truncated(
        &self,
        raw: &[u8],
        form: Form,
        hint: KeyHint,
        n_chars: u32,
        work: &mut Work,
        out: &mut Vec<u8>,
    ) {
        let mut text = std::mem::take(&mut work.text);
        text.clear();
        self.inspect(raw, form, hint, work, &mut text);
        out.extend_from_slice(&text[..cut::len(&text, form, n_chars as usize)]);
        work.text = text;
    }
}

/// `[email]`.
fn mask(entity: Entity, out: &mut Vec<u8>) {
    let word = if entity == Entity::Value { "masked" } else { entity.as_str() };
    out.push(b'[');
    out.extend_from_slice(word.as_bytes());
    out.push(b']');
}

/// A string's text without its quotes; every other token as it is.
fn inner(token: &[u8]) -> &[u8] {
    match token {
        [b'"', text @ .., b'"'] => text,
        [b'"', text @ ..] => text,
        _ => token,
    }
}

fn bucketed(bucket: Bucket, text: &[u8], out: &mut Vec<u8>) {
    if !bucket::text(bucket, &views::plain(text), out) {
        out.extend_from_slice(b"[masked]");
    }
}

#[cfg(test)]
mod tests;
