//! Names of releases and routes, and version labels: short, printable, safe in a URL, a metric label and a shell.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Maximum length of a name in bytes: that of a DNS label, so that a name can be used as one.
const LONGEST: usize = 63;

/// Invalid name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a name: use 1 to 63 letters, digits, `.`, `_` or `-`, and begin with a letter or digit"
)]
pub struct NameError(String);

fn check(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fits = (1..=LONGEST).contains(&bytes.len()) && bytes[0].is_ascii_alphanumeric();
    if fits && bytes.iter().all(plain) {
        Ok(())
    } else {
        Err(NameError(text.chars().take(80).collect()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates a name.
            ///
            /// # Errors
            /// If the text is empty, longer than 63 bytes or has characters that are not allowed in names.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Name of a release, such as `blue` or `v2`.
    ReleaseName
}
name! {
    /// Name of a feature flag, such as `new-planner`.
    FlagName
}
name! {
    /// Name of a variant of a flag, such as `on`.
    VariantName
}
name! {
    /// Name of a hook, such as `checks`.
    HookName
}
name! {
    /// Name of a query's value in verdicts, such as `tokens`.
    MetricName
}
name! {
    /// Name of a plan for rollouts, such as `careful`.
    PlanName
}
name! {
    /// Name of a route, such as `chat`.
    RouteName
}

/// Version label of a release; empty if the release has none.
///
/// To its users and its statistics, a release with another version is another release.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Version(Arc<str>);

impl Version {
    /// Validates a version label.
    ///
    /// # Errors
    /// If the text is longer than 63 bytes or has a space, a control or a non-ASCII character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let fits = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(NameError(text.chars().take(80).collect()))
        }
    }

    /// The label as text; empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the release has no version label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<String> for Version {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_taken_and_others_refused() {
        for good in ["a", "blue", "v2.1_rc-3", "9"] {
            assert_eq!(ReleaseName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a b", "ä", "a/b", &"x".repeat(64)] {
            assert!(ReleaseName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_may_be_empty() {
        assert!(Version::default().is_empty());
        assert!(Version::new("1.0.0+build").is_ok());
        assert!(Version::new("a b").is_err());
    }
}
