//! A key as words, and the vocabularies that keys are judged by.

/// The words of one key, borrowed from it; at most 12, the rest is not looked at.
#[derive(Debug)]
pub(super) struct Words<'a> {
    list: [&'a [u8]; 12],
    n: usize,
    /// The key's letters and digits in lower case, for stems in glued keys (`userpassword`).
    folded: [u8; 48],
    folded_len: usize,
}

impl<'a> Words<'a> {
    /// Cuts `key` at everything that is neither letter nor digit and at camel humps; digits at the
    /// end of a word are left out (`card1` is `card`).
    pub(super) fn of(key: &'a [u8]) -> Self {
        let mut words = Words { list: [&[]; 12], n: 0, folded: [0; 48], folded_len: 0 };
        let mut start = 0;
        for i in 0..=key.len() {
            let inside = key.get(i).is_some_and(u8::is_ascii_alphanumeric);
            if i > start && (!inside || hump(key, start, i)) {
                words.push(&key[start..i]);
                start = i;
            }
            if !inside {
                start = i + 1;
            }
        }
        words
    }

    fn push(&mut self, word: &'a [u8]) {
        for &byte in word {
            if let Some(slot) = self.folded.get_mut(self.folded_len) {
                *slot = byte.to_ascii_lowercase();
                self.folded_len += 1;
            }
        }
        let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let word = &word[..word.len() - digits];
        if let (false, Some(slot)) = (word.is_empty(), self.list.get_mut(self.n)) {
            *slot = word;
            self.n += 1;
        }
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }

    pub(super) fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.list[..self.n].get(index).copied()
    }

    fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.list[..self.n].iter().copied()
    }

    /// Where the first word stands that is one of `these`.
    pub(super) fn position(&self, these: &[&str]) -> Option<usize> {
        self.iter().position(|word| any(word, these))
    }

    pub(super) fn has(&self, these: &[&str]) -> bool {
        self.position(these).is_some()
    }

    pub(super) fn all(&self, these: &[&str]) -> bool {
        self.iter().all(|word| any(word, these))
    }

    /// Whether one of `first` is followed by one of `then`.
    pub(super) fn pair(&self, first: &[&str], then: &[&str]) -> bool {
        self.list[..self.n].windows(2).any(|two| any(two[1], then) && any(two[0], first))
    }

    /// Whether the key without its separators holds one of `stems`.
    pub(super) fn has_stem(&self, stems: &[&str]) -> bool {
        let folded = &self.folded[..self.folded_len];
        stems.iter().any(|stem| folded.windows(stem.len()).any(|part| part == stem.as_bytes()))
    }
}

/// Whether a new word begins at `i`: `dB|Password`, `API|Key`.
fn hump(key: &[u8], start: usize, i: usize) -> bool {
    let upper = |at: usize| key.get(at).is_some_and(u8::is_ascii_uppercase);
    let lower = |at: usize| key.get(at).is_some_and(u8::is_ascii_lowercase);
    upper(i) && (!upper(i - 1) || (lower(i + 1) && i > start))
}

pub(super) fn any(word: &[u8], these: &[&str]) -> bool {
    these.iter().any(|this| this.as_bytes().eq_ignore_ascii_case(word))
}

/// Keys that say nothing: their parent decides.
pub(super) const EMPTY: &[&str] =
    &["value", "values", "number", "no", "raw", "text", "id", "data", "string", "val"];

/// Secrets wherever they stand in a key.
pub(super) const STRONG: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passwort",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "creds",
    "authorization",
    "cookie",
    "cookies",
    "apikey",
    "apikeys",
    "cvv",
    "cvc",
    "otp",
    "totp",
    "mnemonic",
    "jwt",
    "phpsessid",
    "jsessionid",
    "sessionid",
    "bearer",
];

/// Secrets inside of keys that are glued together.
pub(super) const STEMS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "clientsecret",
    "sessiontoken",
    "setcookie",
];

/// Secrets only where they are the whole key.
pub(super) const ALONE: &[&str] = &["pass", "session", "sid", "auth", "pin", "pw", "cred"];

/// `… key`.
pub(super) const KEY_OF: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "encryption",
    "signing",
    "ssh",
    "account",
    "auth",
    "master",
    "session",
    "license",
    "subscription",
    "deploy",
    "webhook",
    "storage",
    "hmac",
    "aes",
    "rsa",
    "pgp",
    "gpg",
    "ssl",
    "tls",
    "service",
    "shared",
];

/// `… pass`.
pub(super) const PASS_OF: &[&str] = &[
    "db", "user", "mysql", "pg", "postgres", "redis", "smtp", "ftp", "root", "admin", "login",
    "mail", "proxy", "http", "basic", "my", "database",
];

/// `… code`, `… phrase`.
pub(super) const CODE_OF: &[&str] =
    &["security", "verification", "recovery", "seed", "backup", "mfa", "auth"];

/// `… tokens`: credentials in the plural; alone it is the unit of text.
pub(super) const TOKENS_OF: &[&str] =
    &["access", "auth", "api", "refresh", "session", "bearer", "device", "push", "reset"];

/// Words that make a token the unit of text.
pub(super) const LANGUAGE: &[&str] = &[
    "input",
    "output",
    "prompt",
    "completion",
    "generated",
    "cached",
    "reasoning",
    "first",
    "next",
    "prev",
    "previous",
    "last",
    "eos",
    "bos",
    "pad",
    "padding",
    "unk",
    "sep",
    "cls",
    "mask",
    "masked",
    "special",
    "stop",
    "start",
    "end",
    "word",
    "sub",
    "subword",
    "ids",
    "embedding",
    "embeddings",
    "class",
    "classes",
    "label",
    "labels",
    "level",
    "logits",
    "weight",
    "weights",
    "vocab",
    "chunk",
    "batch",
    "decode",
    "decoded",
    "sampled",
    "draft",
    "accepted",
    "target",
    "top",
    "image",
    "audio",
    "vision",
    "context",
    "kv",
    "prefill",
    "rejected",
    "speculative",
];

/// Words that make of a key a measure of the thing and not the thing.
pub(super) const MEASURE: &[&str] = &[
    "count",
    "counts",
    "num",
    "n",
    "nr",
    "len",
    "length",
    "size",
    "total",
    "max",
    "min",
    "avg",
    "mean",
    "median",
    "sum",
    "rate",
    "ratio",
    "score",
    "strength",
    "entropy",
    "attempts",
    "failures",
    "retries",
    "age",
    "days",
    "hours",
    "minutes",
    "seconds",
    "secs",
    "ms",
    "since",
    "changed",
    "expires",
    "expiry",
    "expired",
    "expiration",
    "ttl",
    "required",
    "enabled",
    "disabled",
    "valid",
    "policy",
    "type",
    "types",
    "has",
    "is",
    "usage",
    "limit",
    "budget",
    "latency",
    "time",
    "timestamp",
    "ts",
    "duration",
    "per",
    "prob",
    "probs",
    "logprob",
    "logprobs",
    "index",
    "idx",
    "position",
    "pos",
    "offset",
    "version",
    "missing",
    "present",
    "exists",
    "at",
    "date",
    "created",
    "updated",
    "seen",
    "consent",
    "banner",
    "tokenizer",
];

/// Keys under which a number may be a card.
pub(super) const CARD: &[&str] = &[
    "card",
    "cards",
    "pan",
    "cc",
    "ccn",
    "ccnum",
    "creditcard",
    "cardnumber",
    "cardno",
    "payment",
];

/// Keys under which nine digits may be a social security number.
pub(super) const SSN: &[&str] = &["ssn", "ssns", "socialsecurity", "taxid", "taxpayer", "itin"];

/// Keys under which digits may be a phone number.
pub(super) const PHONE: &[&str] = &[
    "phone",
    "phones",
    "telephone",
    "telefon",
    "tel",
    "mobile",
    "fax",
    "msisdn",
    "whatsapp",
    "cellphone",
    "phonenumber",
    "handy",
];

/// `… number` of a phone.
pub(super) const PHONE_OF: &[&str] = &["contact", "cell", "caller", "callee", "call", "sms"];
/// What follows [`PHONE_OF`].
pub(super) const NUMBER: &[&str] = &["number", "no", "phone", "nr"];

/// Keys that hold addresses.
pub(super) const IP: &[&str] =
    &["ip", "ips", "ipv", "ipaddress", "addr", "forwarded", "clientip", "remoteip", "peer"];

/// Keys that hold versions or user agents.
pub(super) const VERSION: &[&str] = &[
    "version",
    "versions",
    "ver",
    "build",
    "release",
    "firmware",
    "revision",
    "agent",
    "useragent",
    "ua",
    "v",
];
