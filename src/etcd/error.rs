//! Errors of the client.

use std::time::Duration;

use thiserror::Error;

use super::wire::{GrpcCode, Refusal, WireError};
use crate::net::{HttpError, NetError};

/// Reason why a call or a watch has failed. Its text has neither keys nor values nor secrets.
#[derive(Debug, Error)]
pub enum EtcdError {
    /// An answer is larger than the client reads.
    #[error("an answer of etcd has more than {0} bytes")]
    AnswerTooLarge(usize),
    /// etcd has ended a watch.
    #[error("etcd has ended the watch: {0}")]
    Cancelled(String),
    /// The revision is not there any more.
    #[error("the revision has been compacted")]
    Compacted,
    /// The user lacks the right.
    #[error("etcd refuses: {0} (grant the user's role this key range)")]
    Forbidden(String),
    /// The revision is not there yet.
    #[error("the revision is in the future")]
    FutureRevision,
    /// An exchange broke off.
    #[error("{0}")]
    Interrupted(String),
    /// There is no such lease.
    #[error("the lease is gone")]
    LeaseNotFound,
    /// An answer is not one of etcd.
    #[error("the answer is not one of etcd: {0}")]
    Malformed(String),
    /// The member that was asked has no leader.
    #[error("etcd has no leader (are most of its members running and connected?)")]
    NoLeader,
    /// etcd refuses for another reason.
    #[error("etcd refuses: {message}")]
    Refused {
        /// Code of gRPC.
        code: u32,
        /// The reason.
        message: String,
    },
    /// The request is larger than etcd takes.
    #[error("the request is larger than etcd takes (see its `--max-request-bytes`)")]
    RequestTooLarge,
    /// A watch showed no sign of life.
    #[error("the watch was silent for {0:?}")]
    Silent(Duration),
    /// The quota of the store is used up.
    #[error("the store is full (compact and defragment it, then clear the alarm)")]
    StoreFull,
    /// There was no answer in time.
    #[error("etcd did not answer within {0:?}")]
    TimedOut(Duration),
    /// The TLS settings cannot be used.
    #[error("TLS towards etcd cannot be set up: {0}")]
    Tls(#[source] NetError),
    /// The user, the password or the token is not accepted.
    #[error("etcd does not accept the user: {0}")]
    Unauthenticated(String),
    /// etcd cannot answer at the moment.
    #[error("etcd cannot answer: {0}")]
    Unavailable(String),
    /// No connection: nothing was sent.
    #[error("{0}")]
    Unreachable(String),
}

// === impl EtcdError ===

impl EtcdError {
    /// True if a write may have been done all the same.
    pub const fn outcome_is_unknown(&self) -> bool {
        matches!(
            self,
            Self::AnswerTooLarge(_)
                | Self::Interrupted(_)
                | Self::Malformed(_)
                // etcd says so as well of the write by which it became full.
                | Self::StoreFull
                | Self::TimedOut(_)
                | Self::Unavailable(_)
        )
    }

    /// True if another member may do better. What may have been done is sent to another one only if it may be repeated.
    pub(super) const fn is_of_the_member(&self, repeatable: bool) -> bool {
        match self {
            Self::NoLeader | Self::Unreachable(_) => true,
            Self::Interrupted(_) | Self::Malformed(_) | Self::Unavailable(_) => repeatable,
            _ => false,
        }
    }
}

impl From<Refusal> for EtcdError {
    fn from(Refusal { code, message }: Refusal) -> Self {
        let says = |part: &str| message.contains(part);
        match code {
            GrpcCode::Unauthenticated => Self::Unauthenticated(message),
            GrpcCode::InvalidArgument
                if says("user name is empty")
                    || says("authentication failed")
                    || says("auth store is old") =>
            {
                Self::Unauthenticated(message)
            }
            GrpcCode::PermissionDenied => Self::Forbidden(message),
            GrpcCode::NotFound if says("lease not found") => Self::LeaseNotFound,
            GrpcCode::OutOfRange if says("compacted") => Self::Compacted,
            GrpcCode::OutOfRange if says("future revision") => Self::FutureRevision,
            GrpcCode::InvalidArgument if says("request is too large") => Self::RequestTooLarge,
            GrpcCode::ResourceExhausted if says("larger than max") => Self::RequestTooLarge,
            GrpcCode::ResourceExhausted if says("space exceeded") => Self::StoreFull,
            GrpcCode::Unavailable if says("no leader") => Self::NoLeader,
            // etcd tells a deadline that passed inside it as an unknown error.
            GrpcCode::Unavailable | GrpcCode::Unknown | GrpcCode::Other(1 | 4) => {
                Self::Unavailable(message)
            }
            code => Self::Refused {
                code: code.number(),
                message,
            },
        }
    }
}

impl From<WireError> for EtcdError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Large(most) => Self::AnswerTooLarge(most),
            WireError::Malformed(text) => Self::Malformed(text),
            WireError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<HttpError> for EtcdError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connect(text) => Self::Unreachable(text),
            HttpError::Exchange(text) => Self::Interrupted(text),
            HttpError::Large(most) => Self::AnswerTooLarge(most),
            HttpError::Status { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u32, message: &str) -> EtcdError {
        let code = GrpcCode::of_number(code);
        EtcdError::from(Refusal {
            code,
            message: message.to_owned(),
        })
    }

    #[test]
    fn refusals_are_told_apart_by_code_and_text() {
        use EtcdError as E;
        assert!(matches!(of(14, "etcdserver: no leader"), E::NoLeader));
        assert!(matches!(
            of(14, "etcdserver: request timed out"),
            E::Unavailable(_)
        ));
        assert!(matches!(
            of(2, "context deadline exceeded"),
            E::Unavailable(_)
        ));
        assert!(matches!(
            of(16, "etcdserver: invalid auth token"),
            E::Unauthenticated(_)
        ));
        assert!(matches!(
            of(3, "etcdserver: user name is empty"),
            E::Unauthenticated(_)
        ));
        assert!(matches!(
            of(7, "etcdserver: permission denied"),
            E::Forbidden(_)
        ));
        assert!(matches!(
            of(5, "etcdserver: requested lease not found"),
            E::LeaseNotFound
        ));
        assert!(matches!(
            of(11, "etcdserver: mvcc: required revision has been compacted"),
            E::Compacted
        ));
        assert!(matches!(
            of(
                11,
                "etcdserver: mvcc: required revision is a future revision"
            ),
            E::FutureRevision
        ));
        assert!(matches!(
            of(8, "etcdserver: mvcc: database space exceeded"),
            E::StoreFull
        ));
        assert!(matches!(
            of(3, "etcdserver: request is too large"),
            E::RequestTooLarge
        ));
        assert!(matches!(
            of(9, "etcdserver: authentication is not enabled"),
            E::Refused { code: 9, .. }
        ));
    }

    #[test]
    fn what_may_have_been_done_goes_to_another_member_only_if_it_may_be_repeated() {
        for error in [
            of(14, "etcdserver: request timed out"),
            EtcdError::Interrupted(String::new()),
        ] {
            assert!(error.outcome_is_unknown());
            assert!(error.is_of_the_member(true) && !error.is_of_the_member(false));
        }
        for error in [EtcdError::NoLeader, EtcdError::Unreachable(String::new())] {
            assert!(!error.outcome_is_unknown());
            assert!(error.is_of_the_member(true) && error.is_of_the_member(false));
        }
        let full = of(8, "etcdserver: mvcc: database space exceeded");
        assert!(full.outcome_is_unknown() && !full.is_of_the_member(true));
        assert!(!of(7, "etcdserver: permission denied").is_of_the_member(true));
    }
}
