//! The protobuf format: what it becomes, and what is none. Written by the field numbers of
//! `metrics.proto`, as proto2 writes them.

use super::super::Treatment;
use super::super::scrape::tests::told;
use super::super::{Format, Refused, requests};
use super::*;
use crate::event::otlp::wire::{
    push_bytes, push_fixed64, push_message, push_number, push_varint, zigzag,
};

const NOW: i64 = 1_700_000_000_000_000_000;

type Write<'w> = &'w dyn Fn(&mut Vec<u8>);

fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    push_message(out, 1, |out| {
        push_bytes(out, 1, name.as_bytes());
        push_bytes(out, 2, value.as_bytes());
    });
}

fn double(out: &mut Vec<u8>, number: u32, value: f64) {
    push_fixed64(out, number, value.to_bits());
}

fn timestamp(out: &mut Vec<u8>, number: u32, seconds: u64) {
    push_message(out, number, |out| {
        push_number(out, 1, seconds);
        push_number(out, 2, 500_000_000);
    });
}

/// A family of one metric: its type, and the field and content of its value.
fn family(family_type: u64, field: u32, value: Write<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push_bytes(&mut out, 1, b"m");
    push_bytes(&mut out, 2, b"Help.");
    push_number(&mut out, 3, family_type);
    push_message(&mut out, 4, |out| {
        label(out, "a", "b");
        push_message(out, field, value);
    });
    push_bytes(&mut out, 5, b"s");
    delimited(&out)
}

fn delimited(family: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(&mut out, family.len() as u64);
    out.extend_from_slice(family);
    out
}

fn written(body: &[u8]) -> Result<Vec<String>, Refused> {
    let treatment = Treatment { honor_timestamps: true, ..Treatment::default() };
    let told = told(&requests(body, Format::Protobuf, &treatment, NOW)?);
    let lines = told.iter().flat_map(|(key, points)| {
        points.iter().map(move |point| format!("{} {point}", key.trim()))
    });
    Ok(lines.collect())
}

fn exemplar(out: &mut Vec<u8>, number: u32) {
    push_message(out, number, |out| {
        label(out, "k", "v");
        double(out, 2, 0.5);
        timestamp(out, 3, 1_700_000_000);
    });
}

#[test]
fn types() {
    for (body, lines) in [
        (
            family(0, 3, &|out| {
                double(out, 1, 5.0);
                exemplar(out, 2);
                timestamp(out, 3, 1_699_999_999);
            }),
            &[
                "m counter Help.|s {a=b} 5.0 #/ k=v Some(AsDouble(0.5)) 500000000 since -500000000 at 0",
            ][..],
        ),
        (family(1, 2, &|out| double(out, 1, -1.5)), &["m gauge Help.|s {a=b} -1.5 since - at 0"]),
        (family(3, 5, &|out| double(out, 1, 7.0)), &["m unknown Help.|s {a=b} 7.0 since - at 0"]),
        // Nothing said is zero.
        (family(1, 2, &|_| {}), &["m gauge Help.|s {a=b} 0.0 since - at 0"]),
        (
            family(2, 4, &|out| {
                push_number(out, 1, 4);
                double(out, 2, 2.5);
                push_message(out, 3, |out| {
                    double(out, 1, 0.5);
                    double(out, 2, 0.6);
                });
                timestamp(out, 4, 1_699_999_999);
            }),
            &["m summary Help.|s {a=b} 4 2.5 [(0.5, 0.6)] since -500000000 at 0"],
        ),
        (
            family(4, 7, &|out| {
                push_number(out, 1, 4);
                double(out, 2, 2.5);
                push_message(out, 3, |out| {
                    push_number(out, 1, 3);
                    double(out, 2, 1.0);
                    exemplar(out, 3);
                });
                timestamp(out, 15, 1_699_999_999);
            }),
            &[
                "m histogram Help.|s {a=b} 4 Some(2.5) [1.0] [3, 1] #/ k=v Some(AsDouble(0.5)) 500000000 since -500000000 at 0",
            ],
        ),
        (
            family(5, 7, &|out| {
                push_number(out, 1, 4);
                double(out, 2, 2.5);
            }),
            &[
                "m_bucket unknown Help.|s {a=b,le=+Inf} 4.0 since - at 0",
                "m_gcount unknown Help.|s {a=b} 4.0 since - at 0",
                "m_gsum unknown Help.|s {a=b} 2.5 since - at 0",
            ],
        ),
    ] {
        assert_eq!(
            written(&body).as_deref(),
            Ok(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..])
        );
    }
}

/// Numbers of a list one by one and packed, and a classic histogram beside it.
#[test]
fn native_histograms() {
    for is_packed in [false, true] {
        let body = family(4, 7, &|out| {
            push_number(out, 1, 12);
            double(out, 2, 2.5);
            push_number(out, 5, zigzag(-1));
            double(out, 6, 0.001);
            push_number(out, 7, 2);
            push_message(out, 9, |out| push_number(out, 2, 1));
            for (number, deltas) in [(10, &[1i64][..]), (13, &[4, -3, 3])] {
                match is_packed {
                    true => push_message(out, number, |out| {
                        deltas.iter().for_each(|delta| push_varint(out, zigzag(*delta)));
                    }),
                    false => {
                        deltas.iter().for_each(|delta| push_number(out, number, zigzag(*delta)));
                    }
                }
            }
            for (offset, len) in [(-2, 2), (1, 1)] {
                push_message(out, 12, |out| {
                    push_number(out, 1, zigzag(offset));
                    push_number(out, 2, len);
                });
            }
            push_message(out, 3, |out| {
                push_number(out, 1, 3);
                double(out, 2, 1.0);
            });
            timestamp(out, 15, 1_699_999_999);
            exemplar(out, 16);
        });
        let line = "m histogram Help.|s {a=b} 12 Some(2.5) 2^-1 (2, 0.001) (Some((-3, [4, 1, 0, 4])), Some((-1, [1]))) \
                    #/ k=v Some(AsDouble(0.5)) 500000000 since -500000000 at 0";
        assert_eq!(written(&body), Ok(vec![line.to_owned()]));
    }
    let broken = family(4, 7, &|out| push_message(out, 12, |out| push_number(out, 2, 9)));
    let error = written(&broken).expect_err("spans without buckets").to_string();
    assert_eq!(error, "m: spans and buckets of a native histogram differ in number");
    let other = family(4, 7, &|out| {
        push_number(out, 5, zigzag(-53));
        push_number(out, 7, 1);
    });
    assert!(written(&other).is_err());
    // With fractions it is told by its buckets.
    let float = family(4, 7, &|out| {
        double(out, 4, 1.5);
        double(out, 8, 1.5);
        double(out, 6, 0.1);
    });
    assert_eq!(written(&float).expect("taken").len(), 3);
}

#[test]
fn what_is_none() {
    let sound = family(1, 2, &|out| double(out, 1, 1.0));
    assert_eq!(written(b"").as_deref(), Ok(&[][..]));
    assert_eq!(
        written(&[&sound[..], &delimited(&family_named(b"n"))].concat()).expect("two").len(),
        2
    );
    for at in 1..sound.len() {
        assert!(written(&sound[..at]).is_err(), "cut at {at}");
    }
    let metric = |write: Write<'_>| {
        let mut out = Vec::new();
        push_bytes(&mut out, 1, b"m");
        push_message(&mut out, 4, write);
        delimited(&out)
    };
    let value = |out: &mut Vec<u8>| push_message(out, 2, |out| double(out, 1, 1.0));
    for (what, body) in [
        ("no name", delimited(&family_named(b""))),
        ("no value", metric(&|out| label(out, "a", "b"))),
        (
            "a label twice",
            metric(&|out| {
                label(out, "a", "b");
                label(out, "a", "c");
                value(out);
            }),
        ),
        (
            "a label without a name",
            metric(&|out| {
                label(out, "", "b");
                value(out);
            }),
        ),
        (
            "a name as a label",
            metric(&|out| {
                label(out, "__name__", "b");
                value(out);
            }),
        ),
        (
            "no UTF-8",
            metric(&|out| {
                push_message(out, 1, |out| push_bytes(out, 1, b"\xff"));
                value(out);
            }),
        ),
        (
            "a time before all times",
            metric(&|out| {
                push_number(out, 6, u64::MAX);
                value(out);
            }),
        ),
    ] {
        assert!(written(&body).is_err(), "{what}");
    }
}

fn family_named(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_bytes(&mut out, 1, name);
    push_number(&mut out, 3, 1);
    push_message(&mut out, 4, |out| push_message(out, 2, |out| double(out, 1, 1.0)));
    out
}

#[test]
fn bounds_as_openmetrics_writes_them() {
    for (bound, text) in
        [(1.0, "1.0"), (0.005, "0.005"), (f64::INFINITY, "+Inf"), (1e21, "1e21"), (f64::NAN, "NaN")]
    {
        assert_eq!(float(bound), text);
    }
}

proptest::proptest! {
    #[test]
    fn anything_is_read_or_refused(
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)
    ) {
        let _ = written(&body);
        let _ = written(&delimited(&body));
    }
}
