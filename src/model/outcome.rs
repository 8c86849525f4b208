//! How a request ended, and whose doing it was.

use serde::{Deserialize, Serialize};

/// Why a request went to the release that it went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionReason {
    /// The route's fallback answered for a release that could not.
    Fallback,
    /// The request named its release itself.
    Override,
    /// Its session was held to the release.
    Pin,
    /// The weights decided.
    Split,
}

impl DecisionReason {
    /// The word in logs and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Override => "override",
            Self::Pin => "pin",
            Self::Split => "split",
        }
    }
}

/// Who is to blame for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client.
    Client,
    /// switchback itself: a limit, no route, an inner error.
    Switchback,
    /// An endpoint.
    Upstream,
}

/// Why an attempt to have an endpoint answer a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// What it sent is not an answer.
    BadAnswer,
    /// It closed the connection, or reset the stream.
    Closed,
    /// No connection could be made.
    ConnectFailed,
    /// No connection could be made in time.
    ConnectTimeout,
    /// It has as many connections or streams as it may have.
    ConnectionLimit,
    /// It said that it did not look at the request.
    Refused,
    /// The whole request took longer than it may.
    RequestTimeout,
    /// It was silent for too long.
    Silent,
}

impl AttemptFailure {
    /// Every failure, in the order of [`AttemptFailure::index`].
    pub const ALL: [Self; 8] = [
        Self::BadAnswer,
        Self::Closed,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::ConnectionLimit,
        Self::Refused,
        Self::RequestTimeout,
        Self::Silent,
    ];

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAnswer => "bad_answer",
            Self::Closed => "upstream_closed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionLimit => "connection_limit",
            Self::Refused => "refused",
            Self::RequestTimeout => "request_timeout",
            Self::Silent => "upstream_silent",
        }
    }

    /// The place in [`AttemptFailure::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How a request that was sent to a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer with this status went to the client whole.
    Answered(u16),
    /// The client left before the answer was whole; the status is what it had seen, if any.
    ClientGone(Option<u16>),
    /// The endpoint broke the answer off after this status.
    Cut(u16),
    /// No answer came from the endpoint: the client got this status from us (502, 503 or 504).
    Failed(u16),
}

/// What an outcome says about the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeClass {
    /// The client left (499 in logs): never held against a release.
    ClientGone,
    /// The client's own mistake (4xx): never held against a release.
    ClientError,
    /// The release failed: 5xx, an answer cut half-way, or none at all.
    Failure,
    /// The release did what it should (1xx to 3xx).
    Success,
}

impl OutcomeClass {
    /// Every class, in the order of [`OutcomeClass::index`].
    pub const ALL: [Self; 4] = [
        Self::ClientGone,
        Self::ClientError,
        Self::Failure,
        Self::Success,
    ];

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::ClientError => "client_error",
            Self::Failure => "failure",
            Self::Success => "good",
        }
    }

    /// The place in [`OutcomeClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Outcome {
    /// What the outcome says about the release: the one place where that is decided.
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

    /// The status for metrics and logs: what the client saw, or 499 when it left before it saw one.
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
        for (place, failure) in AttemptFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), place);
        }
    }
}
