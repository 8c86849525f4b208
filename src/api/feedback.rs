//! Feedback: what users say of answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{ReleaseName, Revision, RouteName, Thumb, Version};

/// Longest label.
pub const LONGEST_LABEL: usize = 64;
/// Longest request id.
pub const LONGEST_REQUEST_ID: usize = 128;
/// Longest key of a session; a sealed session id is one.
pub const LONGEST_SESSION_KEY: usize = 1_500;

/// `POST /v1/feedback`: an opinion of one answer, as exactly one of `score`, `thumb` and `label`. The answer is named by
/// exactly one of `stamp`, `request_id`, and `session` with `route`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The field `x-switchback-stamp` of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1500, nullable = false)]
    pub stamp: Option<String>,
    /// The field `x-request-id` of the answer, on a route with `feedback_by = ["request_id"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub request_id: Option<String>,
    /// The session, for its last answer, on a route with `feedback_by = ["session"]`: the value of a source of the route's
    /// `affinity`, or a session id of the endpoint, sealed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1500, nullable = false)]
    pub session: Option<String>,
    /// The route of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub route: Option<RouteName>,
    /// From -1 (bad) to 1 (good).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -1, maximum = 1, nullable = false)]
    pub score: Option<f64>,
    /// `up` is a score of 1, `down` one of -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub thumb: Option<Thumb>,
    /// A label of `[feedback.labels]`, which says if it is positive, neutral or negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, nullable = false)]
    pub label: Option<String>,
}

/// Receipt of an opinion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackReceipt {
    /// False if an opinion of this answer was counted before: the first one stays.
    pub counted: bool,
    /// The answer. Not on the listener of `[feedback]`: a sealed stamp hides it from users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub answer: Option<FeedbackAnswer>,
}

/// The origin of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackAnswer {
    /// The route.
    pub route: RouteName,
    /// The release that gave it.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// The revision by which the release was chosen.
    pub revision: Revision,
}

/// Opinions of a release on a route, since the start of this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackEntry {
    /// The route.
    pub route: RouteName,
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Opinions with a score above 0.
    pub positive: u64,
    /// Opinions with a score of 0.
    pub neutral: u64,
    /// Opinions with a score below 0.
    pub negative: u64,
    /// Mean of the scores, from -1 to 1.
    pub score: f64,
}

/// The opinions of each release on each route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackList {
    /// Releases that something was said of.
    pub feedback: Vec<FeedbackEntry>,
}
