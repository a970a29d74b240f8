//! Floor 0: sizes, durations and ratios as people write them (`64MiB`, `30 days`, `10%`), and
//! moments as they read them.
//!
//! Owns their grammar, their errors and how they are printed; each is read by `FromStr` and, in the
//! config, through serde. Deliberately lenient in spelling (case, a space before the unit, long and
//! short names) and strict in meaning: what could be read in two ways (`64M`, `10`, `1 month`) is
//! refused with the two ways spelled out.

mod duration;
mod instant;
mod ratio;
mod size;

pub use duration::HumanDuration;
pub use instant::{ns_to_the_second, to_the_second};
pub use ratio::Ratio;
pub use size::ByteSize;

/// Why a text is not a quantity, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnitError {
    /// What is wrong, with the text in double quotes.
    pub message: String,
    /// What to write, as full sentences.
    pub hint: String,
}

impl UnitError {
    fn new(message: String, hint: impl Into<String>) -> Self {
        Self { message, hint: hint.into() }
    }
}

/// Splits `text` at the end of the decimal number that it begins with.
fn split_number(text: &str) -> (&str, &str) {
    let len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    text.split_at(len)
}

/// `number` times `factor`, exactly: the part behind the point is scaled as an integer.
///
/// `None` where `number` is no decimal number or the product has no place in an `u128`. What lies
/// behind the smallest unit is cut.
fn scale(number: &str, factor: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (part.is_empty() && number.contains('.')) {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    // More digits than these are below every unit that exists here.
    let part = part.get(..part.len().min(18))?;
    let fraction = match part {
        "" => 0,
        digits => digits.parse::<u128>().ok()?.checked_mul(factor)? / 10u128.pow(part.len() as u32),
    };
    whole.checked_mul(factor)?.checked_add(fraction)
}

/// Reads `$unit` from a scalar of the config, with the hint in a second line of the error (see
/// `config::de::Fault::wrong`), and names it in the schema.
macro_rules! config_scalar {
    ($unit:ident, $pattern:literal, $about:literal, [$($example:literal),+]) => {
        impl<'de> serde::Deserialize<'de> for $unit {
            fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(de)?;
                text.parse().map_err(|error: crate::units::UnitError| {
                    serde::de::Error::custom(format_args!("{}\n{}", error.message, error.hint))
                })
            }
        }

        impl schemars::JsonSchema for $unit {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($unit).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": ["string", "number"],
                    "pattern": $pattern,
                    "description": $about,
                    "examples": [$($example),+],
                })
            }
        }
    };
}
use config_scalar;
