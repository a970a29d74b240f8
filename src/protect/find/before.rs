//! What the word before a number in free text says about it: `SSN: 123456789`, `tel 5550199`.

use crate::protect::context::{self, KeyHint};

/// The hint of the one or two words that stand right before `at`, over at most a few marks.
pub(super) fn hint(text: &[u8], at: usize) -> KeyHint {
    let from = at.saturating_sub(32);
    let head = &text[from..at];
    let marks = |byte: &u8| matches!(byte, b' ' | b':' | b'=' | b'#' | b'"' | b'\'' | b'(' | b'+');
    let end = head.len() - head.iter().rev().take_while(|byte| marks(byte)).count();
    let inside = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.');
    let word = |end: usize| {
        let len = head[..end].iter().rev().take_while(|byte| inside(byte)).count();
        end - len
    };
    let mut start = word(end);
    if start > 0 && start < end && head[start - 1] == b' ' {
        start = word(start - 1);
    }
    context::of_key(&head[start..end])
}
