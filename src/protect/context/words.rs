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
                // `pass@10` is a measure of code models.
                if key.get(i) == Some(&b'@') && words.last_is(b"pass") {
                    words.push(b"at");
                }
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

    fn last_is(&self, word: &[u8]) -> bool {
        self.n > 0 && self.list[self.n - 1].eq_ignore_ascii_case(word)
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
    pub(super) fn position(&self, these: &Vocabulary) -> Option<usize> {
        self.iter().position(|word| these.has(word))
    }

    pub(super) fn has(&self, these: &Vocabulary) -> bool {
        self.position(these).is_some()
    }

    pub(super) fn all(&self, these: &Vocabulary) -> bool {
        self.iter().all(|word| these.has(word))
    }

    /// Whether one of `first` is followed by one of `then`.
    pub(super) fn pair(&self, first: &Vocabulary, then: &Vocabulary) -> bool {
        self.list[..self.n].windows(2).any(|two| then.has(two[1]) && first.has(two[0]))
    }

    /// Whether the key without its separators holds a glued secret ([`STEMS`]).
    pub(super) fn has_stem(&self) -> bool {
        let folded = &self.folded[..self.folded_len];
        // All of them hold one of these four.
        let likely = folded.windows(4).any(|w| matches!(w, b"pass" | b"ikey" | b"tkey" | b"ekey"))
            || folded.windows(4).any(|w| matches!(w, b"skey" | b"toke" | b"secr" | b"cook"));
        likely && STEMS.iter().any(|stem| folded.windows(stem.len()).any(|w| w == stem.as_bytes()))
    }
}

/// Whether a new word begins at `i`: `dB|Password`, `API|Key`.
fn hump(key: &[u8], start: usize, i: usize) -> bool {
    let upper = |at: usize| key.get(at).is_some_and(u8::is_ascii_uppercase);
    let lower = |at: usize| key.get(at).is_some_and(u8::is_ascii_lowercase);
    upper(i) && (!upper(i - 1) || (lower(i + 1) && i > start))
}

/// Whether `key` holds three letters in a row that every secret-like key holds: asked for each `=`
/// and `:` of a text, and mostly "no".
pub(super) fn may_be_secret(key: &[u8]) -> bool {
    key.windows(3).any(|three| {
        // Digits and marks turn into others that no secret has beside these letters.
        let lower = [three[0] | 0x20, three[1] | 0x20, three[2] | 0x20];
        matches!(
            &lower,
            b"pas"
                | b"pwd"
                | b"sec"
                | b"key"
                | b"tok"
                | b"cre"
                | b"coo"
                | b"aut"
                | b"ses"
                | b"sid"
                | b"pin"
                | b"otp"
                | b"cvv"
                | b"cvc"
                | b"jwt"
                | b"bea"
                | b"phr"
                | b"cod"
                | b"mne"
                | b"str"
        )
    }) || key.windows(2).any(|two| two.eq_ignore_ascii_case(b"pw"))
}

/// A set of lower-case words, with an index that answers "no" for most others at once.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Parted by single spaces.
    words: &'static str,
    /// By the low bits of the first letter: a bit for each length.
    lengths: [u32; 32],
}

impl Vocabulary {
    const fn new(words: &'static str) -> Self {
        let (bytes, mut lengths, mut start, mut i) = (words.as_bytes(), [0u32; 32], 0, 0);
        while i <= bytes.len() {
            if i == bytes.len() || bytes[i] == b' ' {
                assert!(i > start && i - start < 32, "BUG: words are parted by single spaces");
                lengths[(bytes[start] & 31) as usize] |= 1 << (i - start);
                start = i + 1;
            }
            i += 1;
        }
        Self { words, lengths }
    }

    #[cfg(test)]
    pub(super) fn iter(&'static self) -> impl Iterator<Item = &'static str> {
        self.words.split(' ')
    }

    /// Whether `word`, in any case, is one of them.
    pub(super) fn has(&self, word: &[u8]) -> bool {
        let lengths = word.first().map_or(0, |first| self.lengths[usize::from(first & 31)]);
        word.len() < 32
            && lengths >> word.len() & 1 != 0
            && self.words.split(' ').any(|this| this.as_bytes().eq_ignore_ascii_case(word))
    }
}

/// Keys that say nothing: their parent decides.
pub(super) static EMPTY: Vocabulary =
    Vocabulary::new("value values number no raw text id data string val");

/// Secrets wherever they stand in a key.
pub(super) static STRONG: Vocabulary = Vocabulary::new(
    "password passwords passwd passwort pwd passphrase passcode secret secrets credential \
     credentials creds authorization cookie cookies apikey apikeys cvv cvc otp totp mnemonic \
     jwt phpsessid jsessionid sessionid bearer",
);

/// Secrets inside of keys that are glued together.
const STEMS: [&str; 15] = [
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
    "dbpass",
    "userpass",
];

/// Secrets only where they are the whole key.
pub(super) static ALONE: Vocabulary = Vocabulary::new("pass session sid auth pin pw cred");

/// `… key`.
pub(super) static KEY_OF: Vocabulary = Vocabulary::new(
    "api access secret private encryption signing ssh account auth master session license \
     subscription deploy webhook storage hmac aes rsa pgp gpg ssl tls service shared",
);

/// `… pass`.
pub(super) static PASS_OF: Vocabulary = Vocabulary::new(
    "db user mysql pg postgres redis smtp ftp root admin login mail proxy http basic my \
     database",
);

/// `… code`, `… phrase`.
pub(super) static CODE_OF: Vocabulary =
    Vocabulary::new("security verification recovery seed backup mfa auth");

/// `… tokens`: credentials in the plural; alone it is the unit of text.
pub(super) static TOKENS_OF: Vocabulary =
    Vocabulary::new("access auth api refresh session bearer device push reset");

/// Words that make a token the unit of text.
pub(super) static LANGUAGE: Vocabulary = Vocabulary::new(
    "input output prompt completion generated cached reasoning first next prev previous last \
     eos bos pad padding unk sep cls mask masked special stop start end word sub subword ids \
     embedding embeddings class classes label labels level logits weight weights vocab chunk \
     batch decode decoded sampled draft accepted target top image audio vision context kv \
     prefill rejected speculative",
);

/// Words that make of a key a measure of the thing and not the thing.
pub(super) static MEASURE: Vocabulary = Vocabulary::new(
    "count counts num n nr len length size total max min avg mean median sum rate ratio score \
     strength entropy attempts failures retries age days hours minutes seconds secs ms since \
     changed expires expiry expired expiration ttl required enabled disabled valid policy type \
     types has is usage limit budget latency time timestamp ts duration per prob probs logprob \
     logprobs index idx position pos offset version missing present exists at date created \
     updated seen consent banner tokenizer accuracy acc loss throughput dropout frequency freq \
     speed perplexity dim dims norm",
);

/// Keys under which a number may be a card.
pub(super) static CARD: Vocabulary =
    Vocabulary::new("card cards pan cc ccn ccnum creditcard cardnumber cardno payment");

/// Keys under which nine digits may be a social security number.
pub(super) static SSN: Vocabulary = Vocabulary::new("ssn ssns socialsecurity taxid taxpayer itin");

/// Keys under which digits may be a phone number.
pub(super) static PHONE: Vocabulary = Vocabulary::new(
    "phone phones telephone telefon tel mobile fax msisdn whatsapp cellphone phonenumber handy",
);

/// `… number` of a phone.
pub(super) static PHONE_OF: Vocabulary = Vocabulary::new("contact cell caller callee call sms");
/// What follows [`PHONE_OF`].
pub(super) static NUMBER: Vocabulary = Vocabulary::new("number no phone nr");

/// Keys that hold addresses.
pub(super) static IP: Vocabulary =
    Vocabulary::new("ip ips ipv ipaddress addr forwarded clientip remoteip peer");

/// Keys that hold versions or user agents.
pub(super) static VERSION: Vocabulary =
    Vocabulary::new("version versions ver build release firmware revision agent useragent ua v");

// The two halves of pairs.
pub(super) static VERSIONS: Vocabulary =
    Vocabulary::new("versions packages dependencies libraries");
pub(super) static SOCIAL: Vocabulary = Vocabulary::new("social");
pub(super) static SECURITY: Vocabulary = Vocabulary::new("security");
pub(super) static TAX: Vocabulary = Vocabulary::new("tax");
pub(super) static TRACE_OF: Vocabulary = Vocabulary::new("trace span parent");
pub(super) static ID: Vocabulary = Vocabulary::new("id span");
pub(super) static REQUEST_OF: Vocabulary =
    Vocabulary::new("request req correlation inference invocation prediction");
pub(super) static REQUEST: Vocabulary = Vocabulary::new("requestid reqid traceid spanid");
pub(super) static TRACE: Vocabulary = Vocabulary::new("traceid spanid traceparent");
pub(super) static KEY: Vocabulary = Vocabulary::new("key keys");
pub(super) static PASS: Vocabulary = Vocabulary::new("pass pw");
pub(super) static SESSION: Vocabulary = Vocabulary::new("session");
pub(super) static OF_SESSION: Vocabulary = Vocabulary::new("id token key cookie hash");
pub(super) static PIN_OF: Vocabulary = Vocabulary::new("card user atm sim");
pub(super) static PIN: Vocabulary = Vocabulary::new("pin");
pub(super) static CODE: Vocabulary = Vocabulary::new("code codes phrase");
pub(super) static AUTH: Vocabulary = Vocabulary::new("auth");
pub(super) static OF_AUTH: Vocabulary = Vocabulary::new("header code data hash");
pub(super) static CONNECTION: Vocabulary = Vocabulary::new("connection");
pub(super) static STRING: Vocabulary = Vocabulary::new("string");
pub(super) static ONE: Vocabulary = Vocabulary::new("one");
pub(super) static TIME: Vocabulary = Vocabulary::new("time");
pub(super) static TOKENS: Vocabulary = Vocabulary::new("tokens");
pub(super) static TOKEN: Vocabulary = Vocabulary::new("token");
pub(super) static TAX_ID: Vocabulary = Vocabulary::new("id number");
pub(super) static OF_TOKEN: Vocabulary = Vocabulary::new("id ids text");
