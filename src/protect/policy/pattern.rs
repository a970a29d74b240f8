//! One field pattern: a name or a path, with stars.

use super::PolicyError;

/// A compiled pattern; see the module above for the rules.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    /// Folded parts between the dots; one part without dots names a key at any depth.
    parts: Vec<Vec<u8>>,
}

impl Pattern {
    pub(super) fn parse(source: &str) -> Result<Self, PolicyError> {
        let refuse = |why| PolicyError::Pattern { pattern: source.to_owned(), why };
        if source.trim().is_empty() {
            return Err(refuse("it is empty"));
        }
        let parts: Vec<Vec<u8>> = source
            .split('.')
            .map(|part| strip_index(part.as_bytes()).iter().copied().map(fold).collect())
            .collect();
        if parts.iter().any(Vec::is_empty) {
            return Err(refuse("a part between two dots is empty"));
        }
        if parts.iter().any(|part| part.len() > 2 && part.windows(2).any(|two| two == b"**")) {
            return Err(refuse("`**` stands for whole keys and must be alone between dots"));
        }
        if parts.last().is_some_and(|part| part == b"**") {
            return Err(refuse("`**` needs a key behind it"));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the key itself is spelt out.
    pub(super) fn names_key(&self) -> bool {
        self.parts.last().is_some_and(|part| !part.contains(&b'*'))
    }

    /// The more exact pattern has the higher rank.
    pub(super) fn rank(&self) -> (u8, usize) {
        let starred = self.parts.iter().any(|part| part.contains(&b'*'));
        let class = match (starred, self.parts.len() > 1) {
            (false, true) => 3,
            (false, false) => 2,
            (true, true) => 1,
            (true, false) => 0,
        };
        let literal = self.parts.iter().flatten().filter(|byte| **byte != b'*').count();
        (class, literal)
    }

    /// Whether the last key of a matching path could be `key`.
    pub(super) fn ends_with(&self, key: &[u8]) -> bool {
        self.parts.last().is_some_and(|part| matches_part(part, strip_index(key)))
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        if let [name] = &self.parts[..] {
            let last = path.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            return matches_part(name, strip_index(last));
        }
        let keys: Vec<&[u8]> = path.split(|byte| *byte == b'.').map(strip_index).collect();
        matches_path(&self.parts, &keys)
    }
}

/// Lower case, `-` as `_`.
fn fold(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'-' => b'_',
        other => other,
    }
}

/// `inputs[]`, `inputs[0]` → `inputs`.
fn strip_index(mut key: &[u8]) -> &[u8] {
    while let Some(open) = key.strip_suffix(b"]").and_then(|rest| memchr::memrchr(b'[', rest)) {
        if !key[open + 1..key.len() - 1].iter().all(u8::is_ascii_digit) {
            break;
        }
        key = &key[..open];
    }
    key
}

/// Greedy match with one place to come back to: the last `**`.
fn matches_path(parts: &[Vec<u8>], keys: &[&[u8]]) -> bool {
    let (mut p, mut k, mut back) = (0, 0, None);
    while k < keys.len() {
        if parts.get(p).is_some_and(|part| part == b"**") {
            back = Some((p, k));
            p += 1;
        } else if parts.get(p).is_some_and(|part| matches_part(part, keys[k])) {
            p += 1;
            k += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (p, k) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    p == parts.len()
}

/// The same over the bytes of one key.
fn matches_part(part: &[u8], key: &[u8]) -> bool {
    let (mut p, mut k, mut back) = (0, 0, None);
    while k < key.len() {
        if part.get(p) == Some(&b'*') {
            back = Some((p, k));
            p += 1;
        } else if part.get(p) == Some(&fold(key[k])) {
            p += 1;
            k += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (p, k) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    part[p..].iter().all(|byte| *byte == b'*')
}
