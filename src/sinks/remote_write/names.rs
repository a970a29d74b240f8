//! Names of OTLP as names of Prometheus: metrics with their units and suffixes, labels, units.
//!
//! Knows nothing of what was scraped: that keeps its names.
//!
//! Source: OpenTelemetry "Prometheus and OpenMetrics compatibility"; the translation of Prometheus
//! 3's own OTLP receiver, to the letter, so that a series is the same on either way.

/// What decides a name's suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    /// `_total`.
    Counter,
    /// `_ratio` where the unit is 1.
    Gauge,
    None,
}

/// Units of UCUM that have a name of their own.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// What stands behind the slash.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// A metric's name; empty where nothing of it can be one.
pub(super) fn metric(name: &[u8], unit: &[u8], suffix: Suffix) -> String {
    let (name, unit) = (String::from_utf8_lossy(name), String::from_utf8_lossy(unit));
    let is_other = |c: char| !(c.is_ascii_alphanumeric() || c == ':');
    let mut tokens: Vec<&str> = name.split(is_other).filter(|token| !token.is_empty()).collect();
    let (main, per) = unit_words(&unit);
    let (mut main, mut per) = (clean(&main), clean(&per));
    if tokens.contains(&main.as_str()) {
        main.clear();
    }
    let bare = per.strip_suffix('_').unwrap_or(&per).to_owned();
    per = if per == "per_" || tokens.contains(&bare.as_str()) { String::new() } else { bare };
    if !per.is_empty() {
        main.truncate(main.strip_suffix('_').unwrap_or(&main).len());
    }
    tokens.extend([main.as_str(), per.as_str()].into_iter().filter(|word| !word.is_empty()));
    let ending = match suffix {
        Suffix::Counter => Some("total"),
        Suffix::Gauge if unit == "1" => Some("ratio"),
        Suffix::Gauge | Suffix::None => None,
    };
    if let Some(ending) = ending {
        tokens.retain(|token| *token != ending);
        tokens.push(ending);
    }
    let joined = tokens.join("_");
    match joined.bytes().next() {
        Some(first) if first.is_ascii_digit() => format!("_{joined}"),
        // Nothing but the line between words.
        _ if joined.bytes().all(|byte| byte == b'_') => String::new(),
        _ => joined,
    }
}

/// A unit as `UNIT` has it.
pub(super) fn unit(unit: &[u8]) -> String {
    let (main, per) = unit_words(&String::from_utf8_lossy(unit));
    let (main, per) = (clean(&main), clean(&per));
    let between = if main.is_empty() || per.is_empty() { "" } else { "_" };
    let whole = format!("{main}{between}{per}");
    let whole = whole.strip_prefix('_').unwrap_or(&whole);
    whole.strip_suffix('_').unwrap_or(whole).to_owned()
}

/// A label's name; empty where nothing of it can be one.
pub(super) fn label(key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    let inner = key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let mut name = String::with_capacity(key.len() + 4);
    let mut is_behind_line = false;
    for c in inner.unwrap_or(&key).chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !is_behind_line {
            name.push('_');
        }
        is_behind_line = !c.is_ascii_alphanumeric();
    }
    if inner.is_some() {
        name = format!("__{name}__");
    }
    if name.bytes().all(|byte| byte == b'_') {
        return String::new();
    }
    if name.as_bytes()[0].is_ascii_digit() {
        name.insert_str(0, "key_");
    }
    name
}

/// What stands before the slash and behind it, in Prometheus's words.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |raw: &str, words: &[(&str, &str)]| {
        let raw = raw.trim();
        if raw.contains(['{', '}']) {
            return String::new();
        }
        let known = words.iter().find(|(symbol, _)| *symbol == raw);
        known.map_or(raw, |(_, word)| word).to_owned()
    };
    let main = if main.trim() == "1" { String::new() } else { word(main, &UNITS) };
    let per = word(per, &PER_UNITS);
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    (main, per)
}

/// Only characters of names, no line at the beginning and no two in a row.
fn clean(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == ':' => out.push(c),
            _ if out.ends_with('_') || out.is_empty() => {}
            _ => out.push('_'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics() {
        use Suffix::{Counter, Gauge, None};
        for (name, unit, suffix, expected) in [
            ("http.server.request.duration", "s", None, "http_server_request_duration_seconds"),
            ("requests", "1", Counter, "requests_total"),
            ("requests_total", "{request}", Counter, "requests_total"),
            ("total.requests", "", Counter, "requests_total"),
            ("memory.usage", "By", Gauge, "memory_usage_bytes"),
            ("memory_bytes", "By", Gauge, "memory_bytes"),
            ("cpu.utilization", "1", Gauge, "cpu_utilization_ratio"),
            ("queue", "1", None, "queue"),
            ("io", "By/s", Gauge, "io_bytes_per_second"),
            ("rate", "{packet}/s", Gauge, "rate_per_second"),
            ("a__b..c", "", Gauge, "a_b_c"),
            ("2xx", "", Gauge, "_2xx"),
            ("battery", "%", Gauge, "battery_percent"),
            ("job:rate", "furlong", Gauge, "job:rate_furlong"),
            ("größe", "", Gauge, "gr_e"),
            ("...", "", Gauge, ""),
            ("", "", Gauge, ""),
        ] {
            assert_eq!(metric(name.as_bytes(), unit.as_bytes(), suffix), expected, "{name}");
        }
    }

    #[test]
    fn labels() {
        for (key, expected) in [
            ("http.method", "http_method"),
            ("a--b", "a_b"),
            ("2nd", "key_2nd"),
            ("__name__", "__name__"),
            ("__a.b__", "__a_b__"),
            ("_x", "_x"),
            ("é", ""),
            ("___", ""),
            ("", ""),
        ] {
            assert_eq!(label(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn units() {
        for (raw, expected) in [
            ("s", "seconds"),
            ("By/s", "bytes_per_second"),
            ("1", ""),
            ("{x}", ""),
            ("1/s", "per_second"),
        ] {
            assert_eq!(unit(raw.as_bytes()), expected, "{raw}");
        }
    }
}
