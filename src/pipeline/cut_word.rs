//! Where the last word of a line that was cut at its limit begins: the word that may be half a
//! secret.
//!
//! Numbers and account numbers are written in groups, so that words before it which hold a digit
//! belong to it. Bounded, so that a cut line loses hundreds of bytes at most.

/// Longest word that is looked at; what is longer (base64) was searched up to its cut.
const WORD_MAX: usize = 256;
/// How far groups of digits are followed.
const GROUPS_MAX: usize = 48;

/// The first byte of it; the line's end where the line does not end within a word.
pub(super) fn start(line: &[u8]) -> usize {
    let is_inside = |byte: &&u8| !ends(**byte);
    let len = line.iter().rev().take(WORD_MAX).take_while(is_inside).count();
    let mut start = line.len() - len;
    let floor = start.saturating_sub(GROUPS_MAX);
    let mut is_grouped = len == 0 || is_group(&line[start..]);
    while is_grouped && start > floor {
        let head = &line[floor..start];
        let gap = head.iter().rev().take_while(|byte| b" ()-".contains(byte)).count();
        let head = &head[..head.len() - gap];
        let word = head.iter().rev().take_while(is_inside).count();
        is_grouped = gap > 0 && is_group(&head[head.len() - word..]);
        if is_grouped {
            start -= gap + word;
        }
    }
    // A character that the bound would cut belongs to the word.
    while start > 0 && line.get(start).is_some_and(|byte| byte & 0xC0 == 0x80) {
        start -= 1;
    }
    start
}

/// `4111`, `WEST`.
fn is_group(word: &[u8]) -> bool {
    let is_upper = !word.is_empty() && word.iter().all(u8::is_ascii_uppercase);
    is_upper || word.iter().any(u8::is_ascii_digit)
}

fn ends(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`,;<>|()[]{}&".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn the_word_that_was_cut() {
        for (line, kept) in [
            ("mail bob@exam", "mail "),
            ("card 4111 1111 1111 11", "card "),
            ("card 4111-1111-11", "card "),
            ("card 4111 1111 ", "card "),
            ("call +1 (415) 555-26", "call "),
            ("iban GB82 WEST 1234 56", "iban "),
            ("{\"password\":\"hunt", "{\"password\":\""),
            ("k=v&token=abc", "k=v&"),
            ("a b, ", "a b, "),
            ("", ""),
        ] {
            assert_eq!(&line[..start(line.as_bytes())], kept, "{line}");
        }
        let long = "é".repeat(300);
        assert_eq!(start(long.as_bytes()), 600 - 256);
    }
}
