//! A release and its part of a route, as typed.

use crate::model::ReleaseName;

/// A release and its number: a percent or a weight, depending on the subcommand.
#[derive(Debug, Clone)]
pub(super) struct Part(pub(super) ReleaseName, pub(super) String);

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (release, number) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not RELEASE=PERCENT, such as green=5"))?;
        let release = release
            .parse()
            .map_err(|error: crate::model::NameError| error.to_string())?;
        Ok(Self(release, number.to_owned()))
    }
}

/// A release and its weight.
#[derive(Debug, Clone)]
pub(super) struct Weight(pub(super) ReleaseName, pub(super) u32);

impl std::str::FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (release, weight) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not RELEASE=WEIGHT, such as blue=95"))?;
        let release = release
            .parse()
            .map_err(|error: crate::model::NameError| error.to_string())?;
        Ok(Self(release, whole(weight)?))
    }
}

/// Parses a weight.
pub(super) fn whole(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a weight: a whole number from 0 to 1000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_release_and_a_number() {
        let Weight(release, weight) = "blue=95".parse().unwrap();
        assert_eq!((release.as_str(), weight), ("blue", 95));
        for wrong in ["blue", "blue=", "=5", "blue=-1", "blue=9.5", "b lue=1"] {
            assert!(wrong.parse::<Weight>().is_err(), "{wrong}");
        }
    }
}
