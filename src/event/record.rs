//! One event's fixed-size entry in a batch's table: where its bytes are and what is known of it.
//!
//! Owns the 48-byte layout, which is the layout in memory and on disk, and the small closed
//! vocabularies in it ([`Kind`], [`Level`], [`Flags`]). Deliberately holds no pointers, no strings
//! and no behaviour that needs the bytes: those live in [`super::batch`].
//!
//! # Why
//! A prototype measured 40-byte records at about 10 % of the raw frame. The eight bytes more here
//! buy u32 spans (a `request_id` behind a 60 kB prompt must not be lost), the exact 56-bit sampling
//! threshold, and the event's offset in its source, from which the stable `record_id` follows.

use bytemuck::{Pod, Zeroable};

/// "No such span in this event."
pub const NO_SPAN: u32 = u32::MAX;

/// One row of a batch's table. Little-endian on disk; see [`super::frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Record {
    /// Event time in nanoseconds since 1970; the observed time where [`Flags::TIME_OBSERVED`] is
    /// set.
    pub ts_ns: i64,
    /// Sampling: the OTel rejection threshold `T` (56 bits) that this kept event passed;
    /// probability = 1 - T / 2^56. The top byte is the index of the rule that decided.
    pub threshold: u64,
    /// First byte of the event in the batch's bytes.
    pub off: u32,
    /// Length of the event, without the newline behind a line. A joined traceback holds newlines
    /// inside.
    pub len: u32,
    /// Offset of `request_id`'s text within the event, or [`NO_SPAN`].
    pub request_id_off: u32,
    /// Offset of `trace_id` within the event, or [`NO_SPAN`]: 32 hex digits of a line, 16 bytes of
    /// a span.
    pub trace_id_off: u32,
    /// Offset of `span_id` within the event, or [`NO_SPAN`]: 16 hex digits or 8 bytes.
    pub span_id_off: u32,
    /// Where the event began in its source, relative to the frame's `source_base`.
    pub source_off: u32,
    /// Length of `request_id`'s text; 0 with [`NO_SPAN`].
    pub request_id_len: u16,
    /// A set of [`Flags`].
    pub flags: u16,
    /// A [`Kind`] as a number.
    pub kind: u8,
    /// A [`Level`] as a number.
    pub level: u8,
    /// The classifier's rule, an index into `pipeline::classify::RULES`.
    pub rule: u8,
    /// Always zero; room for the next version.
    pub reserved: u8,
}

const _: () = assert!(size_of::<Record>() == 48, "BUG: the record is 48 bytes on disk");
const _: () =
    assert!(cfg!(target_endian = "little"), "frames are little-endian in memory and on disk");

impl Record {
    /// A record of `len` bytes at `off` of which nothing else is known.
    #[must_use]
    pub fn new(off: u32, len: u32) -> Self {
        Self {
            ts_ns: 0,
            threshold: 0,
            off,
            len,
            request_id_off: NO_SPAN,
            trace_id_off: NO_SPAN,
            span_id_off: NO_SPAN,
            source_off: 0,
            request_id_len: 0,
            flags: 0,
            kind: Kind::Application as u8,
            level: Level::Unset as u8,
            rule: 0,
            reserved: 0,
        }
    }

    /// The event's kind; an unknown number (a newer version's frame) reads as `application`.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_u8(self.kind)
    }

    /// The event's level.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_u8(self.level)
    }

    /// Whether all bits of `flag` are set.
    #[must_use]
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag == flag
    }

    /// The 56-bit rejection threshold without the rule index; 0 while it is undecided.
    #[must_use]
    pub fn sampling_threshold(&self) -> u64 {
        if self.sampling_rule() == UNDECIDED { 0 } else { self.threshold & THRESHOLD_MASK }
    }

    /// What the request of an undecided event is known by (56 bits).
    #[must_use]
    pub fn undecided_key(&self) -> u64 {
        self.threshold & THRESHOLD_MASK
    }

    /// The index of the sampling rule that kept this event.
    #[must_use]
    pub fn sampling_rule(&self) -> u8 {
        (self.threshold >> 56) as u8
    }

    /// The final inclusion probability in (0, 1].
    #[must_use]
    pub fn probability(&self) -> f64 {
        // Both are below 2^53 times a power of two, so the division is exact enough to print.
        (THRESHOLD_ONE - self.sampling_threshold()) as f64 / THRESHOLD_ONE as f64
    }
}

/// The rule of an event whose window is not over: in the place of its threshold it has its
/// request's key.
pub const UNDECIDED: u8 = 3;

/// 2^56: the threshold that would reject everything (OTel probability sampling).
pub const THRESHOLD_ONE: u64 = 1 << 56;
/// The low 56 bits.
pub const THRESHOLD_MASK: u64 = THRESHOLD_ONE - 1;

/// What a log line of a model service is about (design, section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Everything else that is a log line.
    Application = 0,
    /// Input features of one inference request.
    Request = 1,
    /// Output, confidence, latency of one inference.
    Prediction = 2,
    /// A model's life: load, version, error.
    Model = 3,
    /// Data quality: schema, null rates, ranges, drift.
    Data = 4,
    /// What sampling saw and kept: told by the daemon itself, and by no line of a model.
    Sampling = 5,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 6] = [
        Kind::Application,
        Kind::Request,
        Kind::Prediction,
        Kind::Model,
        Kind::Data,
        Kind::Sampling,
    ];

    /// Those that lines have, each of which must go somewhere.
    pub const OF_LINES: [Kind; 5] =
        [Kind::Application, Kind::Request, Kind::Prediction, Kind::Model, Kind::Data];

    /// The kind with number `n`; unknown numbers read as `application`.
    #[must_use]
    pub fn from_u8(n: u8) -> Self {
        Self::ALL.get(usize::from(n)).copied().unwrap_or(Kind::Application)
    }

    /// The word used in config, labels and columns.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Application => "application",
            Kind::Request => "request",
            Kind::Prediction => "prediction",
            Kind::Model => "model",
            Kind::Data => "data",
            Kind::Sampling => "sampling",
        }
    }

    /// The kind named by `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Severity in the five steps that Python, OpenTelemetry and Loki share; `Unset` where none was
/// given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// The line carried none.
    Unset = 0,
    /// OTel 1-4.
    Trace = 1,
    /// OTel 5-8.
    Debug = 2,
    /// OTel 9-12.
    Info = 3,
    /// OTel 13-16.
    Warn = 4,
    /// OTel 17-20.
    Error = 5,
    /// OTel 21-24.
    Fatal = 6,
}

impl Level {
    /// All levels in rising severity.
    pub const ALL: [Level; 7] = [
        Level::Unset,
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
        Level::Fatal,
    ];

    /// The level with number `n`; unknown numbers read as `Unset`.
    #[must_use]
    pub fn from_u8(n: u8) -> Self {
        Self::ALL.get(usize::from(n)).copied().unwrap_or(Level::Unset)
    }

    /// Lower-case word, empty for `Unset`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Unset => "",
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// Reads a level as loggers write it: any case, `warning`, `critical`, `exception`, single
    /// letters of glog, Python's numbers 10 to 50.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        let mut lower = [0u8; 12];
        let word = word.trim_ascii();
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"5" | b"notset" => Level::Trace,
            b"debug" | b"dbg" | b"d" | b"10" | b"fine" | b"verbose" => Level::Debug,
            b"info" | b"i" | b"20" | b"information" | b"notice" | b"inf" | b"log" => Level::Info,
            b"warn" | b"warning" | b"w" | b"30" | b"wrn" => Level::Warn,
            b"error" | b"err" | b"e" | b"40" | b"exception" | b"severe" => Level::Error,
            b"fatal" | b"f" | b"critical" | b"crit" | b"50" | b"c" | b"panic" | b"emergency"
            | b"alert" => Level::Fatal,
            _ => return None,
        })
    }
}

/// Bits of [`Record::flags`]. Plain constants: they are stored, so their numbers are forever.
pub struct Flags;

impl Flags {
    /// The event is one JSON object.
    pub const JSON: u16 = 1;
    /// The event is logfmt.
    pub const LOGFMT: u16 = 1 << 1;
    /// It looked like JSON and is not; kept as text.
    pub const BAD_JSON: u16 = 1 << 2;
    /// Not valid UTF-8 as it came; invalid bytes were replaced by U+FFFD.
    pub const BAD_UTF8: u16 = 1 << 3;
    /// Longer than the line limit; the rest was cut.
    pub const TRUNCATED: u16 = 1 << 4;
    /// At least one byte was changed by protection.
    pub const REDACTED: u16 = 1 << 5;
    /// Read from the standard error stream.
    pub const STDERR: u16 = 1 << 6;
    /// Several lines joined (traceback, partial CRI lines).
    pub const JOINED: u16 = 1 << 7;
    /// No usable time in the event: `ts_ns` is the time it was read.
    pub const TIME_OBSERVED: u16 = 1 << 8;
    /// The event's time lay too far off and was clamped to the time it was read.
    pub const TIME_CLAMPED: u16 = 1 << 9;
    /// The time carried no zone and was taken for UTC.
    pub const TIME_NAIVE: u16 = 1 << 10;
    /// The stream ended inside this line (crash): no newline was seen.
    pub const PARTIAL: u16 = 1 << 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds and levels are stored as numbers: the mapping must never shift.
    #[test]
    fn numbers_round_trip() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        for (n, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(level as usize, n);
        }
        assert_eq!(Kind::from_u8(200), Kind::Application);
    }

    #[test]
    fn levels_as_loggers_write_them() {
        for (word, level) in [
            ("INFO", Level::Info),
            ("warning", Level::Warn),
            ("CRITICAL", Level::Fatal),
            ("E", Level::Error),
            (" info ", Level::Info),
            ("40", Level::Error),
        ] {
            assert_eq!(Level::parse(word.as_bytes()), Some(level), "{word}");
        }
        for word in ["", "hello", "a very long word indeed"] {
            assert_eq!(Level::parse(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn probability_of_a_threshold() {
        let mut record = Record::new(0, 1);
        assert_eq!(record.probability(), 1.0);
        record.threshold = (2 << 56) | (0xc << 52);
        assert_eq!(record.probability(), 0.25);
        assert_eq!(record.sampling_rule(), 2);
        record.threshold = u64::from(UNDECIDED) << 56 | 77;
        assert_eq!((record.probability(), record.undecided_key()), (1.0, 77));
    }
}
