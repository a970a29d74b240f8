//! The proleptic Gregorian calendar in integers (after Howard Hinnant's `days_from_civil`).

const NS_PER_S: i64 = 1_000_000_000;

/// A moment on a calendar, still without a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    /// 60 is a leap second and reads as the next minute's first.
    pub(super) second: u32,
    pub(super) nanos: u32,
}

impl Civil {
    /// Nanoseconds since 1970 as if in UTC; `None` for what is no date, no time, or beyond the
    /// years 1678 to 2262 that an `i64` holds.
    pub(super) fn to_ns(self) -> Option<i64> {
        let in_range = self.month.wrapping_sub(1) < 12
            && self.day.wrapping_sub(1) < days_in_month(self.year, self.month)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        if !in_range {
            return None;
        }
        let days = days_from_civil(self.year, self.month, self.day);
        let of_day = i64::from(self.hour * 3600 + self.minute * 60 + self.second);
        // Exact up to both ends: a negative second plus positive nanoseconds may only fit whole.
        let ns = i128::from(days * 86_400 + of_day) * i128::from(NS_PER_S);
        i64::try_from(ns + i128::from(self.nanos)).ok()
    }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date, for any year.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year that `ns` lies in.
pub(super) fn year_of(ns: i64) -> i64 {
    let days = ns.div_euclid(86_400 * NS_PER_S) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Month 10 of a year that begins in March is January.
    era * 400 + year_of_era + i64::from((5 * day_of_year + 2) / 153 >= 10)
}

/// Gives `civil` the year that brings it closest to `observed_ns`: glog and vLLM print none, and
/// a line of 31 December may be read on 1 January (or, by skewed clocks, the other way round).
pub(super) fn nearest_year(civil: Civil, observed_ns: i64) -> Option<i64> {
    let year = year_of(observed_ns);
    (year - 1..=year + 1)
        .filter_map(|year| Civil { year, ..civil }.to_ns())
        .min_by_key(|ns| ns.abs_diff(observed_ns))
}
