//! Mirroring of a route: a share of its requests is copied to a release, whose answers nobody gets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CompareJsonSpec, HumanDuration, Percent, ReleaseName, Size};

/// Field that marks a copy for the agents, with the name of the release. Clients cannot send it.
pub const MIRROR_FIELD: &str = "x-switchback-mirror";

/// Mirroring of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// Release that gets the copies.
    pub release: ReleaseName,
    /// Percent of the requests that are copied, chosen by the key of their session.
    pub percent: Percent,
    /// True if the release has no side effects: requests of every method are copied, and not only GET, HEAD and OPTIONS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sandbox: bool,
    /// True to leave credentials in the copies: `authorization`, `cookie` and keys of APIs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// Longest body of a request that is copied, at most 1 MiB.
    #[serde(default = "max_body")]
    #[schema(value_type = String, pattern = "^([0-9]{1,6}B|([1-9][0-9]{0,2}|10[01][0-9]|102[0-3])KiB|1MiB)$", example = "64KiB")]
    pub max_body: Size,
    /// Longest part of the body of an answer that is read, at most 16 MiB.
    #[serde(default = "max_answer")]
    #[schema(value_type = String, pattern = "^([0-9]{1,7}B|[1-9][0-9]{0,3}KiB|([1-9]|1[0-6])MiB)$", example = "1MiB")]
    pub max_answer: Size,
    /// Timeout for the whole answer to a copy, 10 ms to 5 minutes.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// Maximum number of copies under way.
    #[serde(default = "concurrency")]
    #[schema(minimum = 1, maximum = 1024)]
    pub concurrency: u32,
    /// Maximum number of copies that wait. A further one is not sent.
    #[serde(default = "queue")]
    #[schema(maximum = 4096)]
    pub queue: u32,
    /// Comparison of answers in JSON. Without it, no body is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_json: Option<CompareJsonSpec>,
}

const fn max_body() -> Size {
    Size::kib(64)
}

const fn max_answer() -> Size {
    Size::mib(1)
}

const fn timeout() -> HumanDuration {
    HumanDuration::seconds(10)
}

const fn concurrency() -> u32 {
    32
}

const fn queue() -> u32 {
    128
}

/// Reason why a request that was chosen to be mirrored is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MirrorSkip {
    /// Its body is too long, or was not kept whole.
    Body,
    /// As many copies wait as may.
    Full,
    /// The bodies and heads that are kept for copies use up their memory.
    Memory,
    /// Its method may have side effects, and the release is no sandbox.
    Method,
    /// It had no answer of its own, or only a part of one: its client left, or the answer was cut.
    Unfinished,
    /// It asks for a WebSocket or another tunnel.
    Upgrade,
}

/// Reason why a copy has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MirrorFailure {
    /// The connection ended, or the answer is malformed.
    Broken,
    /// No connection could be made.
    Connect,
    /// The release has no healthy endpoint.
    NoEndpoint,
    /// The answer was not whole in time, or the copy waited for as long before it was sent.
    Timeout,
    /// It waited while its mirror was changed or taken back, and was not sent.
    Withdrawn,
}

impl MirrorSkip {
    /// All reasons, in the order of [`MirrorSkip::index`].
    pub const ALL: [Self; 6] = [
        Self::Body,
        Self::Full,
        Self::Memory,
        Self::Method,
        Self::Unfinished,
        Self::Upgrade,
    ];

    /// Index in [`MirrorSkip::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in JSON and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Full => "full",
            Self::Memory => "memory",
            Self::Method => "method",
            Self::Unfinished => "unfinished",
            Self::Upgrade => "upgrade",
        }
    }
}

impl MirrorFailure {
    /// All reasons, in the order of [`MirrorFailure::index`].
    pub const ALL: [Self; 5] = [
        Self::Broken,
        Self::Connect,
        Self::NoEndpoint,
        Self::Timeout,
        Self::Withdrawn,
    ];

    /// Index in [`MirrorFailure::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in JSON and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Connect => "connect",
            Self::NoEndpoint => "no_endpoint",
            Self::Timeout => "timeout",
            Self::Withdrawn => "withdrawn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_reasons_is_that_of_their_indices() {
        for (place, reason) in MirrorSkip::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        for (place, reason) in MirrorFailure::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
    }

    #[test]
    fn a_release_and_a_share_are_enough() {
        let spec: MirrorSpec = serde_json::from_str(r#"{"release":"green","percent":10}"#).unwrap();
        assert!(!spec.sandbox && !spec.credentials);
        assert_eq!(spec.max_body, Size::kib(64));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<MirrorSpec>(&text).unwrap(), spec);
        assert!(serde_json::from_str::<MirrorSpec>(r#"{"release":"green"}"#).is_err());
    }
}
