//! The prefilter of the fast path must let pass whatever the validators would find: a value that
//! it calls harmless is never looked at again.
//!
//! Generators for every detector, each finding alone, inside short and long text, damaged, and in
//! base64; and plain noise. `SIDEWAKE_SLOW=1` runs ten times as many cases. Failures print the
//! seed.

#[path = "superset/make.rs"]
mod make;

use make::Rng;
use sidewake::event::json::block::{Native, Swar};
use sidewake::event::json::shapes::{Suspicion, could_hold, suspicion_of_any};
use sidewake::protect::context::KeyHint;
use sidewake::protect::entity::EntitySet;
use sidewake::protect::find::{Hit, is_clean_label};
use sidewake::protect::views::{Form, Scratch, inspect};

/// Keys whose values go through the prefilter: none of these hints alone makes a value suspect.
const HINTS: [KeyHint; 4] =
    [KeyHint::NONE, KeyHint::VERSION, KeyHint::TRACE, KeyHint::VERSION.and(KeyHint::TRACE)];

fn n_cases(default: u64) -> u64 {
    if std::env::var_os("SIDEWAKE_SLOW").is_some() { default * 10 } else { default }
}

fn seed() -> u64 {
    let given = std::env::var("SIDEWAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    });
    println!("SIDEWAKE_SEED={seed}");
    seed
}

#[derive(Default)]
struct Check {
    scratch: Scratch,
    hits: Vec<Hit>,
    n_found: u64,
}

impl Check {
    /// Validators find something in `value` ⇒ the prefilter suspects it.
    fn value(&mut self, value: &str) {
        let bytes = value.as_bytes();
        assert!(
            bytes.iter().all(|b| (0x20..0x7f).contains(b) && !b"\"\\".contains(b)),
            "{value:?}"
        );
        for hint in HINTS {
            self.hits.clear();
            let (scratch, hits) = (&mut self.scratch, &mut self.hits);
            if !inspect(bytes, Form::JsonString, hint, EntitySet::ALL, scratch, hits) {
                continue;
            }
            self.n_found += 1;
            // The prefilter reads beyond the value: what stands there must not matter.
            for behind in ["", "\"", "\",\"a\":1}", "0000000000000000000"] {
                let text = format!("{value}{behind}");
                let native = could_hold::<Native>(text.as_bytes(), 0, bytes.len());
                let swar = could_hold::<Swar>(text.as_bytes(), 0, bytes.len());
                assert!(native && swar, "{value:?} holds {:?}, unsuspected", self.hits);
                let why = suspicion_of_any::<Native>(text.as_bytes(), 0, bytes.len());
                let is_label = why == Suspicion::Label && is_clean_label(bytes);
                assert!(!is_label, "{value:?} holds {:?}, taken for a label", self.hits);
            }
        }
    }

    /// The finding alone, at either end and in the middle of short and long text.
    fn everywhere(&mut self, rng: &mut Rng, found: &str) {
        self.value(found);
        for room in [8, 64usize.saturating_sub(found.len()), 100] {
            let (before, behind) = (rng.below(room + 1), rng.below(room + 1));
            let (before, behind) = (rng.noise(before), rng.noise(behind));
            self.value(&format!("{before}{found}"));
            self.value(&format!("{found}{behind}"));
            self.value(&format!("{before}{found}{behind}"));
            self.value(&format!("{before} {found} {behind}"));
        }
    }
}

/// Every kind of finding is suspect wherever it stands, plain, damaged and in base64.
#[test]
fn what_validators_find_is_suspect() {
    let mut rng = Rng::new(seed());
    let mut check = Check::default();
    for generator in make::GENERATORS {
        let before = check.n_found;
        for _ in 0..n_cases(100) {
            let found = generator(&mut rng);
            check.everywhere(&mut rng, &found);
            for encoded in make::base64_of(&mut rng, &found) {
                check.everywhere(&mut rng, &encoded);
            }
            let damaged = rng.damaged(&found);
            check.everywhere(&mut rng, &damaged);
        }
        assert!(check.n_found > before + 100, "the generator makes nothing that is found");
    }
}

/// All countries that there could be, in every length, with every way of parting the groups.
#[test]
fn account_numbers_of_every_country() {
    let mut rng = Rng::new(seed());
    let mut check = Check::default();
    let mut n_countries = 0;
    for first in b'A'..=b'Z' {
        for second in b'A'..=b'Z' {
            for len in 15..=33 {
                // Countries that there are not cost one look.
                let before = check.n_found;
                check.value(&make::iban([first, second], len, false, &mut rng));
                if check.n_found == before {
                    continue;
                }
                n_countries += 1;
                let numbers = [false, true].map(|l| make::iban([first, second], len, l, &mut rng));
                for printed in numbers.iter().flat_map(|n| make::printed(n, &mut rng)) {
                    check.value(&printed);
                    check.value(&format!("iban{printed}"));
                    check.value(&format!("IBAN:{printed}."));
                }
            }
        }
    }
    assert!(n_countries >= 89, "{n_countries}");
}

/// Every prefix of the table of vendors' keys, read from its source.
#[test]
fn keys_of_every_vendor() {
    let source = include_str!("../src/protect/find/token.rs");
    let rows = regex::Regex::new(r#"\(b"([^"]+)", (\d+), (\w+)\)"#).expect("a pattern");
    let mut rng = Rng::new(seed());
    let mut check = Check::default();
    let mut n_rows = 0;
    for row in rows.captures_iter(source) {
        n_rows += 1;
        let (prefix, least) = (&row[1], row[2].parse::<usize>().expect("a number"));
        let alphabet: &[u8] = match &row[3] {
            "Upper" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "Hex" => b"0123456789abcdef",
            _ => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
        };
        let before = check.n_found;
        for _ in 0..n_cases(10) {
            let len = least + rng.below(if least == 16 { 1 } else { 20 });
            let key = format!("{prefix}{}", rng.of(alphabet, len));
            check.everywhere(&mut rng, &key);
        }
        assert!(check.n_found > before, "{prefix} is never found");
    }
    assert!(n_rows > 50, "the table was not read: {n_rows}");
}

/// Noise of several densities: a validator seldom hits, and where it does the prefilter must.
#[test]
fn noise_that_validators_hit_is_suspect() {
    const DENSE: [&[u8]; 7] = [
        b"0123456789 -.+/()",
        b"0123456789abcdef:.-",
        b"0123456789:",
        b"abpwdkeytoinsc:= 012",
        b"abc@._-0[]",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=",
        b"-/:.@apikeysecret= 1",
    ];
    let mut rng = Rng::new(seed());
    let mut check = Check::default();
    for n in 0..n_cases(100_000) {
        let len = rng.below(70);
        let value = match n % 8 {
            0 => rng.noise(len),
            n => rng.of(DENSE[n as usize - 1], len),
        };
        check.value(&value);
    }
    assert!(check.n_found > 1000, "{}", check.n_found);
}
