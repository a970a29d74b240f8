//! Keys for pseudonyms, and that there is one where they are asked for.

use super::super::named::Named;
use super::super::protect::{Action, DetectAction, OnDetect};
use super::super::raw;
use super::super::secret_text::KeyBytes;
use super::super::tree::{Step, steps};
use super::Resolver;
use crate::protect::pseudonym::{KEY_BYTES_MIN, KeyError, Keyring};

impl Resolver<'_> {
    /// The keys, or what is wrong with them, at the file's name where they come from a file.
    pub(super) fn key(&mut self, key: &KeyBytes) -> Option<Keyring> {
        let bytes = key.value.expose();
        let error = match Keyring::parse(bytes) {
            Ok(keyring) => return Some(keyring),
            Err(error) => error,
        };
        let path = steps!["protect", "key"];
        let fields = ["file", "value"].map(|field| [&path[..], &steps![field]].concat());
        let place = fields.iter().find(|field| self.document.find(field).is_some());
        let place = place.map_or(&path[..], Vec::as_slice);
        let (message, hint) = key_problem(&error, is_list(bytes));
        self.at_value(place, message, hint);
        None
    }

    /// Complains of every "hash" where there is no key.
    pub(super) fn hash_without_key(&mut self, raw: &raw::Config) {
        // A key that could not be read was reported, and is meant to be there.
        if self.document.keys(&steps!["protect"]).contains(&"key") {
            return;
        }
        self.hashes(&steps!["protect"], &raw.protect.fields, Some(&raw.protect.on_detect));
        for (name, tier) in &raw.tiers {
            self.hashes(&steps!["tiers", name.as_str()], &tier.fields, tier.on_detect.as_ref());
        }
    }

    fn hashes(&mut self, path: &[Step], fields: &Named<Action>, on_detect: Option<&OnDetect>) {
        let mut paths = Vec::new();
        for (pattern, action) in fields {
            if *action == Action::Hash {
                paths.push([path, &steps!["fields", pattern.as_str()]].concat());
            }
        }
        if let Some(on_detect) = on_detect {
            let place = [path, &steps!["on_detect"]].concat();
            for (detector, action) in &on_detect.by_detector {
                if *action == DetectAction::Hash {
                    paths.push([place.as_slice(), &steps![detector.as_str()]].concat());
                }
            }
            if on_detect.default == DetectAction::Hash {
                paths.push(place);
            }
        }
        for path in paths {
            self.at_value(
                &path,
                "\"hash\" needs a key, and section \"protect\" has none",
                "Add to \"protect\": key: { file: /run/secrets/sidewake-key }. Make the key with \
                 openssl rand -base64 32",
            );
        }
    }

    /// A name, or a path of names with dots between them, in which "*" stands for any part of a
    /// name and "**" for any number of names.
    pub(super) fn patterns(&mut self, path: &[Step], fields: &Named<Action>) {
        for (pattern, _) in fields {
            let parts = || pattern.split('.');
            let is_path =
                parts().all(|part| !part.is_empty() && (part == "**" || !part.contains("**")));
            if !is_path || parts().next_back() == Some("**") || pattern.trim() != pattern {
                let path = [path, &steps!["fields", pattern.as_str()]].concat();
                let hint =
                    "Write names with dots between them: password, features.user_*, **.email.";
                self.at_key(&path, format!("\"{pattern}\" is not the path of a field"), hint);
            }
        }
    }
}

/// Whether the keys surely have ids: what stands before the `=` of a single line may as well be the
/// beginning of a key, and is not shown.
fn is_list(keys: &[u8]) -> bool {
    let lines = keys.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).count() > 1
}

/// What is wrong with the keys, and what to do. Shows nothing of a key.
fn key_problem(error: &KeyError, is_list: bool) -> (String, &'static str) {
    const MAKE: &str = "Make one: openssl rand -base64 32";
    let name = |id: &str| match is_list {
        true => format!("the key \"{id}\""),
        false => "this key".to_owned(),
    };
    match error {
        KeyError::Empty => ("this key is empty".to_owned(), MAKE),
        KeyError::Short { id, n_bytes } => {
            let name = name(id);
            (format!("{name} has {n_bytes} bytes, and {KEY_BYTES_MIN} are needed"), MAKE)
        }
        KeyError::Encoding { id } if is_list => {
            (format!("{} is neither hex nor base64", name(id)), MAKE)
        }
        KeyError::Encoding { .. } => {
            ("what stands behind \"=\" is neither hex nor base64".to_owned(), MAKE)
        }
        KeyError::Twice { id } => (
            format!("the key id \"{id}\" stands there twice"),
            "Give the new key an id of its own, and put it first.",
        ),
        KeyError::Many { n } => (
            format!("there are {n} keys, and more than two cannot be in use"),
            "Keep the current key and the one before it, the current one first.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Env, parse};
    use super::*;
    use std::path::Path;

    /// A world with one file.
    struct KeyFile(Vec<u8>);

    impl Env for KeyFile {
        fn var(&self, _: &str) -> Option<String> {
            None
        }

        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }

    const CONFIG: &str =
        "sources: { in: { type: stdin } }\nprotect: { key: { file: /key }, on_detect: hash }\n";

    /// What pseudonyms take, the config takes, byte by byte; what it refuses, it refuses there.
    #[test]
    fn keys_are_read_as_pseudonyms_read_them() {
        let hex = "00112233445566778899aabbccddeeff".repeat(2);
        let base64 = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
        // Bytes that are no text, with a newline at their end that belongs to them.
        let raw: Vec<u8> = (0xE0..=0xFE).chain([b'\n']).collect();
        for key in [
            hex.clone().into_bytes(),
            base64.as_bytes().to_vec(),
            raw,
            "correct horse battery staple, 32 b".into(),
            format!("k1={base64}").into_bytes(),
            format!("# rotated in May\nk2={base64}\nk1={hex}").into_bytes(),
        ] {
            let want = Keyring::parse(&key).expect("a key");
            let config = parse(CONFIG, "t.yaml", &KeyFile(key)).expect("it is fine");
            let got = config.key.expect("there is a key");
            assert_eq!((got.key_id(), got.rotates()), (want.key_id(), want.rotates()));
        }
    }

    #[test]
    fn a_wrong_key_is_named_and_not_shown() {
        let hex = "00112233445566778899aabbccddeeff".repeat(2);
        for (key, message) in [
            ("hunter2".into(), "this key has 7 bytes, and 32 are needed"),
            ("\n".into(), "\"/key\" is empty"),
            (" ".into(), "this key is empty"),
            ("hunter2=aaaabbbb".into(), "this key has 4 bytes, and 32 are needed"),
            ("hunter2=hunter2!".into(), "what stands behind \"=\" is neither hex nor base64"),
            (format!("k2={hex}\nk1=?unter2"), "the key \"k1\" is neither hex nor base64"),
            (format!("k2={hex}\nk1=abcd"), "the key \"k1\" has 2 bytes, and 32 are needed"),
            (format!("k1={hex}\nk1={hex}"), "the key id \"k1\" stands there twice"),
            (
                format!("c={hex}\nb={hex}\na={hex}"),
                "there are 3 keys, and more than two cannot be in use",
            ),
        ] {
            let problems = parse(CONFIG, "t.yaml", &KeyFile(key.clone().into_bytes()));
            let problems = problems.expect_err(&key);
            let got: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
            assert_eq!(got, [message], "{key:?}");
            assert_eq!(problems[0].position(), (2, 25), "{key:?}");
            assert!(!problems[0].to_string().contains("unter2"), "{}", problems[0]);
        }
    }
}
