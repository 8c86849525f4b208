//! Events: what happens to the live table and to the fleet, as `GET /v1/events` streams it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    DrillState, EjectionCause, EndpointHealth, RolloutPause, RolloutState, Timestamp,
    VerificationVerdict,
};
use crate::model::{EndpointUrl, FlagName, ReleaseName, Revision, RouteName, Version};

/// Most events that are kept for clients that come back.
pub const KEPT_EVENTS: usize = 1_024;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its id, for `Last-Event-ID`.
    pub id: String,
    /// Its time.
    pub at: Timestamp,
    /// Its type and fields.
    #[serde(flatten)]
    pub body: EventBody,
}

/// Type and fields of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A revision is live.
    Revision {
        /// Its number.
        revision: Revision,
        /// The revision that was live before.
        parent: Revision,
        /// Its cause: `publish`, `rollback`, `import`, `roster` or `drill`.
        cause: String,
        /// Name of its author.
        author: String,
        /// Its reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Routes that differ from the table before; at most 16.
        routes: Vec<RouteName>,
        /// Releases that differ; at most 16.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        releases: Vec<ReleaseName>,
        /// Flags that differ; at most 16.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        flags: Vec<FlagName>,
        /// Number of differences from the table before.
        changes: usize,
    },
    /// A rollout begins, takes a step, pauses, goes back or ends.
    Rollout {
        /// Its id.
        rollout: String,
        /// The routes: one, or those of a train.
        routes: Vec<RouteName>,
        /// The releases that get the requests.
        releases: Vec<ReleaseName>,
        /// The event, by its name in hooks: `before_step`, `paused`, `after_rollback`, …
        event: String,
        /// The state after it.
        state: RolloutState,
        /// Reason of the pause, if it is paused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused_for: Option<RolloutPause>,
        /// The verdict as a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<String>,
    },
    /// A verification of a rollback has ended.
    Verification {
        /// The revision of the rollback.
        revision: Revision,
        /// The verdict.
        verdict: VerificationVerdict,
        /// The verdict as a sentence.
        words: String,
    },
    /// A drill has ended.
    Drill {
        /// Its id.
        drill: String,
        /// The route.
        route: RouteName,
        /// The state.
        state: DrillState,
        /// Reasons of its failure.
        failures: Vec<String>,
    },
    /// The proxy has made a backup in its folder, or has failed to.
    Backup {
        /// Its file; absent if none was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Its size in bytes.
        bytes: u64,
        /// Reason of the failure, of the backup or of the command after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A certificate was issued by an authority, or could not be.
    Certificate {
        /// The domain.
        domain: String,
        /// End of the certificate that is served now; absent if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_after: Option<Timestamp>,
        /// Reason of the failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A version of a release is in quarantine, or it is lifted.
    Quarantine {
        /// The release.
        release: ReleaseName,
        /// The version.
        version: Version,
        /// True if it is lifted.
        lifted: bool,
        /// Author.
        by: String,
        /// Reason.
        reason: String,
    },
    /// The health of an endpoint has changed, or it is ejected, or not any more.
    Endpoint {
        /// The release.
        release: ReleaseName,
        /// The version.
        version: Version,
        /// The endpoint.
        endpoint: EndpointUrl,
        /// Its address.
        address: String,
        /// Its health.
        health: EndpointHealth,
        /// Reason of its ejection, while it is ejected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ejected: Option<EjectionCause>,
    },
    /// A release of the live table can take requests, or cannot any more.
    Release {
        /// The release.
        release: ReleaseName,
        /// The version.
        version: Version,
        /// True if it has an endpoint that can be used.
        ready: bool,
    },
    /// A rollback is ready, or is not any more.
    RollbackReadiness {
        /// True if a bare rollback would go to releases that can take requests.
        ready: bool,
    },
    /// Nothing is in flight any more on a release that has no requests.
    Drained {
        /// The release.
        release: ReleaseName,
        /// The version.
        version: Version,
    },
    /// The history cannot be written, or can be again.
    Disk {
        /// True if it can be written.
        ok: bool,
        /// The error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Records that are live and not written.
        pending: usize,
    },
    /// Events are missing here, since the client was too slow or was away for too long, or switchback was started anew.
    Gap {
        /// Number of the events that are missing; absent if it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<u64>,
    },
}

impl EventBody {
    /// Name of the type in JSON, which is the name of the event in the stream.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Revision { .. } => "revision",
            Self::Rollout { .. } => "rollout",
            Self::Verification { .. } => "verification",
            Self::Drill { .. } => "drill",
            Self::Backup { .. } => "backup",
            Self::Certificate { .. } => "certificate",
            Self::Quarantine { .. } => "quarantine",
            Self::Endpoint { .. } => "endpoint",
            Self::Release { .. } => "release",
            Self::RollbackReadiness { .. } => "rollback_readiness",
            Self::Drained { .. } => "drained",
            Self::Disk { .. } => "disk",
            Self::Gap { .. } => "gap",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_type_in_json_and_is_read_as_it_is_written() {
        let event = Event {
            id: "18f-7".to_owned(),
            at: Timestamp(1_795_182_600_123_456),
            body: EventBody::Gap { lost: Some(3) },
        };
        let json = serde_json::to_string(&event).unwrap();
        let expected = format!(
            r#"{{"id":"18f-7","at":"2026-11-20T13:50:00.123456Z","type":"{}","lost":3}}"#,
            event.body.kind()
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
