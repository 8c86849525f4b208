//! The rule of what is sent again after an attempt that brought no answer: one for HTTP/1.1 and HTTP/2.
//!
//! | what the failed attempt shows | idempotent | other methods |
//! |---|---|---|
//! | no connection was made, or not one byte of the request was written | again | again |
//! | the endpoint refused it: `REFUSED_STREAM`, or a stream above the last one of its GOAWAY | again | again |
//! | a kept connection ended before one byte of the answer | again | no |
//! | a new connection ended, another reset, a malformed answer, silence, a part of an answer | no | no |
//!
//! In each case only if the body is still held whole, [`MOST_ATTEMPTS`] were not made yet and the time for connecting is
//! not over. A repeat goes over a connection that is newer than the failure. Once a byte may have reached an endpoint, it
//! goes to an endpoint of the release that was selected then, whatever the table says by now.

use std::net::SocketAddr;

use crate::model::AttemptFailure;

/// Attempts in all. The first repeats share connections that were opened since, the last ones open their own, on which
/// they are the first stream: an endpoint that takes few streams per connection takes that one.
pub(super) const MOST_ATTEMPTS: u32 = 5;
/// From so many failures on, a repeat opens a connection of its own.
const OWN_CONNECTION: u32 = 3;

/// What a failed attempt shows about how far the endpoint may have come with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Not one byte was written.
    NotSent,
    /// The endpoint says that it did not look at it.
    Refused,
    /// A connection that had carried a request before ended before one byte of the answer: most likely it had been closed
    /// before the request came.
    KeptConnectionEnded,
    /// The endpoint may have done anything.
    Unknown,
}

/// An attempt that brought no answer, and the request that it was made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedAttempt {
    pub(super) evidence: Evidence,
    /// Doing the request twice is doing it once (RFC 9110, section 9.2.2).
    pub(super) is_idempotent: bool,
    /// All that was read of the body is still there.
    pub(super) holds_body: bool,
    /// Attempts that were made, this one included.
    pub(super) attempts: u32,
    /// The time for connecting is not over.
    pub(super) is_in_time: bool,
}

/// What is remembered of the attempts of one request, once one has failed.
#[derive(Default)]
pub(super) struct Attempts {
    pub(super) failed: u32,
    /// Endpoints that could not be connected to.
    pub(super) tried: Vec<SocketAddr>,
    /// A byte may have reached an endpoint: the release stays.
    pub(super) is_bound: bool,
    /// A repeat takes no connection with a lower number.
    pub(super) newer_than: Option<u64>,
    /// Why the last one failed.
    pub(super) last: Option<AttemptFailure>,
}

// === impl FailedAttempt ===

impl FailedAttempt {
    /// Whether the request is sent again.
    pub(super) fn may_be_repeated(self) -> bool {
        let is_safe = match self.evidence {
            Evidence::NotSent | Evidence::Refused => true,
            Evidence::KeptConnectionEnded => self.is_idempotent,
            Evidence::Unknown => false,
        };
        is_safe && self.holds_body && self.attempts < MOST_ATTEMPTS && self.is_in_time
    }
}

// === impl Attempts ===

impl Attempts {
    /// Notes that the request goes again; `opened` connections were opened so far.
    pub(super) fn repeat(&mut self, evidence: Evidence, opened: u64) {
        self.is_bound |= evidence != Evidence::NotSent;
        self.newer_than = Some(if self.failed < OWN_CONNECTION {
            opened
        } else {
            u64::MAX
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: FailedAttempt = FailedAttempt {
        evidence: Evidence::Refused,
        is_idempotent: false,
        holds_body: true,
        attempts: 1,
        is_in_time: true,
    };

    #[test]
    fn only_what_is_provably_unprocessed_or_safe_is_sent_again() {
        for (evidence, idempotent, other) in [
            (Evidence::NotSent, true, true),
            (Evidence::Refused, true, true),
            (Evidence::KeptConnectionEnded, true, false),
            (Evidence::Unknown, false, false),
        ] {
            for (is_idempotent, again) in [(true, idempotent), (false, other)] {
                let failed = FailedAttempt {
                    evidence,
                    is_idempotent,
                    ..FAILED
                };
                assert_eq!(failed.may_be_repeated(), again, "{failed:?}");
                for hindered in [
                    FailedAttempt {
                        holds_body: false,
                        ..failed
                    },
                    FailedAttempt {
                        attempts: MOST_ATTEMPTS,
                        ..failed
                    },
                    FailedAttempt {
                        is_in_time: false,
                        ..failed
                    },
                ] {
                    assert!(!hindered.may_be_repeated(), "{hindered:?}");
                }
            }
        }
    }

    #[test]
    fn the_release_stays_once_a_byte_may_have_arrived() {
        let mut attempts = Attempts::default();
        attempts.repeat(Evidence::NotSent, 1);
        assert!(!attempts.is_bound);
        attempts.repeat(Evidence::Refused, 2);
        attempts.repeat(Evidence::NotSent, 3);
        assert!(attempts.is_bound);
        assert_eq!(attempts.newer_than, Some(3));
        attempts.failed = OWN_CONNECTION;
        attempts.repeat(Evidence::Refused, 4);
        assert_eq!(attempts.newer_than, Some(u64::MAX));
    }
}
