//! Outcome of a request, and the party at fault.

use serde::{Deserialize, Serialize};

/// Reason for the choice of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionReason {
    /// The route's fallback served the request for a release that could not.
    Fallback,
    /// The request named its release itself.
    Override,
    /// Its session was pinned to the release.
    Pin,
    /// The weights decided.
    Split,
}

impl DecisionReason {
    /// All reasons, in the order of [`DecisionReason::index`].
    pub const ALL: [Self; 4] = [Self::Fallback, Self::Override, Self::Pin, Self::Split];

    /// Index in [`DecisionReason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in logs and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Override => "override",
            Self::Pin => "pin",
            Self::Split => "split",
        }
    }
}

/// Party at fault for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client.
    Client,
    /// switchback itself: a limit, no route, an internal error.
    Switchback,
    /// An endpoint.
    Upstream,
}

/// Reason why an attempt to send a request to an endpoint failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// The endpoint sent no valid response.
    BadAnswer,
    /// The endpoint closed the connection, or reset the stream.
    Closed,
    /// No connection could be made.
    ConnectFailed,
    /// No connection could be made in time.
    ConnectTimeout,
    /// The endpoint has reached its limit of connections or streams.
    ConnectionLimit,
    /// The response did not begin in time.
    FirstByteTimeout,
    /// The endpoint did not process the request.
    Refused,
    /// The timeout of the whole request expired.
    RequestTimeout,
    /// The idle timeout expired.
    Silent,
    /// The endpoint responded with a status after which the request was sent elsewhere.
    Status,
    /// The timeout of the attempt expired.
    TryTimeout,
}

impl AttemptFailure {
    /// All failures, in the order of [`AttemptFailure::index`].
    pub const ALL: [Self; 11] = [
        Self::BadAnswer,
        Self::Closed,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::ConnectionLimit,
        Self::FirstByteTimeout,
        Self::Refused,
        Self::RequestTimeout,
        Self::Silent,
        Self::Status,
        Self::TryTimeout,
    ];

    /// Name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAnswer => "bad_answer",
            Self::Closed => "upstream_closed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionLimit => "connection_limit",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::Refused => "refused",
            Self::RequestTimeout => "request_timeout",
            Self::Silent => "upstream_silent",
            Self::Status => "upstream_status",
            Self::TryTimeout => "try_timeout",
        }
    }

    /// Index in [`AttemptFailure::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Outcome of a request that was sent to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The whole response with this status went to the client.
    Answered(u16),
    /// The client left before the end of the response; the status is the one it had received, if any.
    ClientGone(Option<u16>),
    /// The endpoint cut the response after this status.
    Cut(u16),
    /// The endpoint sent no response: the client got this status from switchback (502, 503 or 504).
    Failed(u16),
}

/// Class of an outcome, for the evaluation of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeClass {
    /// The client left (499 in logs): never counts against a release.
    ClientGone,
    /// Error of the client (4xx): never counts against a release.
    ClientError,
    /// The release failed: 5xx, a response cut half-way, or none at all.
    Failure,
    /// Success (1xx to 3xx).
    Success,
}

impl OutcomeClass {
    /// All classes, in the order of [`OutcomeClass::index`].
    pub const ALL: [Self; 4] = [
        Self::ClientGone,
        Self::ClientError,
        Self::Failure,
        Self::Success,
    ];

    /// Name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::ClientError => "client_error",
            Self::Failure => "failure",
            Self::Success => "good",
        }
    }

    /// Index in [`OutcomeClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Outcome {
    /// Class of the outcome: decided only here.
    pub const fn class(self) -> OutcomeClass {
        match self {
            Self::ClientGone(_) => OutcomeClass::ClientGone,
            Self::Cut(_) | Self::Failed(_) => OutcomeClass::Failure,
            Self::Answered(status) => match status {
                0..=399 => OutcomeClass::Success,
                400..=499 => OutcomeClass::ClientError,
                _ => OutcomeClass::Failure,
            },
        }
    }

    /// Status for metrics and logs: the one that the client received, or 499 if it left before that.
    pub const fn code(self) -> u16 {
        match self {
            Self::Answered(status)
            | Self::Cut(status)
            | Self::Failed(status)
            | Self::ClientGone(Some(status)) => status,
            Self::ClientGone(None) => 499,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_release_did_is_held_against_it() {
        assert_eq!(Outcome::Answered(200).class(), OutcomeClass::Success);
        assert_eq!(Outcome::Answered(404).class(), OutcomeClass::ClientError);
        assert_eq!(Outcome::Answered(500).class(), OutcomeClass::Failure);
        assert_eq!(
            Outcome::ClientGone(Some(200)).class(),
            OutcomeClass::ClientGone
        );
        assert_eq!(Outcome::Cut(200).class(), OutcomeClass::Failure);
        assert_eq!(Outcome::ClientGone(None).code(), 499);
    }

    #[test]
    fn the_index_of_a_class_is_its_place() {
        for (place, class) in OutcomeClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), place);
        }
        for (place, reason) in DecisionReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        for (place, failure) in AttemptFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), place);
        }
    }
}
