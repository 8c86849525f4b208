//! Reasons for responses of the proxy's own.

use crate::message;
use crate::telemetry::names;

/// Reason for a response of the proxy's own: a label, a header and a word in the log. In alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorReason {
    /// A certificate authority asked for a proof of the domain.
    AcmeChallenge,
    /// The endpoint's response was invalid.
    BadAnswer,
    /// The request was invalid.
    BadRequest(message::Reason),
    /// No connection to an endpoint.
    ConnectFailed,
    /// No connection to an endpoint in time.
    ConnectTimeout,
    /// The response did not begin in time.
    FirstByteTimeout,
    /// The route is in maintenance.
    Maintenance,
    /// The request was not to be forwarded any further (`Max-Forwards: 0`).
    MaxForwards,
    /// Routes match but for the method.
    MethodNotAllowed,
    /// No endpoint is available.
    NoEndpoint,
    /// No route matches.
    NoRoute,
    /// A page of another origin may not read answers of the route.
    OriginRefused,
    /// A limit on requests was reached.
    Overloaded,
    /// A preview token is not valid.
    OverrideRefused,
    /// The route is paused.
    Paused,
    /// The endpoint of a pinned session is gone.
    PinLost,
    /// The question of a page of another origin was answered.
    Preflight,
    /// No permit became free in time.
    QueueTimeout,
    /// The rate limit of the route was reached.
    RateLimited,
    /// The route redirects the request.
    Redirect,
    /// The release left the route, and the time of what was in flight on it is over.
    ReleaseLeft,
    /// The release was removed, and its time to drain is over.
    ReleaseRemoved,
    /// The request as a whole exceeded its timeout.
    RequestTimeout,
    /// The route has a fixed response.
    Respond,
    /// The session cannot go on.
    SessionLost,
    /// The session could not be begun anew at the moment.
    SessionMove,
    /// The process ends, and the time of what was in flight is over.
    ShuttingDown,
    /// The endpoint was idle for too long.
    Silence,
    /// The response did not begin in the time of one attempt.
    TryTimeout,
    /// The route asks for credentials.
    Unauthorized,
    /// An override names a release that the route does not have.
    UnknownRelease,
    /// The endpoint closed the connection before it responded.
    UpstreamClosed,
    /// The endpoint responded with a status after which the request was to be sent again.
    UpstreamStatus,
}

impl ErrorReason {
    /// Counts a request to which the proxy responded itself, without a release or instead of one.
    pub(super) fn count(self) {
        metrics::counter!(names::REJECTED.0, "reason" => self.as_str()).increment(1);
    }

    /// True if the response is what the route was made for: a redirect, or a fixed response.
    pub(super) const fn is_answer(self) -> bool {
        matches!(self, Self::Redirect | Self::Respond)
    }

    /// Value of `x-switchback-reason`, of logs and of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AcmeChallenge => "acme_challenge",
            Self::BadAnswer => "bad_answer",
            Self::BadRequest(reason) => reason.as_str(),
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::Maintenance => "maintenance",
            Self::MaxForwards => "max_forwards",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoEndpoint => "no_endpoint",
            Self::NoRoute => "no_route",
            Self::OriginRefused => "origin_refused",
            Self::Overloaded => "overloaded",
            Self::OverrideRefused => "override_refused",
            Self::Paused => "paused",
            Self::PinLost => "pin_lost",
            Self::Preflight => "preflight",
            Self::QueueTimeout => "queue_timeout",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::ReleaseLeft => "release_left",
            Self::ReleaseRemoved => "release_removed",
            Self::RequestTimeout => "request_timeout",
            Self::Respond => "respond",
            Self::SessionLost => "session_lost",
            Self::SessionMove => "session_move",
            Self::ShuttingDown => "shutting_down",
            Self::Silence => "upstream_silent",
            Self::TryTimeout => "try_timeout",
            Self::Unauthorized => "unauthorized",
            Self::UnknownRelease => "unknown_release",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamStatus => "upstream_status",
        }
    }
}
