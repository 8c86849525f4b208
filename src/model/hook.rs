//! Hooks: the events of a rollout that other programs hear of, and the URL of one that does.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::EndpointUrl;

/// Longest path and query of the URL of a hook.
const LONGEST_TARGET: usize = 2_048;

/// Event of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    /// The rollout begins.
    BeforeStart,
    /// The release gets the weight of a step.
    BeforeStep,
    /// A step is over, and the rollout goes on.
    AfterStep,
    /// The rollout waits, mostly for a person.
    Paused,
    /// The release gets everything.
    BeforePromotion,
    /// The route has its earlier split again.
    AfterRollback,
    /// The rollout has ended, in whatever state.
    Finished,
}

/// URL of a hook: `scheme://host[:port][/path][?query]`. Its path and its query may be secrets, so only its origin is
/// shown.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl {
    origin: EndpointUrl,
    target: Box<str>,
}

// === impl HookEvent ===

impl HookEvent {
    /// All events, in the order of a rollout.
    pub const ALL: [Self; 7] = [
        Self::BeforeStart,
        Self::BeforeStep,
        Self::AfterStep,
        Self::Paused,
        Self::BeforePromotion,
        Self::AfterRollback,
        Self::Finished,
    ];

    /// Name in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeStart => "before_start",
            Self::BeforeStep => "before_step",
            Self::AfterStep => "after_step",
            Self::Paused => "paused",
            Self::BeforePromotion => "before_promotion",
            Self::AfterRollback => "after_rollback",
            Self::Finished => "finished",
        }
    }
}

// === impl HookUrl ===

impl HookUrl {
    /// Its scheme, host and port.
    pub const fn origin(&self) -> &EndpointUrl {
        &self.origin
    }

    /// The URL of a path below this one, which has no query of its own then.
    #[must_use]
    pub fn under(&self, path: &str) -> Self {
        let (before, _) = self.target.split_once('?').unwrap_or((&self.target, ""));
        Self {
            origin: self.origin.clone(),
            target: format!("{}{path}", before.trim_end_matches('/')).into(),
        }
    }

    /// Its path and query, as in a request.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin)
    }
}

impl FromStr for HookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = text.find("://").map_or(0, |scheme| scheme + 3);
        let end = text[start..].find(['/', '?']);
        let (origin, target) = text.split_at(end.map_or(text.len(), |at| start + at));
        // The text may hold a secret, so no message repeats it.
        let origin: EndpointUrl = origin.parse().map_err(|_| {
            "not a URL: write one such as `https://host.example.com/path`, with `http` or `https` and without a user"
                .to_owned()
        })?;
        let odd = |b: u8| !b.is_ascii_graphic() || b"#\\\"<>".contains(&b);
        if target.bytes().any(odd) || target.len() > LONGEST_TARGET {
            let message =
                "not a URL: its path has a fragment, a space, or a character that needs an escape";
            return Err(message.to_owned());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            origin,
            target: format!("{slash}{target}").into(),
        })
    }
}

impl Serialize for HookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scheme = self.origin.scheme().as_str();
        let authority = self.origin.authority();
        serializer.collect_str(&format_args!("{scheme}://{authority}{}", self.target))
    }
}

impl<'de> Deserialize<'de> for HookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_hook_has_an_origin_and_a_target() {
        for (text, origin, target) in [
            ("https://a.example", "https://a.example:443", "/"),
            ("http://a.example:81/x?y=1", "http://a.example:81", "/x?y=1"),
            ("https://a.example?x", "https://a.example:443", "/?x"),
            ("http://[::1]:9/a", "http://[::1]:9", "/a"),
        ] {
            let url: HookUrl = text.parse().unwrap();
            assert_eq!(
                (url.origin().to_string().as_str(), url.target()),
                (origin, target)
            );
        }
    }

    #[test]
    fn neither_an_error_nor_a_log_shows_the_path_of_a_hook() {
        for bad in [
            "hooks.example/SECRET",
            "ftp://a.example/SECRET",
            "https://u:SECRET@a.example/",
            "https://a.example/SECRET#x",
            "https://a.example/SECRET x",
        ] {
            let error = bad.parse::<HookUrl>().unwrap_err();
            assert!(!error.contains("SECRET"), "{error}");
        }
        let url: HookUrl = "https://a.example/SECRET".parse().unwrap();
        assert_eq!(format!("{url:?}"), "https://a.example:443/…");
    }

    #[test]
    fn the_name_of_an_event_is_that_of_its_json() {
        for event in HookEvent::ALL {
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(json, format!("{:?}", event.as_str()));
        }
    }
}
