//! What the encoders cost: rows per CPU-second, bytes per row, memory beside the input. Figures,
//! not judgements, but for the memory; run with `SIDEWAKE_SLOW=1` in a release build,
//! `--nocapture`.

#![expect(clippy::print_stdout, reason = "prints its figures")]

#[path = "store_files/support.rs"]
mod support;

use std::sync::Mutex;

use sidewake::event::batch::Batch;
use sidewake::sinks::files::Files;
use sidewake::sinks::{Body, LogRange, Sink};

/// Prediction lines of 380 bytes with ids, times and numbers that differ.
fn prediction_lines(n: usize, seed: u64) -> Vec<String> {
    let mut state = seed;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let line = |n: usize| {
        let (amount, score, latency) = (next() * 1e3, next(), next() * 50.0);
        format!(
            concat!(
                r#"{{"event":"prediction_completed","request_id":"{:08x}-{n:012x}","#,
                r#""model_name":"fraud_detector","model_version":"v2.3.1","#,
                r#""feature_count":45,"feature_sample":{{"amount":{amount:.2},"#,
                r#""merchant_id":"M{}","country":"DE","age_days":{},"#,
                r#""velocity":{score:.6}}},"prediction":{{"label":"{}","#,
                r#""score":{score:.4}}},"confidence":{score:.4},"#,
                r#""latency_ms":{latency:.3},"level":"info","#,
                r#""timestamp":"2026-01-04T10:30:00.{:06}Z"}}"#,
            ),
            (next() * 4e9) as u32,
            (next() * 1e5) as u32,
            (next() * 1e4) as u32,
            if score > 0.9 { "fraud" } else { "legit" },
            n % 1_000_000,
            n = n,
            amount = amount,
            score = score,
            latency = latency,
        )
    };
    (0..n).map(line).collect()
}

fn status_kib(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

/// Writes `n_files` files as `deliver` would close them and prints what it cost.
fn measure(tier: &str, batches: &[Batch], n_files: usize) -> usize {
    let files = Files::new("unused".into(), tier);
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (rss_before, cpu_before) = (status_kib("VmRSS"), cpu_ns());
    let (mut n_rows, mut in_bytes, mut out_bytes) = (0, 0, 0);
    let mut batches = batches.iter().cycle();
    let mut body = Body::default();
    for from in 0..n_files {
        let mut encoder = files.encoder(0);
        while encoder.len() < files.format.close_bytes() {
            let batch = batches.next().expect("BUG: cycles");
            encoder.push(batch, 0..batch.len());
            n_rows += batch.len();
            in_bytes += batch.slab.len();
        }
        let range = LogRange { from: from as u64, to: from as u64 + 1 };
        encoder.finish(range, &mut body).expect("a body");
        out_bytes += body.bytes.len();
        body = Body::default();
    }
    let cpu_s = (cpu_ns() - cpu_before) as f64 / 1e9;
    let peak_kib = status_kib("VmHWM").saturating_sub(rss_before);
    let after_kib = status_kib("VmRSS").saturating_sub(rss_before);
    println!(
        "{tier}: {:.0} rows per CPU-second, {:.0} MB/s in, {:.1} to {:.1} bytes a row, \
         peak RSS +{peak_kib} KiB, afterwards +{after_kib} KiB",
        n_rows as f64 / cpu_s,
        in_bytes as f64 / cpu_s / 1e6,
        in_bytes as f64 / n_rows as f64,
        out_bytes as f64 / n_rows as f64,
    );
    peak_kib
}

/// The lines, if slow tests are wanted.
fn input() -> Option<Vec<Batch>> {
    if std::env::var_os("SIDEWAKE_SLOW").is_none() {
        println!("skipped: slow, set SIDEWAKE_SLOW=1");
        return None;
    }
    let batch = |seed| {
        let lines = prediction_lines(1000, seed);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        support::batch(&lines, |_, _| {})
    };
    Some((0..64).map(batch).collect())
}

/// Memory is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A file of any size is written in the memory of one row group and the compressed file.
#[test]
fn cost_of_parquet() {
    let _alone = ALONE.lock();
    let Some(batches) = input() else { return };
    // The first file also loads the code, whose pages count for the process once.
    let files = Files::new("unused".into(), "prediction_logs");
    support::encode(&files, &batches[..1], LogRange::default());
    let peak_kib = measure("prediction_logs", &batches, 12);
    assert!(peak_kib < 6 << 10, "the Parquet encoder held {peak_kib} KiB");
}

#[test]
fn cost_of_json_lines() {
    let _alone = ALONE.lock();
    let Some(batches) = input() else { return };
    measure("application_logs", &batches, 48);
}
