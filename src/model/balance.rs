//! Choosing an endpoint inside a release: the policy, and when an endpoint is ejected.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HumanDuration;

/// Load-balancing policy of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Of two random endpoints the one with fewer requests in flight.
    #[default]
    LeastInFlight,
    /// Of two random endpoints the one with the lower time to first byte times its requests in flight.
    PeakEwma,
    /// One after the other, by worker.
    RoundRobin,
    /// By the session's affinity key.
    ConsistentHash,
}

impl Balance {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Ejection of endpoints whose responses fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EjectionSpec {
    /// Failures in a row that eject an endpoint: a status of 5xx, a connection that fails or is reset, a response that
    /// is cut, a timeout. 0: never.
    #[serde(default = "EjectionSpec::consecutive_failures")]
    pub consecutive_failures: u32,
    /// The same for gateway failures alone: 502, 503, 504, and no response at all. 0: never.
    #[serde(default)]
    pub consecutive_gateway_failures: u32,
    /// Time without an ejection that makes the next one shorter by one `base_time`.
    #[serde(default = "EjectionSpec::interval")]
    pub interval: HumanDuration,
    /// Length of the first ejection; each further one is longer by as much.
    #[serde(default = "EjectionSpec::base_time")]
    pub base_time: HumanDuration,
    /// Maximum length of an ejection.
    #[serde(default = "EjectionSpec::max_time")]
    pub max_time: HumanDuration,
    /// Maximum share of the endpoints that are ejected at a time, in percent, rounded down; never all of them.
    #[serde(default = "EjectionSpec::max_percent")]
    #[schema(minimum = 0, maximum = 100)]
    pub max_percent: u32,
}

impl EjectionSpec {
    const fn consecutive_failures() -> u32 {
        5
    }

    const fn interval() -> HumanDuration {
        HumanDuration::seconds(10)
    }

    const fn base_time() -> HumanDuration {
        HumanDuration::seconds(30)
    }

    const fn max_time() -> HumanDuration {
        HumanDuration::seconds(300)
    }

    const fn max_percent() -> u32 {
        50
    }
}

impl Default for EjectionSpec {
    fn default() -> Self {
        Self {
            consecutive_failures: Self::consecutive_failures(),
            consecutive_gateway_failures: 0,
            interval: Self::interval(),
            base_time: Self::base_time(),
            max_time: Self::max_time(),
            max_percent: Self::max_percent(),
        }
    }
}
