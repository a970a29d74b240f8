//! A part of a whole.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, config_scalar, split_number};

/// A part of a whole in [0, 1], written `10%` or `0.1`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

const HINT: &str = "Write a percentage from 0% to 100%, or a number from 0 to 1: 10%, 0.1.";

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// All.
    pub const ONE: Self = Self(1.0);

    /// `ratio` if it lies in [0, 1].
    #[must_use]
    pub fn new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// The number in [0, 1].
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |what: &str| UnitError::new(format!("\"{text}\" {what}"), HINT);
        let (number, unit) = split_number(text.trim());
        let value: f64 = number.parse().map_err(|_| wrong("is not a percentage"))?;
        let ratio = match unit.trim() {
            "%" => value / 100.0,
            "" if value > 1.0 => {
                let hint = format!("Write {number}%, or {} as a number.", value / 100.0);
                let message = format!("\"{text}\" is not a percentage: the \"%\" is missing");
                return Err(if value > 100.0 {
                    wrong("is more than 100%")
                } else {
                    UnitError::new(message, hint)
                });
            }
            "" => value,
            _ => return Err(wrong("is not a percentage")),
        };
        Self::new(ratio).ok_or_else(|| wrong("is more than 100%"))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nine digits hide what the division by 100 did to the last bits, and no rate is finer.
        let percent = format!("{:.9}", self.0 * 100.0);
        write!(f, "{}%", percent.trim_end_matches('0').trim_end_matches('.'))
    }
}

config_scalar!(
    Ratio,
    r"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$|\$\{",
    "A part of a whole: a percentage, or a number from 0 to 1.",
    ["10%", "0.5%", "0.1"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_as_people_write_them() {
        for (text, ratio) in [
            ("10%", 0.1),
            ("0.1", 0.1),
            ("0.5 %", 0.005),
            ("100%", 1.0),
            ("1", 1.0),
            ("0", 0.0),
            ("0%", 0.0),
        ] {
            assert_eq!(text.parse::<Ratio>().expect(text).get(), ratio, "{text}");
        }
    }

    #[test]
    fn what_is_no_ratio_says_why() {
        for (text, message) in [
            ("10", "\"10\" is not a percentage: the \"%\" is missing"),
            ("110%", "\"110%\" is more than 100%"),
            ("5000", "\"5000\" is more than 100%"),
            ("-1%", "\"-1%\" is not a percentage"),
            ("ten", "\"ten\" is not a percentage"),
            ("", "\"\" is not a percentage"),
            ("nan", "\"nan\" is not a percentage"),
            ("1.2.3%", "\"1.2.3%\" is not a percentage"),
        ] {
            assert_eq!(text.parse::<Ratio>().expect_err(text).message, message);
        }
    }

    #[test]
    fn printed_ratios_read_back() {
        for text in ["0%", "0.5%", "7%", "10%", "33.3%", "100%"] {
            assert_eq!(text.parse::<Ratio>().expect(text).to_string(), text);
        }
    }
}
