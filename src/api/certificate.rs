//! Certificates that an authority issues over ACME.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// The certificate of a domain, and its next order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateStatus {
    /// The domain.
    pub domain: String,
    /// URL of the authority's directory.
    pub directory: String,
    /// Begin of the validity of the certificate that is served; absent if there is none, so that handshakes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Time of the next order; one in the past is under way or waits for others. Absent if another process orders, or nobody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_order: Option<Timestamp>,
    /// Orders that have failed since the last certificate.
    pub failures: u32,
    /// Reason of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// True if another process with the same folder orders, or another node of the fleet.
    pub ordered_elsewhere: bool,
    /// The node of the fleet that orders, if it is another one and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<String>,
}
