//! Numbers, ids and times as text: what every record has, without a formatter's detours.

/// Two digits for each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Appends `number` in decimal digits.
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `bytes` in lower-case hex.
pub(super) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    data_encoding::HEXLOWER.encode_mut(bytes, &mut out[start..]);
}

/// Appends nanoseconds since 1970 as a time of RFC 3339 with nine decimals.
pub(super) fn push_utc(ns: u64, out: &mut Vec<u8>) {
    let (seconds, mut nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, seconds / 3600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
    ];
    for (at, number) in parts {
        text[at..at + 2].copy_from_slice(&PAIRS[number as usize % 100]);
    }
    for digit in text[20..29].iter_mut().rev() {
        *digit = b'0' + (nanos % 10) as u8;
        nanos /= 10;
    }
    out.extend_from_slice(&text);
}

/// Year, month and day, `days` after 1 January 1970: Hinnant's `civil_from_days`, whose years begin
/// in March, so that a leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    /// Every day that eight bytes of nanoseconds reach, at a moment of its own.
    #[test]
    fn times_are_those_of_the_calendar() {
        for day in 0..u64::MAX / 1_000_000_000 / 86_400 {
            let ns = day * 86_400_000_000_000 + day * 1_234_567_891 % 86_400_000_000_000;
            let time = OffsetDateTime::from_unix_timestamp_nanos(ns.into()).expect("a time");
            let whole = time.replace_nanosecond(0).expect("a second");
            let expected = whole.format(&Rfc3339).expect("a text");
            let expected = format!("{}.{:09}Z", expected.trim_end_matches('Z'), time.nanosecond());
            assert_eq!(text(|out| push_utc(ns, out)), expected);
        }
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 9, 10, 4_294_967_296, u64::MAX] {
            assert_eq!(text(|out| push_decimal(number, out)), number.to_string());
        }
        assert_eq!(text(|out| push_hex(&[0, 0x1f, 0xff], out)), "001fff");
    }
}
