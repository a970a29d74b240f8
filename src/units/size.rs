//! A number of bytes.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, config_scalar, scale, split_number};

/// A number of bytes, written `512KiB`, `64MiB`, `1GB` or as a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Units by their folded names. `Ki` to `Ti` are Kubernetes' way to write `KiB` to `TiB`.
const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("kib", KIB),
    ("ki", KIB),
    ("mb", 1_000_000),
    ("mib", MIB),
    ("mi", MIB),
    ("gb", 1_000_000_000),
    ("gib", GIB),
    ("gi", GIB),
    ("tb", 1_000_000_000_000),
    ("tib", TIB),
    ("ti", TIB),
];

const HINT: &str = "Write a number and a unit: 512KiB, 64MiB, 2GiB. A plain number means bytes.";

impl ByteSize {
    /// `n` KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n * KIB)
    }

    /// `n` MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n * MIB)
    }

    /// `n` GiB.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n * GIB)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(format!("\"{text}\" is not a byte size"), HINT);
        let (number, unit) = split_number(text.trim());
        let unit = unit.trim_start().to_ascii_lowercase();
        if let "k" | "m" | "g" | "t" = unit.as_str() {
            let unit = unit.to_ascii_uppercase();
            let hint =
                format!("Write {number}{unit}iB (powers of 1024) or {number}{unit}B (1000).");
            let message = format!("\"{text}\" can be read as two byte sizes");
            return Err(if number.is_empty() { wrong() } else { UnitError::new(message, hint) });
        }
        let found = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let bytes = scale(number, u128::from(found.1)).ok_or_else(wrong)?;
        u64::try_from(bytes).map(Self).map_err(|_| {
            UnitError::new(format!("\"{text}\" is more bytes than there can be"), HINT)
        })
    }
}

/// The largest binary unit that holds a whole number of times: `64MiB`, `1536KiB`, `1000B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
        let whole = units.into_iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

config_scalar!(
    ByteSize,
    r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]?[bB]|[kKmMgGtT][iI][bB]?)?\s*$|\$\{",
    "A number of bytes with a unit. A plain number means bytes.",
    ["512KiB", "64MiB", "2GiB"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("100B", 100),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("64Mi", 64 << 20),
            ("1GB", 1_000_000_000),
            ("1.5GiB", 3 << 29),
            ("0.1kB", 100),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_why() {
        for (text, message) in [
            ("10GB/s", "\"10GB/s\" is not a byte size"),
            ("", "\"\" is not a byte size"),
            ("MiB", "\"MiB\" is not a byte size"),
            ("M", "\"M\" is not a byte size"),
            ("-1", "\"-1\" is not a byte size"),
            ("1.MiB", "\"1.MiB\" is not a byte size"),
            (".5MiB", "\".5MiB\" is not a byte size"),
            ("1.2.3MiB", "\"1.2.3MiB\" is not a byte size"),
            ("64M", "\"64M\" can be read as two byte sizes"),
            ("99999999TiB", "\"99999999TiB\" is more bytes than there can be"),
            ("340282366920938463463374607431768211456", "is not a byte size"),
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.message.ends_with(message), "{text}: {error}");
        }
        let hint = "64M".parse::<ByteSize>().expect_err("it is ambiguous").hint;
        assert_eq!(hint, "Write 64MiB (powers of 1024) or 64MB (1000).");
    }

    #[test]
    fn printed_sizes_read_back() {
        for (bytes, text) in
            [(0, "0B"), (1000, "1000B"), (64 << 20, "64MiB"), (1536 << 10, "1536KiB")]
        {
            assert_eq!(ByteSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
    }
}
