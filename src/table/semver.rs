//! A version in the order of Semantic Versioning 2.0: parsed once at compile, and from the attribute at evaluation.

use std::cmp::Ordering;

/// A parsed version. Build metadata is not part of the order and is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Semver<'a> {
    numbers: [u64; 3],
    // Empty for a release; otherwise identifiers with dots between them.
    pre_release: &'a str,
}

/// A version that owns its text.
#[derive(Debug, Clone)]
pub(super) struct OwnedSemver {
    numbers: [u64; 3],
    pre_release: Box<str>,
}

impl<'a> Semver<'a> {
    /// Parses a version; a leading `v`, as tags of repositories have it, is allowed.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text
            .split_once('+')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let (core, pre_release) = match text.split_once('-') {
            Some((core, pre_release)) => (core, Some(pre_release)),
            None => (text, None),
        };
        let parts = |list: Option<&str>, strict: bool| {
            list.is_none_or(|list| list.split('.').all(|part| is_identifier(part, strict)))
        };
        if !parts(build, false) || !parts(pre_release, true) {
            return None;
        }
        let mut numbers = [0; 3];
        let mut words = core.split('.');
        for number in &mut numbers {
            *number = number_of(words.next()?)?;
        }
        words.next().is_none().then_some(Self {
            numbers,
            pre_release: pre_release.unwrap_or_default(),
        })
    }

    pub(super) fn to_owned(self) -> OwnedSemver {
        OwnedSemver {
            numbers: self.numbers,
            pre_release: self.pre_release.into(),
        }
    }
}

impl OwnedSemver {
    pub(super) fn borrowed(&self) -> Semver<'_> {
        Semver {
            numbers: self.numbers,
            pre_release: &self.pre_release,
        }
    }
}

fn number_of(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (plain && !padded).then(|| text.parse().ok()).flatten()
}

fn is_identifier(part: &str, strict: bool) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
    let padded = strict && is_number && part.len() > 1 && part.starts_with('0');
    !part.is_empty() && part.bytes().all(plain) && !padded
}

impl Ord for Semver<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| match (self.pre_release, other.pre_release) {
                ("", "") => Ordering::Equal,
                ("", _) => Ordering::Greater,
                (_, "") => Ordering::Less,
                (one, two) => pre_releases(one, two),
            })
    }
}

impl PartialOrd for Semver<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers are compared as such and come before words; a list that goes on comes after the one that ends.
fn pre_releases(one: &str, two: &str) -> Ordering {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        let (left, right) = match (one.next(), two.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => (left, right),
        };
        let order = match (is_number(left), is_number(right)) {
            // Without leading zeros, the longer number is the larger.
            (true, true) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_the_standard() {
        let ordered = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.10",
            "1.2.0",
            "v2.0.0",
        ];
        let versions = ordered.map(|text| Semver::parse(text).unwrap());
        for (place, one) in versions.iter().enumerate() {
            for (other, two) in versions.iter().enumerate() {
                assert_eq!(one.cmp(two), place.cmp(&other), "{one:?} {two:?}");
            }
        }
        assert_eq!(Semver::parse("1.0.0+a.01"), Semver::parse("1.0.0"));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for wrong in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.x",
            "1.2.3+",
            "99999999999999999999.0.0",
        ] {
            assert_eq!(Semver::parse(wrong), None, "{wrong}");
        }
    }
}
