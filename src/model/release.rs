//! A release as it is decided: its version label, health check, protocol and limits. Its endpoints are facts and stand
//! apart, in [`Rosters`](super::Rosters).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HealthSpec, HumanDuration, Version};

/// What was decided about a release: everything but its endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSpec {
    /// The version label; another version is another release to its users.
    #[serde(default, skip_serializing_if = "Version::is_empty")]
    pub version: Version,
    /// The active health check; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// The protocol that its endpoints speak.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// TLS settings for endpoints with `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Limits that protect its endpoints.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_default")]
    pub limits: LimitsSpec,
}

/// What an endpoint speaks.
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

/// How to trust, and be trusted by, an endpoint with `https://`. Verification cannot be switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// A PEM file of the authorities to trust instead of the system's, or of the endpoint's own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// A PEM file with the client certificate to present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// The PEM file of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The name to ask for and verify, where it is not the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Limits of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Idle and busy connections to one endpoint, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub connections_per_endpoint: Option<u32>,
    /// Requests in flight on the whole release; more wait in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub concurrency: Option<u32>,
    /// How many requests may wait for a place; 0 when absent. More are answered with 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long a request may wait for a place; 5 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<HumanDuration>,
}

impl LimitsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
