//! Base64 words inside of text, both alphabets, padded or not.
//!
//! Text that was encoded is known by its first bytes: they are printable. Words, ids and hashes
//! decode to noise and are given up after a few characters.

use super::BASE64_MIN;

/// Places inside of one word at which text may begin (`data_Ym9i…`, `/v1/Ym9i…`).
const STARTS_MAX: usize = 8;
/// Bytes that must be printable.
const HEAD: usize = 9;

/// Calls `take` with the range and the decoded bytes of each word of `text` that holds text.
pub(super) fn words(text: &[u8], blob: &mut Vec<u8>, mut take: impl FnMut((usize, usize), &[u8])) {
    let mut i = 0;
    while i < text.len() {
        let len = text[i..].iter().take_while(|byte| sextet(**byte).is_some()).count();
        if len >= BASE64_MIN
            && let Some(start) = text_start(&text[i..i + len]).map(|n| i + n)
        {
            let padding = text[i + len..].iter().take(2).take_while(|b| **b == b'=').count();
            blob.clear();
            blob.resize(len / 4 * 3 + 3, 0);
            let n = decode(&text[start..i + len], blob);
            take((start, i + len + padding), &blob[..n]);
        }
        i += len.max(1);
    }
}

/// Where in a word encoded text begins: at its start or behind a mark.
fn text_start(word: &[u8]) -> Option<usize> {
    let marks = (1..word.len()).filter(|i| !word[i - 1].is_ascii_alphanumeric());
    let starts = std::iter::once(0).chain(marks.take(STARTS_MAX));
    starts.take_while(|i| i + BASE64_MIN <= word.len()).find(|i| is_text(&word[*i..]))
}

fn is_text(word: &[u8]) -> bool {
    let mut head = [0u8; HEAD];
    let n = decode(&word[..HEAD / 3 * 4], &mut head);
    let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E);
    if head[..n].iter().all(printable) {
        return true;
    }
    // Text of other scripts: valid UTF-8 up to the cut, and no control characters.
    let whole = match std::str::from_utf8(&head[..n]) {
        Ok(_) => n,
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return false,
    };
    whole > 0 && head[..whole].iter().all(|byte| printable(byte) || *byte >= 0x80)
}

/// Decodes characters of either alphabet up to the first other byte; returns the bytes written.
/// Bits that fill no byte are dropped, and so is what does not fit into `out`.
pub(in crate::protect) fn decode(text: &[u8], out: &mut [u8]) -> usize {
    let (mut n, mut bits, mut n_bits) = (0, 0u32, 0u32);
    for value in text.iter().map_while(|byte| sextet(*byte)) {
        bits = (bits << 6) | u32::from(value);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            let Some(slot) = out.get_mut(n) else {
                return n;
            };
            *slot = (bits >> n_bits) as u8;
            bits &= (1 << n_bits) - 1;
            n += 1;
        }
    }
    n
}

fn sextet(byte: u8) -> Option<u8> {
    match SEXTETS[usize::from(byte)] {
        NONE => None,
        value => Some(value),
    }
}

const NONE: u8 = 255;

/// RFC 4648 sections 4 and 5 together.
const SEXTETS: [u8; 256] = {
    let mut table = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};
