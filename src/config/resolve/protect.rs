//! Keys for pseudonyms, and that there is one where they are asked for.

use super::super::named::Named;
use super::super::protect::{Action, DetectAction, OnDetect};
use super::super::raw;
use super::super::secret_text::Key;
use super::super::tree::{Step, steps};
use super::Resolver;

impl Resolver<'_> {
    /// The chain of keys, the current one first.
    pub(super) fn keys(&mut self, key: Option<&Key>) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        let mut path = steps!["protect", "key"].to_vec();
        let mut next = key;
        while let Some(key) = next {
            next = key.previous.as_deref();
            self.key(&path, key);
            if key.id.is_some() && keys.iter().any(|known| known.id == key.id) {
                let id = [path.as_slice(), &steps!["id"]].concat();
                self.at_value(
                    &id,
                    "two keys have the same id",
                    "Give each key its own id; pseudonyms say by it which key made them.",
                );
            }
            keys.push(Key { previous: None, ..key.clone() });
            path.push(Step::from("previous"));
        }
        keys
    }

    fn key(&mut self, path: &[Step], key: &Key) {
        let len = key.value.expose().len();
        if len < Key::LEN_MIN {
            let message = format!("this key has {len} bytes, and {} are needed", Key::LEN_MIN);
            let hint = "Make one: openssl rand -base64 32";
            let fields = ["file", "value"].map(|field| [path, &steps![field]].concat());
            let place = fields.iter().find(|field| self.document.find(field).is_some());
            self.at_value(place.map_or(path, Vec::as_slice), message, hint);
        }
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if let Some(id) = &key.id
            && (id.is_empty() || id.len() > 16 || !id.bytes().all(valid))
        {
            let id_path = [path, &steps!["id"]].concat();
            let hint = "Use 1 to 16 letters, digits, \"-\" or \"_\": \"2026-11\".";
            self.at_value(&id_path, format!("\"{id}\" cannot be the id of a key"), hint);
        }
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

    /// Patterns are paths of names with dots between them, in which "*" stands for anything.
    pub(super) fn patterns(&mut self, path: &[Step], fields: &Named<Action>) {
        for (pattern, _) in fields {
            let empty_part = pattern.split('.').any(str::is_empty);
            if empty_part || pattern.trim() != pattern {
                let path = [path, &steps!["fields", pattern.as_str()]].concat();
                let hint =
                    "Write names with dots between them: password, features.user_*, *.email.";
                self.at_key(&path, format!("\"{pattern}\" is not the path of a field"), hint);
            }
        }
    }
}
