//! What credentials begin with: the first bytes of vendors' keys, of web tokens, and of `Bearer`
//! and `Basic`.
//!
//! Owns no lengths and no alphabets: those are the validator's (`protect::find::token`), of whose
//! prefixes these are beginnings.

use super::super::scan::byte;

/// Whether a credential may begin at `at`. Four bytes from there on are the value's.
#[inline(always)]
pub(super) fn begins_like_key(bytes: &[u8], at: usize) -> bool {
    SECOND[usize::from(byte(bytes, at))] & (1 << (byte(bytes, at + 1) & 31)) != 0
        && is_head([0, 1, 2, 3].map(|i| byte(bytes, at + i)))
}

/// The first two bytes of all of them.
const PAIRS: [&[u8; 2]; 39] = [
    b"AK", b"AS", b"AB", b"AC", b"AI", b"AT", b"AG", b"EA", b"GO", b"NR", b"PM", b"SG", b"dc",
    b"do", b"da", b"gh", b"gi", b"gl", b"gs", b"ho", b"hf", b"hv", b"li", b"ls", b"np", b"nv",
    b"py", b"pp", b"pc", b"rk", b"r8", b"sk", b"sh", b"sq", b"sn", b"tv", b"wh", b"xo", b"xa",
];

/// For each first byte the low five bits of the second bytes that may follow, as a set.
const SECOND: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < PAIRS.len() {
        table[PAIRS[i][0] as usize] |= 1 << (PAIRS[i][1] & 31);
        i += 1;
    }
    table[b'y' as usize] |= 1 << (b'a' & 31);
    table[b'e' as usize] |= 1 << (b'y' & 31);
    // Both cases of a letter share their low five bits.
    table[b'b' as usize] |= 1 << (b'e' & 31) | 1 << (b'a' & 31);
    table[b'B' as usize] |= 1 << (b'e' & 31) | 1 << (b'a' & 31);
    table
};

/// Whether these are the first four bytes of one of them.
fn is_head(four: [u8; 4]) -> bool {
    match &four {
        b"AKIA" | b"ASIA" | b"ABIA" | b"ACCA" | b"AIza" | b"ATAT" | b"AGE-" | b"EAAC" | b"GOCS"
        | b"NRAK" | b"PMAK" | b"dop_" | b"dckr" | b"dapi" | b"ghp_" | b"gho_" | b"ghu_"
        | b"ghs_" | b"ghr_" | b"gith" | b"glpa" | b"gldt" | b"glrt" | b"glsa" | b"gsk_"
        | b"hook" | b"hvs." | b"hvb." | b"lin_" | b"lsv2" | b"npm_" | b"nvap" | b"pypi"
        | b"pplx" | b"pcsk" | b"rk_l" | b"rk_t" | b"sk_l" | b"sk_t" | b"shpa" | b"shps"
        | b"sq0a" | b"sq0c" | b"sntr" | b"tvly" | b"whse" | b"xapp" | b"xai-" | b"ya29" => true,
        [b'S', b'G', b'.', _]
        | [b'e', b'y', b'J', _]
        | [b'h', b'f', b'_', _]
        | [b'r', b'8', b'_', _]
        | [b's', b'k', b'-', _]
        | [b'x', b'o', b'x', _] => true,
        _ => four.eq_ignore_ascii_case(b"bear") || four.eq_ignore_ascii_case(b"basi"),
    }
}
