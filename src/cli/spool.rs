//! `sidewake spool`: what waits, whether it is sound, what was refused.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::config::env::Env;
use crate::deliver::DeadLetters;
use crate::deliver::dead_letters::Reader;
use crate::diagnostic::Style;
use crate::spool::{SegmentFile, TierFiles, inspect};
use crate::units::HumanDuration;
use crate::units::ns_to_the_second;

use super::dead_letters::dead_letters;
use super::replay::replay;
use super::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, duration};

/// What to do with the spool.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Spool {
    /// List what each tier's log holds and what each sink has still to get
    #[command(after_help = "Example:
  sidewake spool ls /var/lib/sidewake/spool --json | jq '.tiers[].sinks[]'")]
    Ls(Look),
    /// Read every byte and name what is damaged; exit code 1 when something is
    #[command(after_help = "Example:
  sidewake spool verify /var/lib/sidewake/spool

Changes nothing: the daemon puts damage aside by itself (*.quarantine), counts what it cost, and goes
on behind it.")]
    Verify(Look),
    /// Print what sinks refused for good, with their reasons
    #[command(after_help = "Example:
  sidewake spool dead-letters /var/lib/sidewake/spool

A JSON line for each event: tier, sink, reason, ts_ns, record_id, text; and refused, as \"2 of 9\",
where the sink did not say which ones. To make room, send them again, or delete what was read: the
files below SPOOL/dead-letters.")]
    DeadLetters(Folder),
    /// Send dead letters again, to the sinks that refused them
    #[command(after_help = "Examples:
  sidewake spool replay --config /etc/sidewake/sidewake.yaml
  sidewake spool replay --config sidewake.yaml --tier application_logs --sink loki --timeout 1h

May run beside the daemon. What is delivered is deleted, what is refused again is a letter again, and
what was not sent in time stays. Exit code 0 when all were delivered.")]
    Replay(Replay),
}

/// The spool's folder.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The spool's folder, as the config has it under spool.path
    #[arg(value_name = "SPOOL")]
    pub spool: PathBuf,
}

/// Arguments of `ls` and `verify`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The spool's folder, as the config has it under spool.path
    #[arg(value_name = "SPOOL")]
    pub spool: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `replay`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The config that runs
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Only letters of this tier
    #[arg(long, value_name = "NAME")]
    pub tier: Option<String>,
    /// Only letters of this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// How long to try, a route
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: HumanDuration,
}

/// Does what `command` says.
///
/// # Errors
/// What writing gave.
pub(super) fn spool(
    command: &Spool,
    env: &dyn Env,
    (out, err): (&mut dyn Write, &mut dyn Write),
    style: Style,
) -> io::Result<u8> {
    match command {
        Spool::Ls(args) => look(args, (out, err), list),
        Spool::Verify(args) => look(args, (out, err), verify),
        Spool::DeadLetters(args) => dead_letters(&args.spool, out, err),
        Spool::Replay(args) => replay(args, env, (out, err), style),
    }
}

type Say = fn(&[TierFiles], &[(String, usize)], &mut dyn Write) -> io::Result<u8>;

fn look(args: &Look, (out, err): (&mut dyn Write, &mut dyn Write), say: Say) -> io::Result<u8> {
    let tiers = match inspect(&args.spool) {
        Ok(tiers) => tiers,
        Err(error) => {
            writeln!(err, "error: {}: {error}", args.spool.display())?;
            return Ok(EXIT_USAGE);
        }
    };
    if tiers.is_empty() {
        writeln!(err, "error: {} is no spool: no tier has a folder there", args.spool.display())?;
        writeln!(err, "hint: Name the folder that the config has under spool.path")?;
        return Ok(EXIT_USAGE);
    }
    let letters = letters(&args.spool)?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &as_json(&tiers, &letters))?;
        writeln!(out)?;
        // The verdict is the same, whatever it is written as.
        return say(&tiers, &letters, &mut io::sink());
    }
    say(&tiers, &letters, out)
}

/// Each route's dead letters, in events.
fn letters(spool: &Path) -> io::Result<Vec<(String, usize)>> {
    let mut found = Vec::new();
    for route in DeadLetters::folders(spool)? {
        let read = Reader::open(&route)?.flatten();
        let n_events = read.map(|letter| letter.len()).sum();
        let name = route.file_name().unwrap_or_default();
        found.push((name.to_string_lossy().into_owned(), n_events));
    }
    found.retain(|(_, n_events)| *n_events > 0);
    Ok(found)
}

fn list(tiers: &[TierFiles], letters: &[(String, usize)], out: &mut dyn Write) -> io::Result<u8> {
    for tier in tiers {
        let sum = |of: fn(&SegmentFile) -> u64| tier.segments.iter().map(of).sum::<u64>();
        let n_packed = tier.segments.iter().filter(|segment| segment.is_packed).count();
        writeln!(
            out,
            "{}: {} segments ({n_packed} packed), {}, {} events{}",
            tier.tier,
            tier.segments.len(),
            size(sum(|segment| segment.bytes)),
            sum(|segment| segment.n_events),
            span(&tier.segments),
        )?;
        if tier.cursors_unreadable {
            writeln!(out, "  the sinks' positions are unreadable: all will be sent again")?;
        }
        for sink in &tier.sinks {
            let (n, bytes) = (sink.n_waiting, size(sink.waiting_bytes));
            match n {
                0 => writeln!(out, "  {}: nothing waits", sink.sink)?,
                _ => writeln!(out, "  {}: {n} events wait, {bytes}", sink.sink)?,
            }
        }
        for (file, bytes) in &tier.quarantined {
            writeln!(out, "  put aside as unreadable: {file}, {}", size(*bytes))?;
        }
    }
    for (route, n_events) in letters {
        writeln!(out, "dead letters of {route}: {n_events} events")?;
    }
    Ok(EXIT_OK)
}

fn verify(tiers: &[TierFiles], _: &[(String, usize)], out: &mut dyn Write) -> io::Result<u8> {
    let mut n_bad = 0;
    for tier in tiers {
        for segment in &tier.segments {
            for bad in &segment.damage {
                n_bad += 1;
                let (file, offset, len) = (&segment.file, bad.offset, bad.len);
                writeln!(out, "{}/{file}:{offset}: {len} bytes: {}", tier.tier, bad.reason)?;
            }
            if segment.torn_bytes > 0 {
                let (name, n) = (&segment.file, segment.torn_bytes);
                writeln!(out, "{}/{name}: {n} bytes at the end were never synced", tier.tier)?;
            }
        }
        if tier.cursors_unreadable {
            n_bad += 1;
            writeln!(out, "{}/cursors: neither copy is sound", tier.tier)?;
        }
    }
    let n_events: u64 =
        tiers.iter().flat_map(|tier| &tier.segments).map(|segment| segment.n_events).sum();
    writeln!(out, "{n_events} events are sound; {n_bad} places are damaged")?;
    Ok(if n_bad == 0 { EXIT_OK } else { EXIT_FAILED })
}

fn as_json(tiers: &[TierFiles], letters: &[(String, usize)]) -> Value {
    let segment = |segment: &SegmentFile| {
        let damage = segment
            .damage
            .iter()
            .map(|bad| json!({ "offset": bad.offset, "bytes": bad.len, "reason": bad.reason }));
        json!({
            "file": segment.file,
            "bytes": segment.bytes,
            "packed": segment.is_packed,
            "events": segment.n_events,
            "oldest": segment.span_ns.map(|(oldest, _)| ns_to_the_second(oldest)),
            "newest": segment.span_ns.map(|(_, newest)| ns_to_the_second(newest)),
            "unsynced_bytes": segment.torn_bytes,
            "damage": damage.collect::<Vec<Value>>(),
        })
    };
    let tier = |tier: &TierFiles| {
        let sinks = tier.sinks.iter().map(|sink| {
            json!({ "sink": sink.sink, "events": sink.n_waiting, "bytes": sink.waiting_bytes })
        });
        let quarantined =
            tier.quarantined.iter().map(|(file, bytes)| json!({ "file": file, "bytes": bytes }));
        json!({
            "tier": tier.tier,
            "segments": tier.segments.iter().map(segment).collect::<Vec<Value>>(),
            "sinks": sinks.collect::<Vec<Value>>(),
            "cursors_unreadable": tier.cursors_unreadable,
            "quarantined": quarantined.collect::<Vec<Value>>(),
        })
    };
    let letters = letters.iter().map(|(route, n)| json!({ "route": route, "events": n }));
    json!({
        "tiers": tiers.iter().map(tier).collect::<Vec<Value>>(),
        "dead_letters": letters.collect::<Vec<Value>>(),
    })
}

/// From when to when, of all segments.
fn span(segments: &[SegmentFile]) -> String {
    let spans = || segments.iter().filter_map(|segment| segment.span_ns);
    let oldest = spans().map(|(oldest, _)| oldest).min();
    let newest = spans().map(|(_, newest)| newest).max();
    match oldest.zip(newest) {
        Some((oldest, newest)) => {
            format!(", {} to {}", ns_to_the_second(oldest), ns_to_the_second(newest))
        }
        None => String::new(),
    }
}

/// A number of bytes to one decimal.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit);
    fits.map_or(format!("{bytes} B"), |(unit, name)| {
        format!("{:.1} {name}", bytes as f64 / unit as f64)
    })
}
