//! Work in flight on a release, and the waits for its end.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{
    EndpointUrl, HumanDuration, ReleaseName, Revision, RouteName, Version, WorkClass,
};

/// Work in flight on one version of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Work {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// The state: `drained` means that its endpoints can be stopped.
    pub state: WorkState,
    /// The live revision.
    pub revision: Revision,
    /// Time of the answer.
    pub at: Timestamp,
    /// Routes that give it a weight, or have it as their fallback; the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteName>,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// All classes, with the requests in flight of each.
    pub classes: Vec<ClassWork>,
    /// Requests in flight by the revision that selected it, latest first.
    pub revisions: Vec<RevisionWork>,
    /// Routes of which sessions with a pin to it may still come, as their policy keeps them; the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<RouteName>,
    /// Removed endpoints that still have requests in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_endpoints: Vec<EndpointWork>,
    /// Other versions of the release that are known, such as one that drains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_versions: Vec<Version>,
    /// Workers that may still select by an earlier revision, or that have not counted in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<usize>,
    /// In a fleet of proxies, the other nodes on which it is not drained, or that do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<UndrainedNode>,
}

/// Node of a fleet of proxies on which a release is not drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UndrainedNode {
    /// Its name.
    pub node: String,
    /// Requests, streams and tunnels in flight there; absent if they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// The reason.
    pub reason: String,
}

/// State of a release as regards its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// A live route gives it a weight, or has it as its fallback.
    Active,
    /// No live route sends requests to it, and something is in flight, a worker may still select it, or sessions with a
    /// pin may still come.
    Draining,
    /// None of that, on any node: its endpoints can be stopped.
    Drained,
}

/// Work of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassWork {
    /// The class.
    pub class: WorkClass,
    /// Number of requests.
    pub count: u64,
    /// Age of the oldest in seconds; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
}

/// Work that one revision selected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionWork {
    /// The revision.
    pub revision: Revision,
    /// Number of requests.
    pub count: u64,
    /// Age of the oldest in seconds.
    pub oldest_seconds: f64,
}

/// Work on one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointWork {
    /// Its configured URL.
    pub url: EndpointUrl,
    /// The resolved address.
    pub address: String,
    /// Number of requests.
    pub in_flight: u64,
}

/// State to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitUntil {
    /// Every worker has taken it up.
    Converged,
    /// Nothing is in flight any more.
    Drained,
    /// Every worker of every node of the fleet has taken it up.
    Fleet,
}

/// Wait of a change: before it, until its releases are healthy, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeWait {
    /// At most so long until every release that gets a larger share is healthy.
    Healthy(HumanDuration),
    /// Until the change has come so far.
    Until(WaitUntil),
}

// === impl ChangeWait ===

impl FromStr for ChangeWait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "converged" => Ok(Self::Until(WaitUntil::Converged)),
            "drained" => Ok(Self::Until(WaitUntil::Drained)),
            "fleet" => Ok(Self::Until(WaitUntil::Fleet)),
            _ => text.parse().map(Self::Healthy).map_err(|_: String| {
                format!("`{text}` is neither `converged`, nor `drained`, nor `fleet`, nor a time such as `30s`")
            }),
        }
    }
}

impl<'de> Deserialize<'de> for ChangeWait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_time_or_a_state() {
        let span = HumanDuration::seconds(30);
        assert_eq!("30s".parse(), Ok(ChangeWait::Healthy(span)));
        assert_eq!("drained".parse(), Ok(ChangeWait::Until(WaitUntil::Drained)));
        assert_eq!("fleet".parse(), Ok(ChangeWait::Until(WaitUntil::Fleet)));
        assert!(
            "soon"
                .parse::<ChangeWait>()
                .unwrap_err()
                .contains("`converged`")
        );
    }
}
