//! Spec of an active health check: the request, and the expected response.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::HumanDuration;

/// An active health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// Path to request, such as `/healthz`; none for `grpc`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(pattern = r#"^(/[!"$-~]{0,200})?$"#)]
    pub path: String,
    /// Service whose health is asked for with `grpc.health.v1.Health/Check`, instead of a path; empty for the server as a
    /// whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[!-~]{0,200}$")]
    pub grpc: Option<String>,
    /// The method of the request.
    #[serde(default, skip_serializing_if = "HealthMethod::is_default")]
    pub method: HealthMethod,
    /// `Host` of the request; the endpoint's own if absent. For applications that accept only their public names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port for checks; the endpoint's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub port: Option<u16>,
    /// Expected statuses: `"200-299"`, `"204"`.
    #[serde(default, skip_serializing_if = "StatusRange::is_default")]
    #[schema(value_type = String, pattern = "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$")]
    pub status: StatusRange,
    /// Text that must be in the first 64 KiB of the response body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Time between checks of one endpoint.
    #[serde(default = "HealthSpec::interval")]
    pub interval: HumanDuration,
    /// Timeout for a response.
    #[serde(default = "HealthSpec::timeout")]
    pub timeout: HumanDuration,
    /// Consecutive successes that make an endpoint healthy.
    #[serde(default = "HealthSpec::rise")]
    #[schema(minimum = 1)]
    pub rise: u32,
    /// Consecutive failures that make it unhealthy.
    #[serde(default = "HealthSpec::fall")]
    #[schema(minimum = 1)]
    pub fall: u32,
}

/// Method of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthMethod {
    /// `GET`.
    #[default]
    Get,
    /// `HEAD`: the response has no body.
    Head,
    /// `OPTIONS`.
    Options,
    /// `POST`, without a body.
    Post,
}

/// Inclusive range of statuses. Written `"200-299"`, or `"204"` for a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

// === impl HealthSpec ===

impl HealthSpec {
    const fn interval() -> HumanDuration {
        HumanDuration::seconds(5)
    }

    const fn timeout() -> HumanDuration {
        HumanDuration::seconds(2)
    }

    const fn rise() -> u32 {
        2
    }

    const fn fall() -> u32 {
        3
    }
}

// === impl HealthMethod ===

impl HealthMethod {
    /// Method name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl StatusRange ===

impl StatusRange {
    /// True if the range contains the status.
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn new(first: u16, last: u16) -> Option<Self> {
        // An informational response is not final.
        (200 <= first && first <= last && last <= 599).then_some(Self { first, last })
    }
}

impl Default for StatusRange {
    fn default() -> Self {
        Self {
            first: 200,
            last: 299,
        }
    }
}

impl FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let three = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
            three.then(|| digits.parse().ok()).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = number(first).zip(number(last));
        range
            .and_then(|(first, last)| Self::new(first, last))
            .ok_or_else(|| {
                format!("`{text}` is not a range of statuses: write `\"200-399\"`, or `\"204\"` for one alone, from 200 to 599")
            })
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl de::Visitor<'_> for StatusVisitor {
    type Value = StatusRange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range of statuses, such as `\"200-399\"`")
    }

    fn visit_i64<E: de::Error>(self, status: i64) -> Result<StatusRange, E> {
        self.visit_str(&status.to_string())
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusRange, E> {
        self.visit_str(&status.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRange, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_written_as_they_are_read() {
        for text in ["200-299", "204", "200-599"] {
            assert_eq!(text.parse::<StatusRange>().unwrap().to_string(), text);
        }
        for bad in [
            "", "99", "199", "100-200", "300-200", "200-600", "2xx", "+200", "200-", "0200",
        ] {
            assert!(bad.parse::<StatusRange>().is_err(), "{bad}");
        }
        let read: StatusRange = serde_json::from_str("403").unwrap();
        assert!(read.contains(403) && !read.contains(404));
    }

    #[test]
    fn what_is_the_default_is_not_written() {
        let plain: HealthSpec = serde_json::from_str(r#"{"path":"/"}"#).unwrap();
        let written = serde_json::to_string(&plain).unwrap();
        assert_eq!(
            written,
            r#"{"path":"/","interval":"5s","timeout":"2s","rise":2,"fall":3}"#
        );
    }
}
