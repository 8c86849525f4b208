//! Metrics of releases on trial: rollouts, verifications, drills, hooks, feedback and the quarantine.

use super::metric::{Kind, Metric};

/// Releases in quarantine.
pub const QUARANTINED: Metric = (
    "switchback_quarantined_releases",
    Kind::Gauge,
    "Versions of releases that were taken back and are in quarantine",
);
/// Calls of hooks, by hook and outcome.
pub const HOOK_CALLS: Metric = (
    "switchback_hook_calls_total",
    Kind::Counter,
    "Messages to hooks and answers of gates, by hook and outcome",
);
/// Messages that hooks are owed.
pub const HOOKS_OWED: Metric = (
    "switchback_hooks_owed",
    Kind::Gauge,
    "Messages to hooks that are not delivered yet",
);
/// Outcome of the last drill of a route.
pub const DRILL_PASSED: Metric = (
    "switchback_drill_passed",
    Kind::Gauge,
    "1 if the last drill of the route has passed",
);
/// Time of the last drill of a route.
pub const DRILL_TIMESTAMP: Metric = (
    "switchback_drill_timestamp_seconds",
    Kind::Gauge,
    "End of the last drill of the route, in seconds since 1970",
);
/// Drills that have ended, by level and state.
pub const DRILLS_ENDED: Metric = (
    "switchback_drills_ended_total",
    Kind::Counter,
    "Drills that have ended, by level and state",
);
/// Opinions of users.
pub const FEEDBACK: Metric = (
    "switchback_feedback_total",
    Kind::Counter,
    "Opinions of users of the answers of a release, each answer once: negative, neutral or positive",
);
/// Opinions of users by variant of a flag.
pub const FLAG_FEEDBACK: Metric = (
    "switchback_flag_feedback_total",
    Kind::Counter,
    "Opinions of users of answers that were given with a variant of a flag: negative, neutral or positive",
);
/// Sum of the scores of opinions.
pub const FEEDBACK_SCORE: Metric = (
    "switchback_feedback_score",
    Kind::Gauge,
    "Sum of the scores that users gave the answers of a release, each from -1 to 1",
);
/// Feedback that was not counted.
pub const FEEDBACK_REFUSED: Metric = (
    "switchback_feedback_refused_total",
    Kind::Counter,
    "Feedback that was not counted, by reason: ambiguous, busy, expired, forged, invalid, not_accepted, rate, repeated or unknown",
);
/// Rollouts that run, by state.
pub const ROLLOUTS: Metric = (
    "switchback_rollouts",
    Kind::Gauge,
    "Rollouts that have not ended, by state",
);
/// Rollouts that have ended, by state.
pub const ROLLOUTS_ENDED: Metric = (
    "switchback_rollouts_ended_total",
    Kind::Counter,
    "Rollouts that have ended, by state",
);
/// Verifications of rollbacks that have ended, by verdict.
pub const VERIFICATIONS: Metric = (
    "switchback_verifications_total",
    Kind::Counter,
    "Verifications of rollbacks that have ended, by verdict",
);
/// Verifications of rollbacks that run.
pub const VERIFICATIONS_RUNNING: Metric = (
    "switchback_verifications_running",
    Kind::Gauge,
    "Verifications of rollbacks that have not ended",
);
/// Requests that got a variant of a flag, by outcome.
pub const FLAG_REQUESTS: Metric = (
    "switchback_flag_requests_total",
    Kind::Counter,
    "Requests that got a variant of a flag with key figures, by outcome",
);
/// Their duration.
pub const FLAG_REQUEST_SECONDS: Metric = (
    "switchback_flag_request_duration_seconds",
    Kind::Histogram,
    "Duration of the requests that got a variant of a flag with key figures",
);
