//! Errors of a request: their cause, their fault and the status that the client gets.
//!
//! The client sees a status, a reason from a closed list and the request's id; internal text goes to the log only.

use std::io;

use crate::message::{self, Rejection};
use crate::model::{AttemptFailure, CutCause, Fault, LeaveCause};
use crate::telemetry::names;

use super::session_move::MoveError;
use super::work_class::Cut;

/// A failed request, to which the proxy itself responds.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// `Max-Forwards: 0`: the proxy is the final recipient. A `TRACE` is echoed, an `OPTIONS` gets an empty response.
    #[error("the request is not forwarded (`Max-Forwards: 0`)")]
    LastHop(Option<Box<[u8]>>),
    /// No endpoint could be selected: all are unhealthy, or there is none.
    #[error("no endpoint is available")]
    NoEndpoint,
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// Too many requests in flight, in total or on this release.
    #[error("too many requests in flight")]
    Overloaded,
    /// The request names its release by a preview token that is forged, for another route, or over.
    #[error("the preview token is not valid")]
    OverrideRefused,
    /// The endpoint of a pinned session is gone, and the route lets no other serve it. With the status.
    #[error("the endpoint of the session is gone")]
    PinLost(u16),
    /// No permit of the release became free in time.
    #[error("timeout in the queue of the release")]
    QueueTimeout,
    /// The request is invalid and not forwarded.
    #[error("the request is invalid")]
    Refused(#[source] Rejection),
    /// The release left the route or the process ends, and the time of what was in flight is over.
    #[error("{}", left(.0.cause))]
    ReleaseLeft(Cut),
    /// The request as a whole exceeded its timeout.
    #[error("request timeout")]
    RequestTimeout,
    /// The session that the request belongs to cannot go on.
    #[error("the session is lost")]
    SessionLost(#[source] MoveError),
    /// The request names a release that its route does not have.
    #[error("the route has no such release")]
    UnknownRelease,
    /// The endpoint failed before its response began.
    #[error("the endpoint failed")]
    Upstream(#[source] UpstreamError),
}

/// Failure of an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It closed or reset the connection.
    #[error("the endpoint closed the connection")]
    Closed(#[source] Option<io::Error>),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// No connection could be made in time.
    #[error("connect timeout")]
    ConnectTimeout,
    /// The endpoint is at its connection limit.
    #[error("the endpoint has too many connections")]
    ConnectionLimit,
    /// The endpoint allows no streams at the moment.
    #[error("the endpoint allows no streams")]
    NoStreams,
    /// The response is not valid HTTP.
    #[error("the response is invalid")]
    Invalid(#[source] Rejection),
    /// Timeout while the endpoint sent nothing, or did not read.
    #[error("idle timeout of the endpoint")]
    IdleTimeout,
    /// The response did not begin in time.
    #[error("timeout before the first byte of the response")]
    FirstByteTimeout,
    /// The response did not begin in the time of one attempt.
    #[error("timeout of the attempt")]
    TryTimeout,
    /// The endpoint refused the request without processing it.
    #[error("the endpoint refused the request unprocessed")]
    Unprocessed(#[source] io::Error),
    /// It responded with a status after which the request is sent elsewhere.
    #[error("the endpoint responded with {0}")]
    Status(u16),
    /// TLS cannot be set up as configured.
    #[error("the TLS settings of the release are unusable")]
    Tls(#[source] std::sync::Arc<crate::net::NetError>),
}

/// Failure of a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It disconnected.
    #[error("the client disconnected")]
    Gone,
    /// Its body is invalid.
    #[error("the body is invalid")]
    Invalid(#[source] Rejection),
    /// It sent or read nothing for too long.
    #[error("idle timeout of the client")]
    Silent,
}

/// Reason for a response of the proxy's own: a label, a header and a word in the log. In alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorReason {
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
    /// The request was not to be forwarded any further (`Max-Forwards: 0`).
    MaxForwards,
    /// No endpoint is available.
    NoEndpoint,
    /// No route matches.
    NoRoute,
    /// A limit on requests was reached.
    Overloaded,
    /// A preview token is not valid.
    OverrideRefused,
    /// The endpoint of a pinned session is gone.
    PinLost,
    /// No permit became free in time.
    QueueTimeout,
    /// The release left the route, and the time of what was in flight on it is over.
    ReleaseLeft,
    /// The release was removed, and its time to drain is over.
    ReleaseRemoved,
    /// The request as a whole exceeded its timeout.
    RequestTimeout,
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
    /// An override names a release that the route does not have.
    UnknownRelease,
    /// The endpoint closed the connection before it responded.
    UpstreamClosed,
    /// The endpoint responded with a status after which the request was to be sent again.
    UpstreamStatus,
}

impl ProxyError {
    /// The party at fault.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::NoEndpoint
            | Self::NoRoute
            | Self::Overloaded
            | Self::PinLost(_)
            | Self::QueueTimeout
            | Self::ReleaseLeft(_)
            | Self::SessionLost(_) => Fault::Switchback,
            Self::LastHop(_) | Self::OverrideRefused | Self::Refused(_) | Self::UnknownRelease => {
                Fault::Client
            }
            Self::RequestTimeout | Self::Upstream(_) => Fault::Upstream,
        }
    }

    /// True if the selected release had no capacity or no endpoint for the request, which counts as its failure.
    pub(super) fn is_want_of_release(&self) -> bool {
        matches!(
            self,
            Self::NoEndpoint | Self::Overloaded | Self::QueueTimeout
        )
    }

    /// The reason for label, header and log.
    pub(super) fn reason(&self) -> ErrorReason {
        match self {
            Self::LastHop(_) => ErrorReason::MaxForwards,
            Self::NoEndpoint => ErrorReason::NoEndpoint,
            Self::NoRoute => ErrorReason::NoRoute,
            Self::Overloaded => ErrorReason::Overloaded,
            Self::OverrideRefused => ErrorReason::OverrideRefused,
            Self::PinLost(_) => ErrorReason::PinLost,
            Self::QueueTimeout => ErrorReason::QueueTimeout,
            Self::Refused(rejection) => ErrorReason::BadRequest(rejection.reason),
            Self::ReleaseLeft(cut) => match cut.cause {
                CutCause::Left(LeaveCause::Remove) => ErrorReason::ReleaseRemoved,
                CutCause::Left(_) => ErrorReason::ReleaseLeft,
                CutCause::Shutdown => ErrorReason::ShuttingDown,
            },
            Self::RequestTimeout => ErrorReason::RequestTimeout,
            Self::SessionLost(error) if error.is_temporary() => ErrorReason::SessionMove,
            Self::SessionLost(_) => ErrorReason::SessionLost,
            Self::UnknownRelease => ErrorReason::UnknownRelease,
            Self::Upstream(error) => error.reason(),
        }
    }

    /// Status of the response.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::LastHop(_) => 200,
            Self::OverrideRefused => 403,
            Self::PinLost(status) => *status,
            Self::SessionLost(error) if error.is_temporary() => 503,
            Self::NoRoute | Self::SessionLost(_) | Self::UnknownRelease => 404,
            Self::NoEndpoint | Self::Overloaded | Self::QueueTimeout | Self::ReleaseLeft(_) => 503,
            Self::RequestTimeout => 504,
            Self::Refused(rejection) => rejection.status,
            Self::Upstream(error) => error.status(),
        }
    }

    /// True if the response lists the allowed methods (RFC 9110, section 15.5.6).
    pub(super) fn names_methods(&self) -> bool {
        matches!(self, Self::LastHop(None)) || self.status() == 405
    }

    /// True if the response says when to come back: the error is about this moment.
    pub(super) fn is_momentary(&self) -> bool {
        matches!(self.status(), 429 | 503)
    }
}

impl UpstreamError {
    fn reason(&self) -> ErrorReason {
        match self {
            Self::Closed(_) | Self::Unprocessed(_) => ErrorReason::UpstreamClosed,
            Self::Connect(_) | Self::Tls(_) => ErrorReason::ConnectFailed,
            Self::ConnectTimeout => ErrorReason::ConnectTimeout,
            Self::ConnectionLimit | Self::NoStreams => ErrorReason::Overloaded,
            Self::Invalid(_) => ErrorReason::BadAnswer,
            Self::IdleTimeout => ErrorReason::Silence,
            Self::FirstByteTimeout => ErrorReason::FirstByteTimeout,
            Self::TryTimeout => ErrorReason::TryTimeout,
            Self::Status(_) => ErrorReason::UpstreamStatus,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Closed(_) | Self::Connect(_) | Self::Invalid(_) | Self::Tls(_) => 502,
            Self::ConnectionLimit | Self::NoStreams | Self::Unprocessed(_) => 503,
            Self::ConnectTimeout
            | Self::IdleTimeout
            | Self::FirstByteTimeout
            | Self::TryTimeout => 504,
            Self::Status(status) => *status,
        }
    }

    /// The failure for the statistics of attempts.
    pub(super) fn failure(&self) -> AttemptFailure {
        match self {
            Self::Closed(_) => AttemptFailure::Closed,
            Self::Connect(_) | Self::Tls(_) => AttemptFailure::ConnectFailed,
            Self::ConnectTimeout => AttemptFailure::ConnectTimeout,
            Self::ConnectionLimit | Self::NoStreams => AttemptFailure::ConnectionLimit,
            Self::Invalid(_) => AttemptFailure::BadAnswer,
            Self::IdleTimeout => AttemptFailure::Silent,
            Self::FirstByteTimeout => AttemptFailure::FirstByteTimeout,
            Self::TryTimeout => AttemptFailure::TryTimeout,
            Self::Status(_) => AttemptFailure::Status,
            Self::Unprocessed(_) => AttemptFailure::Refused,
        }
    }

    /// True if nothing listens at the address: the fleet then avoids it for a while.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::ConnectTimeout | Self::NoStreams
        )
    }
}

/// The text of an error for work that is cut.
const fn left(cause: CutCause) -> &'static str {
    match cause {
        CutCause::Left(LeaveCause::Remove) => "the release was removed",
        CutCause::Left(LeaveCause::Switch | LeaveCause::Split | LeaveCause::Rollback) => {
            "the release left the route"
        }
        CutCause::Shutdown => "the proxy is shutting down",
    }
}

impl From<Rejection> for ProxyError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl ErrorReason {
    /// Counts a request to which the proxy responded itself, without a release or instead of one.
    pub(super) fn count(self) {
        metrics::counter!(names::REJECTED.0, "reason" => self.as_str()).increment(1);
    }

    /// Value of `x-switchback-reason`, of logs and of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAnswer => "bad_answer",
            Self::BadRequest(reason) => reason.as_str(),
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::MaxForwards => "max_forwards",
            Self::NoEndpoint => "no_endpoint",
            Self::NoRoute => "no_route",
            Self::Overloaded => "overloaded",
            Self::OverrideRefused => "override_refused",
            Self::PinLost => "pin_lost",
            Self::QueueTimeout => "queue_timeout",
            Self::ReleaseLeft => "release_left",
            Self::ReleaseRemoved => "release_removed",
            Self::RequestTimeout => "request_timeout",
            Self::SessionLost => "session_lost",
            Self::SessionMove => "session_move",
            Self::ShuttingDown => "shutting_down",
            Self::Silence => "upstream_silent",
            Self::TryTimeout => "try_timeout",
            Self::UnknownRelease => "unknown_release",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamStatus => "upstream_status",
        }
    }
}
