//! Where a batch came from: the source, the stream in it, and the attributes all its events share.
//!
//! Built once per file, pipe or connection and shared by `Arc`; never per event. It is written into
//! every frame (a few hundred bytes), so that a frame explains itself after a restart under another
//! config. Deliberately holds no payload: everything here comes from config, the environment and
//! file names, or from a resource that `pipeline` protects.

/// The shared origin of a batch's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The source's name in the config (`model`, `files`).
    pub source: String,
    /// `stdout`, `stderr`, or empty where the notion does not apply.
    pub stream: String,
    /// Resource attributes under OpenTelemetry names (`service.name`, `k8s.pod.name`,
    /// `log.file.path`), sorted by name.
    pub attributes: Vec<(String, String)>,
    /// They came with the events, and so may hold what must not stay; never stored, for what is
    /// stored was protected.
    pub is_received: bool,
}

impl Origin {
    /// The attribute `name`, if the origin has it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Appends the stored form: pairs of length-prefixed (u16 LE) strings, source and stream first
    /// under the keys `""` and `"stream"`. Longer strings are cut at a character border.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head = [("", self.source.as_str()), ("stream", self.stream.as_str())];
        let rest = self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for text in head.into_iter().chain(rest).flat_map(|(key, value)| [key, value]) {
            let mut len = text.len().min(usize::from(u16::MAX));
            while !text.is_char_boundary(len) {
                len -= 1;
            }
            out.extend_from_slice(&(len as u16).to_le_bytes());
            out.extend_from_slice(&text.as_bytes()[..len]);
        }
    }

    /// Reads what [`Self::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut texts = Vec::new();
        while !bytes.is_empty() {
            let (len, rest) = bytes.split_first_chunk::<2>()?;
            let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            texts.push(std::str::from_utf8(text).ok()?.to_owned());
            bytes = rest;
        }
        let mut pairs = texts.chunks_exact_mut(2).map(|pair| match pair {
            [key, value] => (std::mem::take(key), std::mem::take(value)),
            _ => unreachable!("BUG: chunks_exact gave another size"),
        });
        let (_, source) = pairs.next()?;
        let (_, stream) = pairs.next()?;
        Some(Self { source, stream, attributes: pairs.collect(), is_received: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusal() {
        let origin = Origin {
            source: "model".into(),
            stream: "stdout".into(),
            attributes: vec![("service.name".into(), "fraud-detector".into())],
            is_received: false,
        };
        let mut bytes = Vec::new();
        origin.encode(&mut bytes);
        assert_eq!(Origin::decode(&bytes), Some(origin));
        for cut in 1..bytes.len() {
            // Every cut is refused or reads as fewer whole pairs; none panics.
            let _ = Origin::decode(&bytes[..cut]);
        }
        assert_eq!(Origin::decode(&[255, 255, 0]), None);
    }
}
