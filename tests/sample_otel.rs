//! OpenTelemetry's own numbers: thresholds, `th` and `rv` texts, consistency.

use proptest::prelude::*;
use sidewake::event::record::Kind;
use sidewake::pipeline::sample::{Randomness, Sampler, Threshold};

/// From the tests of the OpenTelemetry Go SDK (`TraceIDRatioBased`) and the specification.
const VECTORS: &[(f64, &str)] = &[
    (1.0, "0"),
    (0.5, "8"),
    (0.25, "c"),
    (1.0 / 3.0, "aaab"),
    (2.0 / 3.0, "5555"),
    (0.1, "e666"),
    (1.0 / 256.0, "ff"),
    (1.0 / 65_536.0, "ffff"),
    (1.0 / 1_048_576.0, "fffff"),
    (0.01, "fd70a"),
    (0.001, "ffbe77"),
    (1e-4, "fff9724"),
    (1e-5, "ffff583a"),
    (1e-6, "ffffef39"),
    (1e-7, "fffffe528"),
    (1e-8, "ffffffd50d"),
    (1e-9, "fffffffbb48"),
    (1e-10, "ffffffff920d"),
    (1e-11, "fffffffff5014"),
    (1e-12, "fffffffffee68"),
    (1e-13, "ffffffffffe3da"),
    (1e-14, "fffffffffffd2f"),
    (2.220446049250313e-16, "fffffffffffff"),
];

#[test]
fn thresholds_are_those_of_the_sdks() {
    for (probability, th) in VECTORS {
        let threshold = Threshold::from_probability(*probability).expect(th);
        assert_eq!(threshold.to_string(), *th, "{probability}");
        assert_eq!(Threshold::parse(th.as_bytes()), Some(threshold), "{th}");
    }
    for probability in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY, 1e-17] {
        assert_eq!(Threshold::from_probability(probability), None, "{probability}");
    }
}

#[test]
fn texts() {
    assert_eq!(Threshold::parse(b"c").map(Threshold::bits), Some(0xc0_0000_0000_0000));
    assert_eq!(Threshold::parse(b"fd70a4").map(Threshold::bits), Some(0xfd_70a4_0000_0000));
    for broken in ["", "C", "g", "0x8", "123456789012345", " 8"] {
        assert_eq!(Threshold::parse(broken.as_bytes()), None, "{broken}");
    }
    let rv = Randomness::parse(b"6e6d1a75832a2f").expect("an rv");
    assert_eq!(rv.bits(), 0x6e_6d1a_7583_2a2f);
    assert_eq!(rv.to_string(), "6e6d1a75832a2f");
    for broken in ["", "6e6d1a75832a2", "6E6D1A75832A2F", "6e6d1a75832a2fa", "+e6d1a75832a2f"] {
        assert_eq!(Randomness::parse(broken.as_bytes()), None, "{broken}");
    }
    let state = b"vendor=th:1, ot=rv:6e6d1a75832a2f;th:8;x:y,other=1";
    assert_eq!(Threshold::of_tracestate(state), Threshold::parse(b"8"));
    assert_eq!(Randomness::of_tracestate(state), Some(rv));
    assert_eq!(Threshold::of_tracestate(b"vendor=1"), None);
}

/// The randomness of a request, whichever of its signals asks.
#[test]
fn sources_of_randomness() {
    let hex = b"e438b82ad361ac2d5481bcfc494074d2";
    let low = Randomness::new(0x81_bcfc_4940_74d2);
    let parent = b"00-e438b82ad361ac2d5481bcfc494074d2-73bd1ee54a94d8fb-01";
    let decimal = 0x5481_bcfc_4940_74d2_u64.to_string();
    for trace_id in [&hex[..], parent, decimal.as_bytes()] {
        assert_eq!(Randomness::of_event(None, Some(trace_id), Some(b"r"), (1, 2)), low);
    }
    let rv = Randomness::new(7);
    assert_eq!(Randomness::of_event(Some(rv), Some(hex), Some(b"r"), (1, 2)), rv);
    let of_request = Randomness::of_request_id(b"abc-123");
    assert_eq!(Randomness::of_event(None, Some(b"0"), Some(b"abc-123"), (1, 2)), of_request);
    // A change of this number would sample other requests than before.
    assert_eq!(of_request.to_string(), "d9dd05ce4339af");
    let of_position = Randomness::of_position(1, 2);
    assert_eq!(Randomness::of_event(None, None, Some(b""), (1, 2)), of_position);
    assert_ne!(of_position, Randomness::of_position(2, 1));
}

proptest! {
    /// What is kept at a rate is kept at every higher one, in every replica.
    #[test]
    fn rates_nest(low in 1e-6_f64..1.0, high in 1e-6_f64..1.0, id in "[a-z0-9-]{1,40}") {
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        let decide = |rate: f64| {
            let mut replica = Sampler::default();
            let threshold = Threshold::from_probability(rate).expect("a rate");
            replica.set_rate(Kind::Application, threshold);
            let randomness = Randomness::of_request_id(id.as_bytes());
            replica.decide(Kind::Application, randomness, None, None)
        };
        prop_assert_eq!(decide(low), decide(low));
        prop_assert!(!decide(low).keep || decide(high).keep);
    }

    /// A chain of samplers keeps what its strictest one keeps, and reports its probability.
    #[test]
    fn thresholds_are_only_raised(
        first in 0.001_f64..1.0,
        second in 0.001_f64..1.0,
        r in any::<u64>(),
    ) {
        let randomness = Randomness::new(r);
        let upstream = Threshold::from_probability(first).expect("a rate");
        let own = Threshold::from_probability(second).expect("a rate");
        prop_assume!(upstream.keeps(randomness));
        let mut sampler = Sampler::default();
        sampler.set_rate(Kind::Model, own);
        let decision = sampler.decide(Kind::Model, randomness, Some(upstream), None);
        prop_assert_eq!(decision.threshold, upstream.max(own));
        prop_assert_eq!(decision.keep, upstream.max(own).keeps(randomness));
    }

    #[test]
    fn texts_round_trip(bits in 0_u64..1 << 56) {
        let threshold = Threshold::from_bits(bits);
        prop_assert_eq!(Threshold::parse(threshold.to_string().as_bytes()), Some(threshold));
        let randomness = Randomness::new(bits);
        prop_assert_eq!(Randomness::parse(randomness.to_string().as_bytes()), Some(randomness));
    }

    /// The rounding stays within the promised 0.013 % of the probability, and never reaches zero.
    #[test]
    fn rounding_is_small(exponent in -12.0_f64..0.0) {
        let probability = 10_f64.powf(exponent);
        let back = Threshold::from_probability(probability).expect("in range").probability();
        let error = (back / probability - 1.0).abs();
        prop_assert!(back > 0.0 && error < 1.3e-4, "{probability} {back}");
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Threshold::of_tracestate(&text);
        let _ = Randomness::of_tracestate(&text);
        let _ = Randomness::of_event(None, Some(&text), None, (0, 0));
    }
}
