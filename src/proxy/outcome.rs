//! The end of a request: of the relay in both directions, of an attempt, of the whole.

use crate::message::{Reason, Rejection};
use crate::model::{AttemptFailure, Outcome};
use crate::net::Buffer;

use super::error::{ClientError, ProxyError, UpstreamError};
use super::h2::{PooledStream, StreamHandle};
use super::io::RequestMeta;
use super::observe;
use super::pool::Connection;
use super::request_context::RequestContext;
use super::retry::Evidence;
use super::select::Selected;
use super::work_class::Cut;

/// The end of a request on its client's connection.
pub(super) enum RequestEnd {
    /// The response is whole; the connection may go on if everything else allows it.
    Whole,
    /// Something was cut: nothing more may be sent to the client on this connection.
    Cut,
    /// The client and the endpoint talk to each other directly from here on.
    Upgraded(Box<Upgraded>),
}

/// A request whose connection, or stream, is a tunnel now. It counts as in flight until this is dropped.
pub(super) struct Upgraded {
    pub(super) selected: Selected,
    pub(super) endpoint: UpgradedEndpoint,
}

/// The endpoint's side of a tunnel.
pub(super) enum UpgradedEndpoint {
    /// A connection of HTTP/1.1, and the bytes that came behind its 101.
    Socket {
        connection: Connection,
        received: Option<Buffer>,
    },
    /// A stream of HTTP/2, and its place on the connection.
    Stream {
        handle: StreamHandle,
        #[expect(dead_code, reason = "it is counted until it is dropped")]
        stream: PooledStream,
    },
}

/// The result of an attempt.
pub(super) enum Attempted {
    /// The client has its response, or as much of it as it will get.
    Finished(RequestEnd),
    /// No response came, and the request may be sent again.
    Retry,
    /// No response came: the client gets one of ours.
    Unanswered(ProxyError),
    /// The client has consent to an upgrade.
    Upgraded,
}

/// The end of a relay.
pub(super) enum RelayEnd {
    /// The client has aborted, or broken a rule.
    Client(ClientError),
    /// The whole took longer than it may.
    TooLong,
    /// Its release left the route, and its time is over.
    Cut(Cut),
    /// The endpoint has aborted, or broken a rule.
    Upstream(UpstreamError),
    /// The client has consent to an upgrade.
    Upgraded,
    /// It failed after the response began, but nothing of the response had left, so that the client can get one of ours.
    Unsent(ProxyError),
    /// The client has left with the last event of a stream, before the end of the body.
    Delivered,
    /// The response is whole.
    Whole,
}

/// Concludes an attempt: counts it, and decides if the request is sent again. `evidence` is that of an endpoint that has
/// aborted.
pub(super) fn conclude(
    (context, selected): (&mut RequestContext, &Selected),
    meta: &RequestMeta,
    end: RelayEnd,
    evidence: Evidence,
) -> Attempted {
    if let (RelayEnd::Whole, Some(status)) = (&end, context.status.get()) {
        observe::whole(context, selected);
        context.end(Outcome::Answered(status));
        return Attempted::Finished(RequestEnd::Whole);
    }
    match &end {
        RelayEnd::Delivered => observe::whole(context, selected),
        RelayEnd::Upstream(error) => {
            observe::broken(context, selected, meta, (error, evidence));
        }
        _ => {}
    }
    let Some(status) = context.status.get() else {
        return conclude_unanswered((context, selected), meta, end, evidence);
    };
    match end {
        RelayEnd::Upgraded => return Attempted::Upgraded,
        RelayEnd::Whole | RelayEnd::Delivered => context.end(Outcome::Answered(status)),
        RelayEnd::Cut(cut) => context.release_left(cut),
        RelayEnd::Client(error) => {
            context.end(Outcome::ClientGone(Some(status)));
            if let Ok(error) = RelayEnd::Client(error).unanswered() {
                context.cut(&error);
            }
        }
        end @ (RelayEnd::TooLong | RelayEnd::Unsent(_) | RelayEnd::Upstream(_)) => {
            context.end(Outcome::Cut(status));
            if let Ok(error) = end.unanswered() {
                context.cut(&error);
            }
        }
    }
    Attempted::Finished(RequestEnd::Cut)
}

fn conclude_unanswered(
    (context, selected): (&mut RequestContext, &Selected),
    meta: &RequestMeta,
    end: RelayEnd,
    evidence: Evidence,
) -> Attempted {
    let evidence = match end {
        RelayEnd::Upstream(UpstreamError::Closed(_) | UpstreamError::Unprocessed(_)) => evidence,
        RelayEnd::Upstream(UpstreamError::Status(_)) => Evidence::Answered,
        RelayEnd::Upstream(UpstreamError::TryTimeout) => Evidence::TimedOut,
        _ => Evidence::Unknown,
    };
    match end.unanswered() {
        Ok(ProxyError::Upstream(error)) => {
            if context.attempt_failed(selected, &error, evidence, meta) {
                Attempted::Retry
            } else {
                Attempted::Unanswered(ProxyError::Upstream(error))
            }
        }
        Ok(error) => {
            // An endpoint has the request, and may go on with it.
            context.attempts.get_or_insert_default().is_final = true;
            if matches!(error, ProxyError::RequestTimeout) {
                context.count_failed_attempt(AttemptFailure::RequestTimeout, &error);
            }
            Attempted::Unanswered(error)
        }
        Err(RelayEnd::Client(_)) => {
            context.end(Outcome::ClientGone(None));
            Attempted::Finished(RequestEnd::Cut)
        }
        Err(_) => {
            context.end(Outcome::Answered(200));
            Attempted::Finished(RequestEnd::Whole)
        }
    }
}

// === impl RelayEnd ===

impl RelayEnd {
    /// The error for a client that has seen nothing yet; the end itself if there is none, or no client.
    pub(super) fn unanswered(self) -> Result<ProxyError, Self> {
        match self {
            Self::Client(ClientError::Invalid(rejection)) => Ok(ProxyError::Refused(rejection)),
            Self::Client(ClientError::Silent) => {
                Ok(Rejection::request(Reason::RequestTimeout).into())
            }
            Self::Upstream(error) => Ok(ProxyError::Upstream(error)),
            Self::TooLong => Ok(ProxyError::RequestTimeout),
            Self::Cut(cut) => Ok(ProxyError::ReleaseLeft(cut)),
            Self::Unsent(error) => Ok(error),
            end @ (Self::Client(ClientError::Gone)
            | Self::Delivered
            | Self::Upgraded
            | Self::Whole) => Err(end),
        }
    }
}
