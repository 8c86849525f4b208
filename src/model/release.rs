//! Spec of a release: version label, health check, protocol and limits. Its endpoints are facts and kept separately,
//! in [`Rosters`](super::Rosters).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Balance, EjectionSpec, HealthSpec, HumanDuration, RollbackSpec, Version};

/// Decisions about a release: everything but its endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSpec {
    /// Version label; another version is another release to its users.
    #[serde(default, skip_serializing_if = "Version::is_empty")]
    pub version: Version,
    /// Active health check; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// Protocol of its endpoints.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// TLS settings for endpoints with `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Limits that protect its endpoints.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_default")]
    pub limits: LimitsSpec,
    /// Choice of an endpoint for each request.
    #[serde(default, skip_serializing_if = "Balance::is_default")]
    pub balance: Balance,
    /// Time in which the weight of a new or recovered endpoint grows from a tenth to the whole; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<HumanDuration>,
    /// Longest time for which an endpoint is avoided after a 429 or 503 with `Retry-After`; 60 s if absent, 0 s never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry_after: Option<HumanDuration>,
    /// Ejection of endpoints whose responses fail; without it only failed connections eject one, for a short time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionSpec>,
    /// The way back from it to an earlier release, once it has had requests; allowed if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
}

/// Protocol of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2: with prior knowledge on `http://`, by ALPN on `https://`.
    #[serde(rename = "h2")]
    Http2,
}

impl Protocol {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::Http1
    }
}

/// TLS settings for endpoints with `https://`: trust and client certificate. Verification cannot be switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// PEM file of the authorities to trust instead of the system's, or of the endpoint's own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// PEM file with the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// PEM file of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Server name for SNI and verification, if it is not the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Limits of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Maximum number of connections to one endpoint, idle and busy, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub connections_per_endpoint: Option<u32>,
    /// Maximum number of requests in flight on one endpoint, over all workers; further requests are queued when all
    /// endpoints are full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub in_flight_per_endpoint: Option<u32>,
    /// Maximum number of requests in flight on the whole release; further requests are queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub concurrency: Option<u32>,
    /// Maximum number of queued requests, and as many for each endpoint from the sessions that are pinned to it; 0 if
    /// absent. Further requests get a 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Maximum time in the queue; 5 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<HumanDuration>,
}

impl LimitsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
