//! Errors of a request: their cause, their fault and the status that the client gets.
//!
//! The client sees a status, a reason from a closed list and the request's id; internal text goes to the log only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::message::Rejection;
use crate::model::{AttemptFailure, CutCause, Fault, LeaveCause};
use crate::table::AccessGuard;

use super::error_reason::ErrorReason;
use super::route_answer::RouteAnswer;
use super::session_move::MoveError;
use super::work_class::Cut;

/// A failed request, to which the proxy itself responds.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// A certificate authority asks for a proof of the domain, which is the answer.
    #[error("the question of a certificate authority is answered")]
    AcmeChallenge(Arc<str>),
    /// The route gives the response itself.
    #[error("{}", .0.message())]
    ByRoute(Box<RouteAnswer>),
    /// `Max-Forwards: 0`: the proxy is the final recipient. A `TRACE` is echoed, an `OPTIONS` gets an empty response.
    #[error("the request is not forwarded (`Max-Forwards: 0`)")]
    LastHop(Option<Box<[u8]>>),
    /// Routes match but for the method. With the methods that they accept.
    #[error("no route has the method")]
    MethodNotAllowed(Box<str>),
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
    /// The route is paused, and the request has waited for too long or finds too many that wait.
    #[error("the route is paused")]
    Paused,
    /// The endpoint of a pinned session is gone, and the route lets no other serve it. With the status.
    #[error("the endpoint of the session is gone")]
    PinLost(u16),
    /// A page of another origin asks if it may send a request: it may, and no endpoint has to be asked.
    #[error("the preflight is answered by the proxy")]
    Preflight,
    /// A page of another origin asks the same, and may not read answers of the route.
    #[error("the origin is not allowed")]
    OriginRefused,
    /// The rate limit of the route is reached, or that of failures at its guard, for this time.
    #[error("too many requests")]
    RateLimited(Duration),
    /// The request has not the credentials that its route asks for.
    #[error("credentials are required")]
    Unauthorized(Arc<AccessGuard>),
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
    Tls(#[source] Arc<crate::net::NetError>),
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

impl ProxyError {
    /// The party at fault.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::ByRoute(_)
            | Self::NoEndpoint
            | Self::NoRoute
            | Self::Overloaded
            | Self::Paused
            | Self::PinLost(_)
            | Self::QueueTimeout
            | Self::ReleaseLeft(_)
            | Self::SessionLost(_) => Fault::Switchback,
            Self::AcmeChallenge(_)
            | Self::LastHop(_)
            | Self::MethodNotAllowed(_)
            | Self::OriginRefused
            | Self::OverrideRefused
            | Self::Preflight
            | Self::RateLimited(_)
            | Self::Refused(_)
            | Self::Unauthorized(_)
            | Self::UnknownRelease => Fault::Client,
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
            Self::AcmeChallenge(_) => ErrorReason::AcmeChallenge,
            Self::ByRoute(answer) => match **answer {
                RouteAnswer::Maintenance(..) => ErrorReason::Maintenance,
                RouteAnswer::Redirect { .. } => ErrorReason::Redirect,
                RouteAnswer::Respond(_) => ErrorReason::Respond,
            },
            Self::LastHop(_) => ErrorReason::MaxForwards,
            Self::MethodNotAllowed(_) => ErrorReason::MethodNotAllowed,
            Self::NoEndpoint => ErrorReason::NoEndpoint,
            Self::NoRoute => ErrorReason::NoRoute,
            Self::OriginRefused => ErrorReason::OriginRefused,
            Self::Overloaded => ErrorReason::Overloaded,
            Self::OverrideRefused => ErrorReason::OverrideRefused,
            Self::Paused => ErrorReason::Paused,
            Self::PinLost(_) => ErrorReason::PinLost,
            Self::Preflight => ErrorReason::Preflight,
            Self::QueueTimeout => ErrorReason::QueueTimeout,
            Self::RateLimited(_) => ErrorReason::RateLimited,
            Self::Refused(rejection) => ErrorReason::BadRequest(rejection.reason),
            Self::ReleaseLeft(cut) => match cut.cause {
                CutCause::Left(LeaveCause::Remove) => ErrorReason::ReleaseRemoved,
                CutCause::Left(_) => ErrorReason::ReleaseLeft,
                CutCause::Shutdown => ErrorReason::ShuttingDown,
            },
            Self::RequestTimeout => ErrorReason::RequestTimeout,
            Self::SessionLost(error) if error.is_temporary() => ErrorReason::SessionMove,
            Self::SessionLost(_) => ErrorReason::SessionLost,
            Self::Unauthorized(_) => ErrorReason::Unauthorized,
            Self::UnknownRelease => ErrorReason::UnknownRelease,
            Self::Upstream(error) => error.reason(),
        }
    }

    /// Status of the response.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::AcmeChallenge(_) | Self::LastHop(_) => 200,
            Self::ByRoute(answer) => answer.status(),
            Self::MethodNotAllowed(_) => 405,
            Self::OriginRefused | Self::OverrideRefused => 403,
            Self::Preflight => 204,
            Self::RateLimited(_) => 429,
            Self::Unauthorized(_) => 401,
            Self::PinLost(status) => *status,
            Self::SessionLost(error) if error.is_temporary() => 503,
            Self::NoRoute | Self::SessionLost(_) | Self::UnknownRelease => 404,
            Self::NoEndpoint
            | Self::Overloaded
            | Self::Paused
            | Self::QueueTimeout
            | Self::ReleaseLeft(_) => 503,
            Self::RequestTimeout => 504,
            Self::Refused(rejection) => rejection.status,
            Self::Upstream(error) => error.status(),
        }
    }

    /// True if the response lists the allowed methods (RFC 9110, section 15.5.6).
    pub(super) fn names_methods(&self) -> bool {
        match self {
            Self::ByRoute(_) => false,
            error => matches!(error, Self::LastHop(None)) || error.status() == 405,
        }
    }

    /// Seconds after which a request would pass, where that is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            _ => None,
        }
    }

    /// True if the response says when to come back: the error is about this moment.
    pub(super) fn is_momentary(&self) -> bool {
        !matches!(self, Self::ByRoute(_)) && matches!(self.status(), 429 | 503)
    }

    /// True for a redirect.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self, Self::ByRoute(answer) if matches!(**answer, RouteAnswer::Redirect { .. }))
    }

    /// The response of the route, if it is one.
    pub(super) fn by_route(&self) -> Option<&RouteAnswer> {
        match self {
            Self::ByRoute(answer) => Some(answer),
            _ => None,
        }
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
