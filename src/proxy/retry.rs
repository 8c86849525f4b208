//! Retry policy for attempts that failed before a response: the same for HTTP/1.1 and HTTP/2.
//!
//! | evidence of the failed attempt | idempotent | other methods |
//! |---|---|---|
//! | no connection was made, or not one byte of the request was written | retry | retry |
//! | the endpoint refused it: `REFUSED_STREAM`, or a stream above the last one of its GOAWAY | retry | retry |
//! | a reused connection ended before one byte of the response | retry | no |
//! | a response with a status that the route repeats | retry | no |
//! | no response within the route's timeout of an attempt | retry | no |
//! | a new connection ended, another reset, a malformed response, another timeout, a partial response | no | no |
//!
//! A request is idempotent by its method, or by an `Idempotency-Key` where the route says so. In each case only if the
//! whole body read so far is still buffered, fewer than the route's number of attempts were made and the connect
//! deadline has not passed; and, unless it was provably not processed, if the retry budget of the release has a retry
//! left.
//! A retry uses a connection that is newer than the failure. Once a byte may have reached an endpoint, retries go to
//! endpoints of the release that was selected then, even if the table has changed. What is safe to send again, and is
//! not, goes to the stable release if the route has a fallback.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::AttemptFailure;

/// Number of failures from which on a retry opens a connection of its own.
const OWN_CONNECTION: u32 = 3;

/// First pause before an endpoint that refuses connections is tried again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Evidence of how far the endpoint may have processed a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Not one byte was written.
    NotSent,
    /// The endpoint states that it did not process the request.
    Refused,
    /// A reused connection ended before one byte of the response: most likely it had been closed before the request
    /// arrived.
    KeptConnectionEnded,
    /// The response has a status that the route repeats.
    Answered,
    /// The response did not begin within the route's timeout of an attempt.
    TimedOut,
    /// The endpoint may have processed it.
    Unknown,
}

/// An attempt that failed before a response, and the request that it was made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedAttempt {
    pub(super) evidence: Evidence,
    /// Sending the request twice has the effect of sending it once.
    pub(super) is_idempotent: bool,
    /// Everything that was read of the body is still buffered.
    pub(super) holds_body: bool,
    /// Number of attempts, this one included.
    pub(super) attempts: u32,
    /// Maximum number of attempts.
    pub(super) most: u32,
    /// The connect deadline has not passed.
    pub(super) is_in_time: bool,
}

/// State of the attempts of one request, once one has failed.
#[derive(Default)]
pub(super) struct Attempts {
    pub(super) failed: u32,
    /// Endpoints that are not picked: mostly those that could not be connected to.
    pub(super) tried: Vec<SocketAddr>,
    /// Those of them that only had as many connections as they may have, or responded with an error.
    pub(super) full: Vec<SocketAddr>,
    /// A byte may have reached an endpoint: the release is fixed.
    pub(super) is_bound: bool,
    /// A retry uses no connection with a lower number.
    pub(super) newer_than: Option<u64>,
    /// Failure of the last attempt.
    pub(super) last: Option<AttemptFailure>,
    /// The endpoint of the last attempt may have processed the request: it is never sent again.
    pub(super) is_final: bool,
    /// Attempts at the release before the fallback.
    pub(super) before_fallback: u32,
    /// Number of pauses because no endpoint of the release took a connection.
    pub(super) pauses: u32,
}

// === impl FailedAttempt ===

impl FailedAttempt {
    /// True if sending the request again does nothing twice that must not be.
    pub(super) fn is_safe(self) -> bool {
        let is_safe = match self.evidence {
            Evidence::NotSent | Evidence::Refused => true,
            Evidence::KeptConnectionEnded | Evidence::Answered | Evidence::TimedOut => {
                self.is_idempotent
            }
            Evidence::Unknown => false,
        };
        is_safe && self.holds_body
    }

    /// True if the request may be sent again to its release.
    pub(super) fn may_be_repeated(self) -> bool {
        self.is_safe() && self.attempts < self.most && self.is_in_time
    }
}

// === impl Attempts ===

impl Attempts {
    /// Makes the endpoints that were only full eligible again; false if there are none.
    pub(super) fn retry_full(&mut self) -> bool {
        let full = std::mem::take(&mut self.full);
        self.tried.retain(|address| !full.contains(address));
        !full.is_empty()
    }

    /// The next pause before all endpoints are tried again: they may just restart. It is up to a half shorter, so that
    /// requests that wait together do not come together.
    pub(super) fn pause(&mut self, random: u64) -> Duration {
        let longest = FIRST_PAUSE * (1 << self.pauses.min(6));
        self.pauses += 1;
        self.tried.clear();
        let longest = longest.min(LONGEST_PAUSE);
        let part = u32::try_from(random % 256).unwrap_or_default();
        longest.saturating_sub(longest / 2 * part / 256)
    }

    /// Prefers other endpoints than this one, which may be tried again once there is no other.
    pub(super) fn avoid(&mut self, endpoint: SocketAddr) {
        self.tried.push(endpoint);
        self.full.push(endpoint);
    }

    /// Forgets what happened at the release before the fallback, but the number of attempts and the last failure.
    pub(super) fn fall_back(&mut self) {
        *self = Self {
            before_fallback: self.failed,
            last: self.last,
            ..Self::default()
        };
    }

    /// Records that the request is retried; `opened` connections were opened so far.
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
        most: 5,
        is_in_time: true,
    };

    #[test]
    fn only_what_is_provably_unprocessed_or_safe_is_sent_again() {
        for (evidence, idempotent, other) in [
            (Evidence::NotSent, true, true),
            (Evidence::Refused, true, true),
            (Evidence::KeptConnectionEnded, true, false),
            (Evidence::Answered, true, false),
            (Evidence::TimedOut, true, false),
            (Evidence::Unknown, false, false),
        ] {
            for (is_idempotent, again) in [(true, idempotent), (false, other)] {
                let failed = FailedAttempt {
                    evidence,
                    is_idempotent,
                    ..FAILED
                };
                assert_eq!(failed.may_be_repeated(), again, "{failed:?}");
                assert_eq!(failed.is_safe(), again, "{failed:?}");
                for hindered in [
                    FailedAttempt {
                        holds_body: false,
                        ..failed
                    },
                    FailedAttempt {
                        attempts: 5,
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
    fn pauses_grow_to_a_quarter_of_a_second_and_forget_what_was_tried() {
        let mut attempts = Attempts::default();
        attempts.tried.push(SocketAddr::from(([127, 0, 0, 1], 1)));
        let pauses: Vec<_> = (0..6).map(|_| attempts.pause(0).as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 250, 250]);
        assert!(attempts.tried.is_empty());
        let shorter = attempts.pause(u64::MAX);
        assert!(shorter > LONGEST_PAUSE / 2 && shorter < LONGEST_PAUSE);
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
