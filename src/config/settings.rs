//! The static settings: all keys of a configuration except the table, the plans of rollouts and their
//! hooks. A running process cannot reload them.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest as _, Sha256};

use super::Config;

/// The top-level keys of the static settings, each with a digest of its value: 16 hexadecimal digits.
///
/// Two configurations that were read from the same text have the same digests; the values cannot be read from them.
pub type SettingsDigests = BTreeMap<String, String>;

impl Config {
    /// The digests of the static settings, defaults included.
    ///
    /// # Panics
    /// Never: every key can be written as JSON.
    pub fn settings_digests(&self) -> SettingsDigests {
        let value = serde_json::to_value(self).expect("a configuration has string keys");
        let sections = value.as_object().expect("a configuration is a table");
        sections
            .iter()
            .filter(|(key, _)| {
                !matches!(
                    key.as_str(),
                    "flags" | "hooks" | "plans" | "releases" | "routes"
                )
            })
            .map(|(key, value)| (key.clone(), short_digest(&value.to_string())))
            .collect()
    }
}

/// Keys whose values differ, including those absent on one side.
pub fn changed_settings(running: &SettingsDigests, new: &SettingsDigests) -> Vec<String> {
    let mut keys: Vec<_> = running.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| running.get(*key) != new.get(*key));
    keys.into_iter().cloned().collect()
}

fn short_digest(text: &str) -> String {
    let whole = Sha256::digest(text.as_bytes());
    let (first, _) = whole.split_at(8);
    first.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HumanDuration, RouteSpec};

    #[test]
    fn static_settings_that_differ_are_named_and_the_table_is_none_of_them() {
        let running = Config::default();
        let mut new = Config {
            workers: Some(3),
            ..Config::default()
        };
        new.routes
            .push(RouteSpec::plain("chat".parse().unwrap(), BTreeMap::new()));
        new.shutdown.grace = Some(HumanDuration::seconds(1));
        let changed = changed_settings(&running.settings_digests(), &new.settings_digests());
        assert_eq!(changed, ["shutdown", "workers"]);
        assert!(changed_settings(&new.settings_digests(), &new.settings_digests()).is_empty());
    }
}
