//! The numbers that are elements of an array: the walk makes no members of them.
//!
//! They are looked for only under keys that say that a number may be more (`card_numbers`), so that
//! vectors cost nothing. Those of inner arrays are those arrays' own.

/// The spans of the numbers that are elements of the array whose token is `line[start..end]`, in
/// their order.
pub(super) fn elements(
    line: &[u8],
    (start, end): (u32, u32),
) -> impl Iterator<Item = (u32, u32)> + '_ {
    let (mut at, end) = (start as usize + 1, (end as usize).min(line.len()));
    let mut depth = 0u32;
    std::iter::from_fn(move || {
        while at < end {
            let first = line[at];
            let from = at;
            at += 1;
            match first {
                b'"' => at += string_len(&line[at..end]),
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'-' | b'0'..=b'9' => {
                    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                    at += line[at..end].iter().take_while(inside).count();
                    if depth == 0 {
                        return Some((from as u32, at as u32));
                    }
                }
                _ => {}
            }
        }
        None
    })
}

/// Bytes to behind the closing quote of the string whose inside begins `text`.
fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_elements_only() {
        for (array, expected) in [
            ("[]", &[][..]),
            ("[1]", &["1"]),
            (r#"[-1.5e+3, "7", "a\"8", {"b":9,"c":[10]}, [11], true ,12]"#, &["-1.5e+3", "12"]),
            ("[1", &["1"]),
            ("[\"1", &[]),
        ] {
            let line = format!("x{array}");
            let found = elements(line.as_bytes(), (1, line.len() as u32));
            let found: Vec<&str> = found.map(|(s, e)| &line[s as usize..e as usize]).collect();
            assert_eq!(found, expected, "{array}");
        }
    }
}
