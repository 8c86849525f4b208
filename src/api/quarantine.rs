//! Releases in quarantine: taken back, and not to get requests again by themselves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{ReleaseName, Version};

/// A version of a release that was taken back. No rollout and no edited file gives it a larger share again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantinedRelease {
    /// The release.
    pub release: ReleaseName,
    /// Its version: another one is not in quarantine.
    pub version: Version,
    /// Reason.
    pub reason: String,
    /// Name of the caller, or the rollout, that took it back.
    pub by: String,
    /// Time.
    pub since: Timestamp,
}

/// The releases in quarantine, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineList {
    /// The releases.
    pub releases: Vec<QuarantinedRelease>,
}

/// `PUT /v1/quarantine/{release}`: puts the live version of a release in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineRequest {
    /// Reason.
    #[schema(min_length = 1, max_length = 256)]
    pub reason: String,
}
