//! Figures of the mirror of a route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{MirrorSpec, ReleaseName, Revision, RouteName, Version};

/// The mirror of a route, and how the copies compare with their originals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorReport {
    /// The live revision.
    pub revision: Revision,
    /// The route.
    pub route: RouteName,
    /// Its mirror; absent if it has none now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
    /// True if its release serves every request of the route itself, so that nothing is copied.
    pub serves_all: bool,
    /// Figures of each release that the route is or was mirrored to, since the start of the process.
    pub releases: Vec<MirrorFigures>,
}

/// Copies to one release. A chosen request is mirrored or not, for one reason; a copy has an answer, or none for one
/// reason, or is pending; an answer agrees or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorFigures {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// True if the route is mirrored to it now.
    pub is_live: bool,
    /// Requests that were chosen by their key.
    pub chosen: u64,
    /// Requests that were copied.
    pub mirrored: u64,
    /// Copies that wait or are under way.
    pub pending: u64,
    /// Chosen requests that were not copied, by reason: `body`, `full`, `memory`, `method`, `unfinished`, `upgrade`.
    pub not_mirrored: BTreeMap<String, u64>,
    /// Copies that have an answer.
    pub answered: u64,
    /// Answers whose status is of the class of the original's.
    pub agreed: u64,
    /// Answers whose status is of another class.
    pub disagreed: u64,
    /// Copies without an answer, by reason: `broken`, `connect`, `no_endpoint`, `timeout`.
    pub failed: BTreeMap<String, u64>,
    /// Pairs of status classes that have occurred.
    pub statuses: Vec<MirrorClassPair>,
    /// Answers to the originals of the copies that have an answer.
    pub original: MirrorAnswers,
    /// Answers to the copies.
    pub copy: MirrorAnswers,
    /// Comparison of the answers in JSON; absent if none was and none is to be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<MirrorJson>,
}

/// Comparison of the answers in JSON. A pair of answers is the same, different, or not compared, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorJson {
    /// Answers that hold the same as the original's.
    pub same: u64,
    /// Answers that hold something else.
    pub different: u64,
    /// Answers that were not compared, by reason: `encoded`, `long`, `malformed`, `memory`, `status`, `type`.
    pub not_compared: BTreeMap<String, u64>,
    /// Places at which answers differed, the latest one first, without values.
    #[schema(max_items = 16)]
    pub differences: Vec<MirrorDifference>,
}

/// A place at which answers differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorDifference {
    /// Its JSON pointer; empty for a whole document. Of one that is longer than 256 bytes, only the beginning.
    pub path: String,
    /// Answers that differed there since it was listed.
    pub count: u64,
}

/// Number of answers by the classes of both statuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorClassPair {
    /// Class of the original's status, such as `2xx`.
    pub original: String,
    /// Class of the copy's status.
    pub copy: String,
    /// Number of pairs.
    pub count: u64,
}

/// Durations and sizes of the answers of one side. Absent without any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorAnswers {
    /// Mean duration in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_seconds: Option<f64>,
    /// Bound in seconds that half of the durations are not above; absent above 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_at_most_seconds: Option<f64>,
    /// Bound in seconds that 95 percent of the durations are not above; absent above 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_at_most_seconds: Option<f64>,
    /// Mean length of the bodies in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_bytes: Option<f64>,
}
