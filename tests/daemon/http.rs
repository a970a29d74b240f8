//! The admin server as a client sees it: answers, and a strict reading of the Prometheus text
//! format.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Status and body of a GET; `None` when nobody answers.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// One scrape.
#[derive(Debug, Default)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

const ROUTE: &str = "sidewake_route_";

impl Metrics {
    /// Reads the text format 0.0.4; panics on anything that is not it: a sample without a family,
    /// a family twice, a counter that is not named `_total`, a series twice.
    pub(crate) fn parse(text: &str) -> Self {
        let shape =
            r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$"#;
        let sample = regex::Regex::new(shape).expect("a pattern");
        let (mut found, mut families) = (BTreeMap::new(), BTreeMap::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').expect("a type");
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(families.insert(name.to_owned(), kind).is_none(), "twice: {line}");
            } else if !line.starts_with("# HELP ") {
                let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
                assert!(families.contains_key(&parts[1]), "no family: {line}");
                let value: f64 = parts[3].parse().expect("a number");
                let series = line[..line.len() - parts[3].len() - 1].to_owned();
                assert!(found.insert(series, value).is_none(), "twice: {line}");
            }
        }
        Self(found)
    }

    /// One series; panics when it is not there.
    pub(crate) fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// A number of a route, say `delivered_events_total`.
    pub(crate) fn route(&self, name: &str, tier: &str, sink: &str) -> u64 {
        self.get(&format!("{ROUTE}{name}{{tier=\"{tier}\",sink=\"{sink}\"}}")) as u64
    }

    /// All that was dropped on a route, whatever the reason.
    pub(crate) fn dropped(&self, tier: &str, sink: &str) -> u64 {
        let head = format!("{ROUTE}dropped_events_total{{tier=\"{tier}\",sink=\"{sink}\",reason=");
        let of_route = self.0.iter().filter(|(series, _)| series.starts_with(&head));
        of_route.map(|(_, value)| *value as u64).sum()
    }

    /// `(tier, sink)` of all routes.
    pub(crate) fn routes(&self) -> Vec<(String, String)> {
        let head = format!("{ROUTE}events_total{{tier=\"");
        let labels = self.0.keys().filter_map(|series| series.strip_prefix(&head));
        labels
            .map(|rest| {
                let (tier, rest) = rest.split_once("\",sink=\"").expect("two labels");
                (tier.to_owned(), rest.trim_end_matches("\"}").to_owned())
            })
            .collect()
    }

    /// What came in on a route, and where it is: delivered, sampled out, dead letters, dropped and
    /// spooled.
    fn balance(&self, tier: &str, sink: &str) -> (u64, [u64; 5]) {
        let of = |name| self.route(name, tier, sink);
        let parts = [
            of("delivered_events_total"),
            of("sampled_out_events_total"),
            of("dead_letter_events_total"),
            self.dropped(tier, sink),
            of("spooled_events"),
        ];
        (of("events_total"), parts)
    }

    /// As [`Self::assert_balanced`], to wait for: the parts of one scrape are read one after the
    /// other while events move, so that it holds at quiet moments.
    pub(crate) fn is_balanced(&self) -> bool {
        self.routes().iter().all(|(tier, sink)| {
            let (n_events, parts) = self.balance(tier, sink);
            n_events == parts.iter().sum::<u64>()
        })
    }

    /// `in = delivered + sampled out + dead letters + dropped + spooled`, for every route.
    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        let routes = self.routes();
        assert!(!routes.is_empty());
        for (tier, sink) in routes {
            let (n_events, parts) = self.balance(&tier, &sink);
            assert_eq!(n_events, parts.iter().sum::<u64>(), "{tier} {sink}: {parts:?}");
        }
    }
}
