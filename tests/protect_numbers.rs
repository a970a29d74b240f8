//! Numbers of ML data pass unaltered: doubles as Python prints them, epochs, ids, versions, clock
//! times, lists. 10^5 values; 10^6 and more with `SIDEWAKE_SLOW=1`.

use sidewake::protect::context::{self, KeyHint};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Policy, PolicySpec};
use sidewake::protect::replace::{Replacer, Work};

/// xorshift64*: enough to vary digits, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// `repr(float)`: shortest digits, an exponent below 1e-4 and from 1e16 on.
fn python_repr(value: f64) -> String {
    let exponent = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    if (-4.0..16.0).contains(&exponent) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("an exponent");
    let sign = if exponent.starts_with('-') { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0>2}", exponent.trim_start_matches('-'))
}

fn hex(random: &mut Random, n: usize) -> String {
    (0..n).map(|_| char::from(b"0123456789abcdef"[random.below(16) as usize])).collect()
}

fn double(random: &mut Random) -> f64 {
    let unit = random.unit();
    match random.below(6) {
        0 => unit,
        1 => unit * 2.0 - 1.0,
        2 => (unit - 0.5) * 2000.0,
        3 => 10f64.powf(unit * 12.0 - 6.0),
        4 => 10f64.powf(unit * 40.0 - 60.0),
        _ => (unit * 10_000.0).round() / 100.0,
    }
}

/// One value and the key that it stands under.
fn value(random: &mut Random) -> (&'static str, String) {
    let epoch = 1_500_000_000 + random.below(500_000_000);
    let fraction = random.below(1_000_000_000);
    let clock = (random.below(24), random.below(60), random.below(60));
    let (h, m, s) = clock;
    match random.below(24) {
        0..=3 => ("score", python_repr(double(random))),
        4 => ("score", format!("{:+.10}", double(random))),
        5 => ("ts", epoch.to_string()),
        6 => ("ts", format!("{epoch}{:03}", fraction / 1_000_000)),
        7 => ("ts", format!("{epoch}{:06}", fraction / 1000)),
        8 => ("ts", format!("{epoch}{fraction:09}")),
        9 => ("ts", format!("{epoch}.{:06}", fraction / 1000)),
        10 => {
            let id = hex(random, 32);
            let (a, b, c) = (&id[..8], &id[8..12], &id[13..16]);
            ("request_id", format!("{a}-{b}-4{c}-8{}-{}", &id[17..20], &id[20..]))
        }
        11 => ("trace_id", hex(random, 32)),
        12 => ("span_id", hex(random, 16)),
        13 => ("digest", hex(random, 40)),
        14 => ("digest", format!("sha256:{}", hex(random, 64))),
        15 => ("model_version", format!("{}.{}.{}.{}", h, m, s, random.below(300))),
        16 => ("model", format!("v{h}.{m}.{s}+cu{}", random.below(200))),
        17 => (
            "time",
            format!("2026-11-{:02} {h:02}:{m:02}:{s:02},{:03}", 1 + h, fraction / 1_000_000),
        ),
        18 => {
            ("time", format!("2026-11-{:02}T{h:02}:{m:02}:{s:02}.{:06}Z", 1 + h, fraction / 1000))
        }
        19 => ("elapsed", format!("{h:02}:{m:02}:{s:02}:{:03}", random.below(1000))),
        20 => (
            "x",
            format!(
                "[{:.8} {:.8} {:.8} {:.8}]",
                random.unit(),
                random.unit(),
                random.unit(),
                random.unit()
            ),
        ),
        21 => (
            "ids",
            (0..24).map(|_| (100 + random.below(9900)).to_string()).collect::<Vec<_>>().join(" "),
        ),
        22 => ("user", format!("u-{:012}", random.below(1_000_000_000_000))),
        _ => (
            "shape",
            format!(
                "({}, {}, {})",
                random.below(512),
                1 << random.below(12),
                1 << random.below(12)
            ),
        ),
    }
}

#[test]
fn none_is_altered() {
    let slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    let n = if slow { 3_000_000 } else { 100_000 };
    let seed = if slow { u64::from(std::process::id()) << 20 | 1 } else { 0x5EED };
    let mut random = Random(seed);
    let spec = PolicySpec { detect: EntitySet::ALL, ..PolicySpec::default() };
    let policy = Policy::compile(&spec, false).expect("compiles");
    let replacer = Replacer { policy: &policy, keyring: None };
    let (mut work, mut out) = (Work::default(), Vec::new());
    let mut altered = Vec::new();
    for _ in 0..n {
        let (key, text) = value(&mut random);
        let hint = context::of_path(key.as_bytes());
        assert!(!hint.has(KeyHint::SECRET), "{key}");
        let number = text.parse::<f64>().is_ok() && !text.starts_with('+');
        for token in [format!("\"{text}\""), text.clone()].iter().take(1 + usize::from(number)) {
            out.clear();
            if replacer.value(Action::Inspect, token.as_bytes(), hint, &mut work, &mut out) {
                altered.push(format!("{key}: {token} -> {}", String::from_utf8_lossy(&out)));
            }
        }
    }
    assert!(
        altered.is_empty(),
        "{} of {n}: {:#?}",
        altered.len(),
        &altered[..altered.len().min(30)]
    );
}
