//! Keys for pseudonyms, and that there is one where they are asked for.

use super::super::named::Named;
use super::super::protect::{Action, DetectAction, OnDetect};
use super::super::raw;
use super::super::secret_text::SecretText;
use super::super::tree::{Step, steps};
use super::Resolver;

/// HMAC-SHA-256 gains nothing from longer keys, and loses from shorter ones (RFC 2104, section 3).
const KEY_BYTES_MIN: usize = 32;

impl Resolver<'_> {
    /// A shorter key is guessed sooner than what it protects.
    pub(super) fn key(&mut self, key: Option<&SecretText>) {
        let Some(key) = key else { return };
        let len = key.value.expose().trim().len();
        if len < KEY_BYTES_MIN {
            let message = format!("this key has {len} bytes, and {KEY_BYTES_MIN} are needed");
            let path = steps!["protect", "key"];
            let fields = ["file", "value"].map(|field| [&path[..], &steps![field]].concat());
            let place = fields.iter().find(|field| self.document.find(field).is_some());
            let place = place.map_or(&path[..], Vec::as_slice);
            self.at_value(place, message, "Make one: openssl rand -base64 32");
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
