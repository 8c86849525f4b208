//! The keys that the nodes of a fleet of proxies share: which of them seals, and when there is to be another one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::keys::KeyRing;

/// Seconds for which a new key only opens, so that every node has it before any of them seals with it.
const SPREAD: u64 = 60 * 60;
/// Least seconds between two keys.
const LEAST: u64 = 24 * 60 * 60;
/// Most keys, and the longest text with them.
const MOST: usize = 16;
const LONGEST: usize = 16 << 10;

/// Keys, the latest first. All times are seconds since 1970.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedKeys {
    keys: Vec<SharedKey>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SharedKey {
    secret: String,
    made: u64,
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKeys({} keys)", self.keys.len())
    }
}

impl SharedKeys {
    /// Reads keys from their form in the store; `None` if they cannot be used.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let text = Some(text).filter(|text| text.len() <= LONGEST)?;
        let keys: Self = serde_json::from_slice(text).ok()?;
        let secrets: Vec<&str> = keys.keys.iter().map(|key| key.secret.as_str()).collect();
        let is_sound = secrets.len() <= MOST && KeyRing::new(&secrets).ok()?.is_some();
        is_sound.then_some(keys)
    }

    /// Their form in the store.
    pub fn encode(&self) -> Vec<u8> {
        // Text and numbers have a form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The secrets at a time, the one that seals first: the latest that all nodes have, or else the first that there was.
    pub fn secrets(&self, now: u64) -> Vec<&str> {
        let is_known = |key: &SharedKey| now >= key.made.saturating_add(SPREAD);
        let last = self.keys.len().saturating_sub(1);
        let sealing = self.keys.iter().position(is_known).unwrap_or(last);
        let others = self.keys.iter().enumerate();
        let others = others.filter(|(place, _)| *place != sealing);
        let sealing = self.keys.get(sealing).into_iter();
        sealing
            .chain(others.map(|(_, key)| key))
            .map(|key| key.secret.as_str())
            .collect()
    }

    /// True if there is to be another key: there is none, or the latest is as old as a pin may be.
    pub fn is_due(&self, now: u64, max_age: u64) -> bool {
        let latest = self.keys.first();
        latest.is_none_or(|key| now >= key.made.saturating_add(max_age.max(LEAST)))
    }

    /// The keys with a new one. Those that no pin can need any more are gone.
    #[must_use]
    pub fn with(&self, secret: &str, now: u64, max_age: u64) -> Self {
        let new = SharedKey {
            secret: secret.trim().to_owned(),
            made: now,
        };
        let mut keys = vec![new];
        for key in &self.keys {
            // It has sealed until all had its successor.
            let successor = keys.last().map_or(now, |successor| successor.made);
            let needed = successor.saturating_add(max_age).saturating_add(2 * SPREAD);
            if now > needed || keys.len() == MOST {
                break;
            }
            keys.push(key.clone());
        }
        Self { keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const AGE: u64 = 30 * DAY;

    fn secret(letter: char) -> String {
        letter.to_string().repeat(40)
    }

    fn order(keys: &SharedKeys, now: u64) -> String {
        keys.secrets(now)
            .iter()
            .filter_map(|secret| secret.chars().next())
            .collect()
    }

    #[test]
    fn the_first_key_seals_at_once_and_a_later_one_when_all_have_it() {
        let none = SharedKeys::default();
        assert!(none.is_due(DAY, AGE) && none.secrets(DAY).is_empty());
        let first = none.with(&secret('x'), DAY, AGE);
        assert_eq!(order(&first, DAY), "x");
        assert!(!first.is_due(DAY + AGE - 1, AGE) && first.is_due(DAY + AGE, AGE));
        let second = first.with(&secret('y'), DAY + AGE, AGE);
        assert_eq!(order(&second, DAY + AGE), "xy");
        assert_eq!(order(&second, DAY + AGE + SPREAD - 1), "xy");
        assert_eq!(order(&second, DAY + AGE + SPREAD), "yx");
    }

    #[test]
    fn an_old_key_opens_until_no_pin_can_need_it_and_the_keys_are_few() {
        let mut keys = SharedKeys::default();
        let (mut now, mut most) = (DAY, 0);
        for letter in 'a'..='z' {
            assert!(keys.is_due(now, AGE));
            let next = keys.with(&secret(letter), now, AGE);
            // A pin that was sealed a moment ago, and one as old as pins may be.
            for sealed in [now, now - DAY.min(now), (now + SPREAD).saturating_sub(AGE)] {
                let sealer = order(&keys, sealed).chars().next();
                assert!(
                    sealer.is_none_or(|key| order(&next, now).contains(key)),
                    "{letter}"
                );
            }
            (keys, most, now) = (next, most.max(keys.keys.len()), now + AGE);
        }
        assert!(most <= 3, "{most}");
        // Pins that live for a moment: a key a day, and no more.
        let short = SharedKeys::default().with(&secret('a'), DAY, 1);
        assert!(!short.is_due(DAY + LEAST - 1, 1) && short.is_due(DAY + LEAST, 1));
    }

    #[test]
    fn what_cannot_be_used_is_not_read() {
        let keys = SharedKeys::default().with(&secret('a'), DAY, AGE);
        assert_eq!(SharedKeys::decode(&keys.encode()), Some(keys.clone()));
        for bad in [
            &b"{}"[..],
            b"?",
            br#"{"keys":[]}"#,
            br#"{"keys":[{"secret":"short","made":1}]}"#,
        ] {
            assert_eq!(SharedKeys::decode(bad), None);
        }
        assert!(!format!("{keys:?}").contains("aaaa"), "{keys:?}");
    }
}
