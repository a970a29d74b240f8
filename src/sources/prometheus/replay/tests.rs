//! Pages read by the one before, held against the same pages read anew.

use std::time::Duration;

use super::*;
use crate::sources::prometheus::family::Treatment;
use crate::sources::prometheus::relabel::{Action, Rule, anchored};
use crate::sources::prometheus::scrape::{self, Format};

const FIRST_NS: i64 = 15_000_000_000;
const SECOND_NS: i64 = 30_000_000_000;

const PLAIN: &str = "\
# HELP c C.
# TYPE c counter
c{a=\"1\",b=\"x y\"} 1
c{b=\"2\\\"}\",a=\"2\"}   2e3

# nobody's
# TYPE g gauge
g 0.5
g{le=\"1\"} NaN
# TYPE h histogram
h_bucket{le=\"0.5\"} 1
h_bucket{le=\"1\"} 3
h_bucket{le=\"+Inf\"} 7
h_sum 1.5
h_count 7
h_count{a=\"1\"} 2
h_sum{a=\"1\"} 9
h_bucket{a=\"1\",le=\"1\"} 1
h_bucket{a=\"1\",le=\"+Inf\"} 2
# TYPE q summary
q{quantile=\"0.5\"} 1
q{quantile=\"0.9\"} +Inf
q_sum 1
q_count 2
dropped 4
untyped 3";

const OPEN: &str = "\
# TYPE c counter
# UNIT c_seconds seconds
c_total{a=\"1\"} 1.0
c_created{a=\"1\"} 1000.5
c_total{a=\"2\"} 2.0
c_created{a=\"2\"} 1001.0
# TYPE h histogram
h_bucket{le=\"1.0\"} 1
h_bucket{le=\"+Inf\"} 1
h_count 1
h_sum 1.0
h_created 7
# TYPE v info
v_info{version=\"1\"} 1
# EOF
";

/// What a page becomes behind another one, and whether it was read by it.
fn read(first: &str, second: &str, format: Format, is_anew: bool) -> (String, bool) {
    let labels = vec![("job".to_owned(), "j".to_owned()), ("zone".to_owned(), "z".to_owned())];
    let drop = Rule {
        action: Action::Drop,
        source_labels: vec!["__name__".to_owned()],
        separator: ";".to_owned(),
        target_label: String::new(),
        regex: anchored("dropped").expect("an expression"),
        modulus: 0,
        replacement: String::new(),
    };
    let treatment = Treatment { labels, relabel: vec![drop], ..Treatment::default() };
    let none = &mut Told::default();
    let first = scrape::read((first.as_bytes(), format), &treatment, &[], none, FIRST_NS);
    let first = first.unwrap_or_else(|refused| panic!("{refused}"));
    let (_, mut told) = first.finish(true, Duration::ZERO, &[], FIRST_NS);
    if is_anew {
        told.script = None;
    }
    let body = second.as_bytes();
    let is_replayed =
        super::read(body, &told, Output::new(&[]), SECOND_NS).is_some() && told.script.is_some();
    let second = scrape::read((body, format), &treatment, &[], &mut told, SECOND_NS);
    let text = match second {
        Err(refused) => refused.to_string(),
        Ok(reading) => {
            let numbers = reading.numbers;
            let (requests, told) = reading.finish(true, Duration::ZERO, &[], SECOND_NS);
            let gone = scrape::Reading::of_nothing(&told, &[], SECOND_NS + 1).requests();
            format!("{numbers:?} {requests:?} {gone:?}")
        }
    };
    (text, is_replayed)
}

fn check(format: Format, first: &str, second: &str, is_replayed: bool) {
    let (got, was_replayed) = read(first, second, format, false);
    assert_eq!(got, read(first, second, format, true).0, "{second}");
    assert_eq!(was_replayed, is_replayed, "{second}");
}

#[test]
fn values_alone_are_read() {
    for (from, to) in [
        ("", ""),
        ("c{a=\"1\",b=\"x y\"} 1", "c{a=\"1\",b=\"x y\"} 123456789.25"),
        ("g 0.5", "g NaN"),
        (
            "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 7",
            "h_bucket{le=\"1\"} 8\nh_bucket{le=\"+Inf\"} 8",
        ),
        ("h_sum 1.5\nh_count 7", "h_sum -1\nh_count 8"),
        ("q{quantile=\"0.9\"} +Inf\nq_sum 1", "q{quantile=\"0.9\"} 7\nq_sum 3"),
        ("dropped 4", "dropped 5"),
        ("untyped 3", "untyped 4"),
        ("untyped 3", "untyped 4\n"),
    ] {
        check(Format::Text, PLAIN, &PLAIN.replace(from, to), true);
    }
    for (from, to) in [("", ""), ("1000.5", "2000"), ("2.0", "7.5"), ("h_created 7", "h_created 0")]
    {
        check(Format::OpenMetrics, OPEN, &OPEN.replace(from, to), true);
    }
}

#[test]
fn whatever_else_differs_is_read_anew() {
    for (from, to) in [
        ("c{a=\"1\",b=\"x y\"} 1", "c{a=\"1\",b=\"x z\"} 1"),
        ("c{a=\"1\",b=\"x y\"} 1", "c{a=\"1\",b=\"x y\"} 1 1000"),
        ("c{a=\"1\",b=\"x y\"} 1", "c{a=\"1\",b=\"x y\"} x"),
        ("c{a=\"1\",b=\"x y\"} 1", "c{a=\"1\",b=\"x y\"} 1 "),
        ("c{a=\"1\",b=\"x y\"} 1\n", ""),
        ("c{a=\"1\",b=\"x y\"} 1\n", "c{a=\"1\",b=\"x y\"} 1\nc{a=\"3\"} 1\n"),
        ("C.", "D."),
        ("c counter", "c gauge"),
        ("# nobody's", "# nobody"),
        ("untyped 3", ""),
        ("untyped 3", "untyped 3\nmore 1"),
        ("untyped 3", "untyped 3\n\n"),
        ("h_bucket{le=\"1\"} 3", "h_bucket{le=\"1\"} 8"),
        ("h_bucket{le=\"1\"} 3", "h_bucket{le=\"1\"} 2.5"),
        ("q_count 2", "q_count 2.5"),
        ("dropped 4", "dropped x"),
        ("# TYPE g gauge\ng 0.5\n", "g 0.5\n# TYPE g gauge\n"),
    ] {
        let second = PLAIN.replace(from, to);
        assert_ne!(second, PLAIN, "{from}");
        check(Format::Text, PLAIN, &second, false);
    }
    for (from, to) in [
        ("c_total{a=\"1\"} 1.0", "c_total{a=\"1\"} 1.0 # {} 1"),
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF\nx 1"),
    ] {
        check(Format::OpenMetrics, OPEN, &OPEN.replace(from, to), false);
    }
}

/// Pages whose points do not follow from their lines one after the other.
#[test]
fn pages_that_are_read_anew_each_time() {
    for page in [
        "a 1\na 2\n",
        "a 1 1000\n",
        "# TYPE c counter\nc{a=\"1\"} 1\nc 2\nc{a=\"1\"} 3\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 2\n",
        "# TYPE h histogram\nh_sum 1\nh_sum{a=\"1\"} 1\nh_count 1\nh_bucket{le=\"+Inf\"} 1\n\
         h_count{a=\"1\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 1\n",
        "# TYPE q summary\nq_sum 1\n",
    ] {
        check(Format::Text, page, page, false);
    }
}

/// More points than one block of names has.
#[test]
fn a_large_page() {
    let page = |value: usize| {
        let line =
            |n| format!("requests{{path=\"/v1/models/{n}\",status=\"200\"}} {}\n", n * value);
        "# TYPE requests counter\n".to_owned() + &(0..5000).map(line).collect::<String>()
    };
    check(Format::Text, &page(3), &page(5), true);
    check(Format::Text, &page(3), &(page(5) + "x 1\n"), false);
}
