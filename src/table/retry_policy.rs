//! The compiled retry policy of a route.

use crate::model::{Fallback, RetriesSpec, RouteSpec};

use super::Split;

/// Maximum number of attempts unless the route says otherwise. The first retries share connections that were opened
/// since, the last ones open their own, on which they are the first stream: an endpoint that accepts few streams per
/// connection accepts that one.
const MOST_ATTEMPTS: u32 = 5;

/// Retry policy of a route.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    attempts: u32,
    other_endpoints: Option<u32>,
    takes_keys: bool,
    has_try_timeout: bool,
    // One bit for each of `RetriesSpec::STATUSES`.
    statuses: u8,
    // Invariant: an index into the entries of the route's split.
    fallback: Option<usize>,
}

impl RetryPolicy {
    pub(super) fn new(spec: &RouteSpec, split: &Split) -> Self {
        let retries = &spec.retries;
        let bit = |status: &u16| status_bit(*status);
        let fallback = spec.fallback.and_then(|Fallback::Stable| {
            let stable = spec.stable_release()?;
            let is_it = |entry: &super::SplitEntry| entry.release().name() == stable;
            split.entries().iter().position(is_it)
        });
        Self {
            attempts: retries.attempts.unwrap_or(MOST_ATTEMPTS),
            other_endpoints: retries.endpoints,
            takes_keys: retries.idempotency_key,
            has_try_timeout: spec.timeouts.per_try.is_some(),
            statuses: retries
                .on_status
                .iter()
                .map(bit)
                .fold(0, |all, one| all | one),
            fallback,
        }
    }

    /// Maximum number of attempts.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Number of other endpoints to try when a connection fails, if the route says so.
    pub fn other_endpoints(&self) -> Option<u32> {
        self.other_endpoints
    }

    /// True if a request with an `Idempotency-Key` counts as idempotent.
    pub fn takes_keys(&self) -> bool {
        self.takes_keys
    }

    /// True if an idempotent request that was sent may be sent again, after some status or a timeout of an attempt.
    pub fn repeats_sent(&self) -> bool {
        self.statuses != 0 || self.has_try_timeout
    }

    /// True if an idempotent request is sent again after this status.
    pub fn repeats(&self, status: u16) -> bool {
        self.statuses & status_bit(status) != 0
    }

    /// Position in the split of the release that answers for one that cannot.
    pub fn fallback(&self) -> Option<usize> {
        self.fallback
    }
}

fn status_bit(status: u16) -> u8 {
    let place = RetriesSpec::STATUSES.iter().position(|one| *one == status);
    place.map_or(0, |place| 1 << place)
}
