//! Patterns of `~`: a plain text is searched for; with `*` (any text) or `?` (one byte) in it the
//! pattern must match the whole value, as in a shell.

/// Whether the pattern has no wildcard.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    memchr::memchr2(b'*', b'?', pattern).is_none()
}

/// Matches over any cheaply cloned bytes. Goes back to the last star only, so the cost is at most
/// pattern times text and never exponential.
pub(super) fn matches(pattern: &[u8], text: impl Iterator<Item = u8> + Clone) -> bool {
    let searched = is_plain(pattern);
    let mut text = text;
    let mut at = 0;
    // Where to go on behind the last star, and how much of the text it has swallowed so far.
    let mut star = searched.then(|| (0, text.clone()));
    loop {
        if searched && at == pattern.len() {
            return true;
        }
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, text.clone()));
            continue;
        }
        let mut next = text.clone();
        match (pattern.get(at), next.next()) {
            (None, None) => return true,
            (Some(wanted), Some(byte)) if byte == *wanted || *wanted == b'?' => {
                at += 1;
                text = next;
                continue;
            }
            // The text is at its end and the pattern is not: more swallowing cannot help.
            (Some(_), None) => return false,
            _ => {}
        }
        let Some((resume, swallowed)) = &mut star else { return false };
        if swallowed.next().is_none() {
            return false;
        }
        at = *resume;
        text = swallowed.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("memory", "CUDA out of memory.", true),
            ("", "x", true),
            ("memory", "memor", false),
            ("aab", "aaab", true),
            ("CUDA*memory", "CUDA out of memory", true),
            ("CUDA*memory", "x CUDA out of memory", false),
            ("*CUDA*memory*", "x CUDA out of memory.", true),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a*b*c", "a-b-b", false),
            ("*a", "aaab", false),
        ] {
            let got = matches(pattern.as_bytes(), text.bytes());
            assert_eq!(got, expected, "{pattern} on {text}");
        }
    }

    /// The textbook definition.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
            ([b'?', p @ ..], [_, t @ ..]) => slow(p, t),
            ([a, p @ ..], [b, t @ ..]) => a == b && slow(p, t),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,12}") {
            let expected = if is_plain(pattern.as_bytes()) {
                text.contains(&pattern)
            } else {
                slow(pattern.as_bytes(), text.as_bytes())
            };
            prop_assert_eq!(matches(pattern.as_bytes(), text.bytes()), expected);
        }
    }
}
