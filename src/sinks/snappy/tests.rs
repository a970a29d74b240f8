//! Whatever goes in comes out of somebody else's decoder; and log lines get small.

use proptest::prelude::*;

use super::*;
use crate::event::json::block::Swar;

/// Both ways of comparing, and the decoder of the crate `snap`.
fn check(compressor: &mut Compressor, block: &[u8]) -> usize {
    let elements = compressor.elements(block).to_vec();
    assert!(compressor.elements_by::<Swar>(block) == elements, "the portable way differs");
    assert!(elements.len() <= block.len() + 3, "{} of {}", elements.len(), block.len());
    let mut whole = Vec::new();
    let mut len = block.len();
    while len >= 0x80 {
        whole.push(len as u8 | 0x80);
        len >>= 7;
    }
    whole.push(len as u8);
    whole.extend_from_slice(&elements);
    let unpacked = snap::raw::Decoder::new().decompress_vec(&whole).expect("sound elements");
    assert!(unpacked == block, "{} bytes came back as others", block.len());
    elements.len()
}

#[test]
fn every_length_round_trips() {
    let mut compressor = Compressor::default();
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..BLOCK_LEN_MAX).map(|_| next()).collect();
    let same = vec![b'a'; BLOCK_LEN_MAX];
    let far = [&noise[..30_000], &same[..5_000], &noise[..30_000]].concat();
    for text in [&noise[..], &same[..], &far[..]] {
        let lens = (0..400).chain([1000, 2047, 2048, 2049, 65_000, 65_534, 65_535, 65_536]);
        for len in lens.filter(|len| *len <= text.len()) {
            check(&mut compressor, &text[..len]);
        }
    }
    assert_eq!(compressor.elements(&[]), b"");
    let farthest = [&noise[..100], &same[..65_300], &noise[..100]].concat();
    check(&mut compressor, &farthest);
}

/// Lines of one shape, values of changing lengths: at most 30 % larger than what `snap` makes of
/// them (on the corpora of the benchmark: a tenth).
#[test]
fn lines_get_small() {
    let mut text = Vec::new();
    let mut n = 7u64;
    while text.len() < BLOCK_LEN_MAX - 400 {
        n = n.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
        let (amount, score) = (n >> 50, f64::from((n >> 40) as u32) / 4e9);
        let line = format!(
            "{{\"event\":\"prediction_completed\",\"request_id\":\"{n:032x}\",\"model_name\":\
             \"fraud_detector\",\"feature_sample\":{{\"amount\":{amount},\"country\":\"DE\"}},\
             \"prediction\":{{\"label\":\"legit\",\"score\":{score:.6}}},\"latency_ms\":{},\
             \"level\":\"info\"}}\x1a\x2crequest_id\x20{n:032x}\n",
            n >> 58,
        );
        text.extend_from_slice(line.as_bytes());
    }
    let ours = check(&mut Compressor::default(), &text);
    let theirs = snap::raw::Encoder::new().compress_vec(&text).expect("packs").len();
    assert!(ours * 100 <= theirs * 130, "{ours} bytes, snap: {theirs}");
    assert!(ours * 4 < text.len(), "{ours} of {}", text.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Pieces of few kinds, joined: repeats near and far, overlapping, glued, one byte longer.
    #[test]
    fn whatever_goes_in_comes_out(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..8),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4), 0..900),
    ) {
        let mut block = Vec::new();
        for (index, noise) in order {
            block.extend_from_slice(index.get::<Vec<u8>>(&pieces));
            block.extend(std::iter::repeat_n(noise, usize::from(noise)));
        }
        block.truncate(BLOCK_LEN_MAX);
        check(&mut Compressor::default(), &block);
    }
}
