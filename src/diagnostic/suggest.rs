//! "Did you mean": the nearest of some words to one that was written.

/// The word of `known` that `written` was most likely meant to be, if one is near enough.
#[must_use]
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = fold(written);
    // A third of the letters may be wrong: "sinkz" is "sinks", "bq" is not "loki".
    let limit = written.len() / 3;
    let scored = known.into_iter().map(|word| (score(&written, &fold(word)), word));
    scored.min_by_key(|(score, _)| *score).filter(|(score, _)| *score <= limit).map(|(_, w)| w)
}

/// The word of `known` that `written` is a slip of, where any other word may stand as well: at most
/// one edit, two from eight letters on, and a beginning ("model" of "model_name") is none.
#[must_use]
pub fn slip<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = fold(written);
    let limit = if written.len() >= 8 { 2 } else { 1 };
    let scored = known.into_iter().map(|word| (edits(&written, &fold(word)), word));
    scored.filter(|(edits, _)| *edits <= limit).min_by_key(|(edits, _)| *edits).map(|(_, w)| w)
}

/// A hint: the nearest word if there is one, then all of them under `heading` ("Fields").
#[must_use]
pub fn offer<'a>(
    written: &str,
    heading: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let all = list(known.clone());
    match closest(written, known) {
        Some(word) => format!("Did you mean \"{word}\"? {heading}: {all}."),
        None => format!("{heading}: {all}."),
    }
}

/// The words with commas between them.
#[must_use]
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// Spelling differences that are none: case, `-` for `_`.
fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// [`edits`], of which a missing ending is one: "batch" was meant to be "batch_bytes".
fn score(a: &[char], b: &[char]) -> usize {
    if a.len() >= 3 && b.len() >= 3 && (a.starts_with(b) || b.starts_with(a)) {
        return usize::from(a != b);
    }
    edits(a, b)
}

/// Edit distance in which two neighbours swapped count once.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_or_none() {
        let sinks = ["bigquery", "loki", "main"];
        for (written, want) in [
            ("lokii", Some("loki")),
            ("Loki", Some("loki")),
            ("olki", Some("loki")),
            ("mian", Some("main")),
            ("bigquerry", Some("bigquery")),
            ("bq", None),
            ("kafka", None),
            ("", None),
        ] {
            assert_eq!(closest(written, sinks), want, "{written}");
        }
        assert_eq!(closest("batch", ["batch_bytes", "tenant"]), Some("batch_bytes"));
        assert_eq!(closest("x", []), None);
    }

    #[test]
    fn a_slip_is_nearer_than_a_guess() {
        let fields = ["model_name", "confidence", "label"];
        for (written, want) in [
            ("confidance", Some("confidence")),
            ("Confidence", Some("confidence")),
            ("modle_nane", Some("model_name")),
            ("lable", Some("label")),
            ("model", None),
            ("table", None),
        ] {
            assert_eq!(slip(written, fields), want, "{written}");
        }
    }

    #[test]
    fn an_offer_names_all() {
        assert_eq!(offer("abx", "Fields", ["abc"]), "Did you mean \"abc\"? Fields: abc.");
        assert_eq!(offer("zzzz", "Fields", ["bb", "cc"]), "Fields: bb, cc.");
    }
}
