//! What a key says about its value: a secret, a card, a version …
//!
//! Pure and cheap; called once per learned key, and per `key=value` in free text. Deliberately
//! never looks at values, and never names an entity by the key alone, with one exception: a
//! secret-like key makes its value a secret whatever it holds.
//!
//! # Why
//! Keys are cut into words (`dbPassword`, `db-password`, `DB_PASSWORD` → `db`, `password`), because
//! substrings cannot tell `access_token` from `max_tokens` or `card` from `discard`. ML logs are
//! full of `token`, `key`, `pass` and `session` that are no secrets; words of measure (`count`,
//! `length`, `days_since` …) and of language models (`input`, `eos`, `logprob` …) take the hint
//! away.

mod words;

use super::views;
use words::Words;

/// What the key of a value says; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHint(u16);

impl KeyHint {
    /// The key says nothing.
    pub const NONE: KeyHint = KeyHint(0);
    /// The value is a secret whatever it holds.
    pub const SECRET: KeyHint = KeyHint(1);
    /// May hold a card number; JSON numbers are looked at too.
    pub const CARD: KeyHint = KeyHint(1 << 1);
    /// May hold a social security number without separators; JSON numbers are looked at too.
    pub const SSN: KeyHint = KeyHint(1 << 2);
    /// May hold a phone number in any form; JSON numbers are looked at too.
    pub const PHONE: KeyHint = KeyHint(1 << 3);
    /// Holds an address: four numbers are one, whatever stands before them.
    pub const IP: KeyHint = KeyHint(1 << 4);
    /// Holds a version or a user agent: four numbers are no address.
    pub const VERSION: KeyHint = KeyHint(1 << 5);
    /// A trace or span id: 16 or 32 hex digits are no card even without a letter.
    pub const TRACE: KeyHint = KeyHint(1 << 6);
    /// An id that was made for one request: digits that fill 64 bits are no card. BentoML and
    /// OpenTelemetry's decimal forms; without it one in a hundred of them could not be looked up.
    pub const REQUEST: KeyHint = KeyHint(1 << 7);

    /// Whether all of `other` is in the set.
    #[must_use]
    #[inline]
    pub const fn has(self, other: KeyHint) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: KeyHint) -> Self {
        Self(self.0 | other.0)
    }

    const fn and_if(self, condition: bool, other: KeyHint) -> Self {
        if condition { self.and(other) } else { self }
    }

    /// Whether JSON numbers under this key are looked at.
    #[must_use]
    pub const fn wants_numbers(self) -> bool {
        self.0 & (Self::CARD.0 | Self::SSN.0 | Self::PHONE.0) != 0
    }
}

/// The hint for a value at `path` (`features.card_number`, `inputs[].version`). The last key
/// decides; its parents count where the last key is as empty as `value`, `number` or `id`.
#[must_use]
pub fn of_path(path: &[u8]) -> KeyHint {
    of_plain_path(&views::plain(path))
}

fn of_plain_path(path: &[u8]) -> KeyHint {
    let (parents, last) = match memchr::memrchr(b'.', path) {
        Some(dot) => (&path[..dot], &path[dot + 1..]),
        None => (&path[..0], path),
    };
    let words = Words::of(last);
    let mut hint = of_words(&words);
    if !parents.is_empty() {
        if words.n() <= 1 && words.all(&words::EMPTY) {
            hint = hint.and(of_plain_path(parents));
        } else if versions(parents) {
            hint = hint.and(KeyHint::VERSION);
        }
    }
    hint
}

/// The hint for one key or for a few words before a value in free text (`api key`).
#[must_use]
pub fn of_key(key: &[u8]) -> KeyHint {
    of_words(&Words::of(key))
}

/// Whether a value under `key` is a secret.
#[must_use]
pub fn is_secret(key: &[u8]) -> bool {
    words::may_be_secret(key) && secret(&Words::of(key))
}

/// Whether numbers with dots below `key` are versions (`versions/1.2.3.4`).
#[must_use]
pub(super) fn is_versions(key: &[u8]) -> bool {
    let words = Words::of(key);
    words.n() == 1 && (words.has(&words::VERSIONS) || words.has(&words::VERSION))
}

fn versions(parents: &[u8]) -> bool {
    let last = memchr::memrchr(b'.', parents).map_or(parents, |dot| &parents[dot + 1..]);
    Words::of(last).has(&words::VERSIONS)
}

fn of_words(words: &Words<'_>) -> KeyHint {
    let measure = words.has(&words::MEASURE);
    let phone = words.has(&words::PHONE) || words.pair(&words::PHONE_OF, &words::NUMBER);
    let ssn = words.has(&words::SSN)
        || words.pair(&words::SOCIAL, &words::SECURITY)
        || words.pair(&words::TAX, &words::TAX_ID);
    let trace_id = words.pair(&words::TRACE_OF, &words::ID);
    let trace = trace_id || words.has(&words::TRACE);
    let request =
        trace_id || words.pair(&words::REQUEST_OF, &words::ID) || words.has(&words::REQUEST);
    KeyHint::NONE
        .and_if(secret(words), KeyHint::SECRET)
        .and_if(words.has(&words::CARD), KeyHint::CARD)
        .and_if(ssn && !measure, KeyHint::SSN)
        .and_if(phone && !measure, KeyHint::PHONE)
        .and_if(words.has(&words::IP), KeyHint::IP)
        .and_if(words.has(&words::VERSION), KeyHint::VERSION)
        .and_if(trace, KeyHint::TRACE)
        .and_if(request, KeyHint::REQUEST)
}

fn secret(words: &Words<'_>) -> bool {
    let named = words.has(&words::STRONG)
        || (words.n() == 1 && words.has(&words::ALONE))
        || words.pair(&words::KEY_OF, &words::KEY)
        || words.pair(&words::PASS_OF, &words::PASS)
        || words.pair(&words::SESSION, &words::OF_SESSION)
        || words.pair(&words::PIN_OF, &words::PIN)
        || words.pair(&words::PIN, &words::NUMBER)
        || words.pair(&words::CODE_OF, &words::CODE)
        || words.pair(&words::AUTH, &words::OF_AUTH)
        || words.pair(&words::CONNECTION, &words::STRING)
        || words.has_stem()
        || token(words);
    // `one_time_password` is no measure of time.
    named && (!words.has(&words::MEASURE) || words.pair(&words::ONE, &words::TIME))
}

/// `token` as credential; not the unit of text.
fn token(words: &Words<'_>) -> bool {
    if words.pair(&words::TOKENS_OF, &words::TOKENS) {
        return true;
    }
    let Some(at) = words.position(&words::TOKEN) else {
        return false;
    };
    let of_text = words.get(at + 1).is_some_and(|word| words::OF_TOKEN.has(word));
    !words.has(&words::LANGUAGE) && !of_text
}

#[cfg(test)]
mod tests;
