//! Generated lines for the benchmarks: deterministic, from a seed, no two runs differ.
//!
//! `seeds` is one shape of prediction line (about 380 bytes); `full` is what a model pod really
//! prints: six kinds of ML lines, text, tracebacks, request lines with declared personal fields;
//! `hostile` is escapes, bad UTF-8, broken JSON, lines of a MB (half of its bytes). In `full` and
//! `hostile` 5 % of the records carry planted personal data.

use std::fmt::Write as _;

use super::rng::Rng;

fn timestamp(n: u64) -> String {
    let (ms, s) = (n * 7 % 1000, n / 140);
    format!("2026-11-23T{:02}:{:02}:{:02}.{ms:03}Z", 8 + s / 3600 % 12, s / 60 % 60, s % 60)
}

/// A prediction line as structlog prints it, about 380 bytes.
pub(crate) fn prediction(rng: &mut Rng, n: u64, out: &mut String) {
    let _ = write!(
        out,
        "{{\"event\":\"prediction_completed\",\"request_id\":\"{}\",\"model_name\":\"fraud_detector\",\"model_version\":\"v2.3.1\",\"feature_count\":45,\"feature_sample\":{{\"amount\":{:.2},\"merchant_id\":\"M{}\",\"country\":\"{}\"}},\"prediction\":{{\"label\":\"{}\",\"score\":{:.6}}},\"confidence\":{:.6},\"latency_ms\":{},\"level\":\"info\",\"timestamp\":\"{}\"}}",
        rng.uuid(),
        rng.unit() * 900.0,
        100 + rng.below(900),
        rng.pick(&["DE", "FR", "US", "GB", "JP"]),
        rng.pick(&["fraud", "legit"]),
        rng.unit(),
        rng.unit(),
        3 + rng.below(90),
        timestamp(n),
    );
}

/// `n` lines of one shape.
pub(crate) fn seeds(n: u64) -> Vec<u8> {
    let mut rng = Rng::new(1);
    let mut out = String::with_capacity(n as usize * 390);
    for i in 0..n {
        prediction(&mut rng, i, &mut out);
        out.push('\n');
    }
    out.into_bytes()
}

/// Personal data that must not survive.
pub(crate) fn planted(rng: &mut Rng) -> String {
    match rng.below(7) {
        0 => format!("bob{}@example.com", rng.below(100_000)),
        1 => rng.pick(&["4111 1111 1111 1111", "5500005555555559", "3782-822463-10005"]).into(),
        2 => {
            format!("{}-{:02}-{:04}", 100 + rng.below(565), 1 + rng.below(99), 1 + rng.below(9999))
        }
        3 => "DE89 3704 0044 0532 0130 00".into(),
        4 => format!("+49 30 {:07}", rng.below(10_000_000)),
        5 => format!("10.{}.{}.{}", rng.below(256), rng.below(256), 1 + rng.below(254)),
        _ => format!("AKIA{:016X}", rng.next()).chars().take(20).collect(),
    }
}

/// What a model pod prints, `n` records.
pub(crate) fn full(n: u64) -> Vec<u8> {
    let mut rng = Rng::new(2);
    let mut out = String::with_capacity(n as usize * 380);
    for i in 0..n {
        full_record(&mut rng, i, &mut out);
        out.push('\n');
    }
    out.into_bytes()
}

fn full_record(rng: &mut Rng, i: u64, out: &mut String) {
    let secret = (rng.below(20) == 0).then(|| planted(rng));
    let time = timestamp(i);
    match rng.below(100) {
        0..45 => prediction(rng, i, out),
        45..60 => request(rng, &time, secret.as_deref(), out),
        60..68 => {
            let _ = write!(
                out,
                "{{\"event\":\"model_loaded\",\"model_name\":\"fraud_detector\",\"model_version\":\"v2.3.{}\",\"load_time_ms\":{},\"level\":\"info\",\"timestamp\":\"{time}\"}}",
                rng.below(9),
                rng.below(9000)
            );
        }
        68..75 => {
            let _ = write!(
                out,
                "{{\"event\":\"data_validation\",\"dataset\":\"live\",\"null_rates\":{{\"amount\":{:.4},\"country\":{:.4}}},\"n_rows\":{},\"level\":\"warning\",\"timestamp\":\"{time}\"}}",
                rng.unit(),
                rng.unit(),
                rng.below(100_000)
            );
        }
        75..81 => {
            let message = secret.map_or_else(
                || format!("cache refreshed in {} ms", rng.below(500)),
                |s| format!("user {s} was refused"),
            );
            let _ = write!(
                out,
                "{{\"message\":\"{message}\",\"levelname\":\"INFO\",\"name\":\"app.cache\",\"asctime\":\"2026-11-23 10:{:02}:{:02},{:03}\"}}",
                i / 60 % 60,
                i % 60,
                i % 1000
            );
        }
        81..93 => {
            let what =
                secret.unwrap_or_else(|| rng.pick(&["batch", "warmup", "checkpoint"]).into());
            let _ = write!(
                out,
                "2026-11-23 10:{:02}:{:02},{:03} [INFO] app.server - handled {what} in {} ms with status {}",
                i / 60 % 60,
                i % 60,
                i % 1000,
                rng.below(300),
                rng.pick(&["ok", "retry", "slow"])
            );
        }
        93..98 => {
            let _ = write!(
                out,
                "INFO:     127.0.0.1:{} - \"POST /predict HTTP/1.1\" 200 OK",
                30_000 + rng.below(30_000)
            );
        }
        _ => {
            let who = secret.unwrap_or_else(|| "feature_store".into());
            let _ = write!(
                out,
                "Traceback (most recent call last):\n  File \"/app/serve.py\", line {}, in predict\n    row = store[key]\n  File \"/app/store.py\", line 17, in __getitem__\n    raise KeyError(key)\nKeyError: '{who}'",
                rng.below(400)
            );
        }
    }
}

fn request(rng: &mut Rng, time: &str, secret: Option<&str>, out: &mut String) {
    let _ = write!(
        out,
        "{{\"event\":\"request_received\",\"request_id\":\"{}\",\"model_name\":\"fraud_detector\",\"password\":\"pw-{}\",\"user_id\":\"u-{:010}\",\"features\":{{\"amount\":{:.2},\"age_days\":{},\"ratio_7d\":{:.6},\"mean_30d\":{:.6},\"channel\":\"{}\",\"country\":\"{}\",\"note\":\"{}\",\"device\":\"d{}\",\"n_cards\":{}{}}},\"level\":\"info\",\"timestamp\":\"{time}\"}}",
        rng.uuid(),
        rng.below(1_000_000),
        rng.below(10_000_000),
        rng.unit() * 500.0,
        rng.below(4000),
        rng.unit(),
        rng.unit() * 100.0,
        rng.pick(&["web", "app", "pos"]),
        rng.pick(&["DE", "FR", "US"]),
        secret.unwrap_or("none"),
        rng.below(9999),
        rng.below(5),
        more_features(rng),
    );
}

/// A model has more features than a person would write down.
fn more_features(rng: &mut Rng) -> String {
    const NAMES: [&str; 15] = [
        "n_tx_1h",
        "n_tx_24h",
        "n_tx_7d",
        "sum_24h",
        "sum_7d",
        "velocity",
        "distance_km",
        "hour_sin",
        "hour_cos",
        "risk_country",
        "risk_device",
        "risk_merchant",
        "age_card_days",
        "n_declined_7d",
        "balance_ratio",
    ];
    let mut out = String::new();
    for name in NAMES {
        let _ = write!(out, ",\"{name}\":{:.4}", rng.unit() * 40.0);
    }
    out
}

/// Escapes, bad UTF-8, broken JSON and huge lines, `n` records of about 640 bytes.
pub(crate) fn hostile(n: u64) -> Vec<u8> {
    let mut rng = Rng::new(3);
    let mut out = Vec::with_capacity(n as usize * 700);
    let mut line = String::new();
    for i in 0..n {
        line.clear();
        hostile_line(&mut rng, i, &mut line);
        out.extend_from_slice(line.as_bytes());
        if line.starts_with("plain") {
            out.extend_from_slice(&[0xff, 0xfe, b'x', 0xc3, b' ']);
            out.extend_from_slice(planted(&mut rng).as_bytes());
        }
        out.push(b'\n');
    }
    out
}

/// One hostile line; bytes that are no UTF-8 come later.
fn hostile_line(rng: &mut Rng, i: u64, line: &mut String) {
    match rng.below(10) {
        0..3 => prediction(rng, i, line),
        3 => {
            let _ = write!(
                line,
                "{{\"message\":\"tab\\tquote\\\" uml\\u00fc \\ud83d\\ude00 {}\",\"level\":\"info\",\"prompt\":\"{}\"}}",
                rng.below(99),
                "a \\\"quoted\\\" prompt line\\n".repeat(12)
            );
        }
        4 => {
            let name = format!("b\\u00f6b{}\\u0040example.com", rng.below(999));
            let _ = write!(
                line,
                "{{\"event\":\"signup\",\"mail\":\"{name}\",\"text\":\"{}\"}}",
                "größer als früher ".repeat(20)
            );
        }
        5 => {
            let nested = format!(
                "{{\\\"user\\\":\\\"bob{}@example.com\\\",\\\"n\\\":{}}}",
                rng.below(99),
                i
            );
            let _ = write!(
                line,
                "{{\"payload\":\"{nested}\",\"k\":{i},\"url\":\"https://x.test/?q=a%40b.co&n={i}\"}}"
            );
        }
        6 => {
            let _ = write!(
                line,
                "{{\"event\":\"broken\",\"a\":[1,2,{{\"b\":\"c{}\"}},\"d\":",
                rng.below(99)
            );
        }
        7 => {
            let _ = write!(
                line,
                "{{\"k{}\":{{\"v\":[{}]}},\"z\":null}}",
                rng.below(5000),
                (0..40).map(|x| (x * i % 97).to_string()).collect::<Vec<_>>().join(",")
            );
        }
        8 => line.push_str("plain text with bytes that are no UTF-8: "),
        _ if rng.below(330) == 0 => {
            let _ = write!(
                line,
                "{{\"event\":\"huge\",\"blob\":\"{}\"}}",
                "lorem ipsum ".repeat(87_000)
            );
        }
        _ => {
            let _ = write!(
                line,
                "{{\"event\":\"embedding\",\"vector\":[{}]}}",
                (0..60).map(|_| format!("{:.6}", rng.unit())).collect::<Vec<_>>().join(", ")
            );
        }
    }
}
