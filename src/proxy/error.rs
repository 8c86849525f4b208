//! What goes wrong with a request, whose fault it is, and what the client is told.
//!
//! The client sees a status, a reason from a closed list and the request's id; internal text goes to the log only.

use std::{fmt, io};

use crate::message::{self, Rejection};
use crate::model::{AttemptFailure, Fault};
use crate::telemetry::names;

/// A request that we answer ourselves.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// The request is to be answered by whoever stands here (`Max-Forwards: 0`): a `TRACE` with what came, an `OPTIONS`
    /// with nothing.
    #[error("the request goes no further")]
    LastHop(Option<Box<[u8]>>),
    /// A selection found nobody: every endpoint is unhealthy, or there is none.
    #[error("no endpoint is available")]
    NoEndpoint,
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// Too many requests in flight, or on this release.
    #[error("too many requests in flight")]
    Overloaded,
    /// A place in the queue of a release did not become free in time.
    #[error("no place became free in time")]
    QueueTimeout,
    /// The request is not one that is forwarded.
    #[error("the request was refused")]
    Refused(#[source] Rejection),
    /// The release left the table, and what was in flight on it has had its time.
    #[error("the release was removed")]
    ReleaseRemoved,
    /// The whole request took longer than it may.
    #[error("the request took too long")]
    RequestTimeout,
    /// The request names a release that its route does not have.
    #[error("the route has no such release")]
    UnknownRelease,
    /// An endpoint failed before the answer began.
    #[error("the endpoint failed")]
    Upstream(#[source] UpstreamError),
}

/// What an endpoint did wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It closed or reset the connection.
    #[error("the endpoint closed the connection")]
    Closed(#[source] Option<io::Error>),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// No connection could be made in time.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// It has as many connections as it may have.
    #[error("the endpoint has too many connections")]
    ConnectionLimit,
    /// It allows no streams at the moment.
    #[error("the endpoint allows no streams")]
    NoStreams,
    /// What it sent is not an answer.
    #[error("the answer was refused")]
    Invalid(#[source] Rejection),
    /// It was silent, or did not read, for too long.
    #[error("the endpoint was silent for too long")]
    Silent,
    /// It refused the request before it looked at it.
    #[error("the endpoint refused the request unprocessed")]
    Unprocessed(#[source] io::Error),
    /// TLS with it cannot be set up as configured.
    #[error("the TLS settings of the release are unusable")]
    Tls(#[source] std::sync::Arc<crate::net::NetError>),
}

/// What a client did wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It left.
    #[error("the client left")]
    Gone,
    /// Its body is not one.
    #[error("the body was refused")]
    Invalid(#[source] Rejection),
    /// It sent or read nothing for too long.
    #[error("the client was silent for too long")]
    Silent,
}

/// Why we answered ourselves: a label, a header and a word in the log. The variants are in alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The endpoint's answer was refused.
    BadAnswer,
    /// The request broke a rule.
    BadRequest(message::Reason),
    /// No connection to an endpoint.
    ConnectFailed,
    /// No connection to an endpoint in time.
    ConnectTimeout,
    /// The request was not to go any further (`Max-Forwards: 0`).
    MaxForwards,
    /// No endpoint is left.
    NoEndpoint,
    /// No route matches.
    NoRoute,
    /// A limit on requests was reached.
    Overloaded,
    /// No place in the queue became free in time.
    QueueTimeout,
    /// The release left the table long ago.
    ReleaseRemoved,
    /// The request as a whole took too long.
    RequestTimeout,
    /// The endpoint was silent for too long.
    Silence,
    /// An override names a release that the route does not have.
    UnknownRelease,
    /// The endpoint closed the connection before it answered.
    UpstreamClosed,
}

/// An error with everything that caused it, for the log.
pub(super) struct ErrorChain<'e>(pub(super) &'e dyn std::error::Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl ProxyError {
    /// Who is to blame.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::NoEndpoint
            | Self::NoRoute
            | Self::Overloaded
            | Self::QueueTimeout
            | Self::ReleaseRemoved => Fault::Switchback,
            Self::LastHop(_) | Self::Refused(_) | Self::UnknownRelease => Fault::Client,
            Self::RequestTimeout | Self::Upstream(_) => Fault::Upstream,
        }
    }

    /// Whether a release that was decided on had no room, or nobody, for the request: it has failed.
    pub(super) fn is_want_of_release(&self) -> bool {
        matches!(
            self,
            Self::NoEndpoint | Self::Overloaded | Self::QueueTimeout
        )
    }

    /// Why, as a word.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::LastHop(_) => Reason::MaxForwards,
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::NoRoute => Reason::NoRoute,
            Self::Overloaded => Reason::Overloaded,
            Self::QueueTimeout => Reason::QueueTimeout,
            Self::Refused(rejection) => Reason::BadRequest(rejection.reason),
            Self::ReleaseRemoved => Reason::ReleaseRemoved,
            Self::RequestTimeout => Reason::RequestTimeout,
            Self::UnknownRelease => Reason::UnknownRelease,
            Self::Upstream(error) => error.reason(),
        }
    }

    /// What the client gets.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::LastHop(_) => 200,
            Self::NoRoute | Self::UnknownRelease => 404,
            Self::NoEndpoint | Self::Overloaded | Self::QueueTimeout | Self::ReleaseRemoved => 503,
            Self::RequestTimeout => 504,
            Self::Refused(rejection) => rejection.status,
            Self::Upstream(error) => error.status(),
        }
    }

    /// Whether the client is to be told which methods there are (RFC 9110, section 15.5.6).
    pub(super) fn names_methods(&self) -> bool {
        matches!(self, Self::LastHop(None)) || self.status() == 405
    }

    /// When to come again, in seconds, where that is known to help.
    pub(super) fn retry_after(&self) -> Option<&'static str> {
        match self.status() {
            503 => Some("1"),
            _ => None,
        }
    }
}

impl UpstreamError {
    fn reason(&self) -> Reason {
        match self {
            Self::Closed(_) | Self::Unprocessed(_) => Reason::UpstreamClosed,
            Self::Connect(_) | Self::Tls(_) => Reason::ConnectFailed,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::ConnectionLimit | Self::NoStreams => Reason::Overloaded,
            Self::Invalid(_) => Reason::BadAnswer,
            Self::Silent => Reason::Silence,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Closed(_) | Self::Connect(_) | Self::Invalid(_) | Self::Tls(_) => 502,
            Self::ConnectionLimit | Self::NoStreams | Self::Unprocessed(_) => 503,
            Self::ConnectTimeout | Self::Silent => 504,
        }
    }

    /// The same for the statistics of attempts.
    pub(super) fn failure(&self) -> AttemptFailure {
        match self {
            Self::Closed(_) => AttemptFailure::Closed,
            Self::Connect(_) | Self::Tls(_) => AttemptFailure::ConnectFailed,
            Self::ConnectTimeout => AttemptFailure::ConnectTimeout,
            Self::ConnectionLimit | Self::NoStreams => AttemptFailure::ConnectionLimit,
            Self::Invalid(_) => AttemptFailure::BadAnswer,
            Self::Silent => AttemptFailure::Silent,
            Self::Unprocessed(_) => AttemptFailure::Refused,
        }
    }

    /// Whether it says that nobody serves at the address: the fleet then leaves it alone for a while.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::ConnectTimeout | Self::NoStreams
        )
    }
}

impl From<Rejection> for ProxyError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl Reason {
    /// Counts a request that we answered without asking a release, or instead of one.
    pub(super) fn count(self) {
        metrics::counter!(names::REJECTED.0, "reason" => self.as_str()).increment(1);
    }

    /// The word in `x-switchback-reason`, in logs and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAnswer => "bad_answer",
            Self::BadRequest(reason) => reason.as_str(),
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::MaxForwards => "max_forwards",
            Self::NoEndpoint => "no_endpoint",
            Self::NoRoute => "no_route",
            Self::Overloaded => "overloaded",
            Self::QueueTimeout => "queue_timeout",
            Self::ReleaseRemoved => "release_removed",
            Self::RequestTimeout => "request_timeout",
            Self::Silence => "upstream_silent",
            Self::UnknownRelease => "unknown_release",
            Self::UpstreamClosed => "upstream_closed",
        }
    }
}
