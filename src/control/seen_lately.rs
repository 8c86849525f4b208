//! Requests of a route that were seen lately, by release.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::watch_set::ReleaseKey;
use crate::{api::SeenRequests, model::HumanDuration};

/// Requests of a route by release, and the time in which they came.
#[derive(Debug, Clone)]
pub(super) struct SeenLately {
    over: Duration,
    requests: BTreeMap<ReleaseKey, u64>,
}

impl SeenLately {
    /// The requests since a reading; `None` without any. What came within a second says nothing of a minute.
    pub(super) fn since(
        (begin, now): (Instant, Instant),
        requests: BTreeMap<ReleaseKey, u64>,
    ) -> Option<Self> {
        let over = now.saturating_duration_since(begin);
        let over = over.max(Duration::from_secs(1));
        (!requests.is_empty()).then_some(Self { over, requests })
    }

    /// Requests a minute of a release.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate, of counts far below 2^53"
    )]
    pub(super) fn per_minute(&self, release: &ReleaseKey) -> f64 {
        let requests = self.requests.get(release).copied().unwrap_or(0) as f64;
        requests * 60.0 / self.over.as_secs_f64()
    }

    /// Requests a minute of all releases.
    pub(super) fn all_per_minute(&self) -> f64 {
        self.requests.keys().map(|key| self.per_minute(key)).sum()
    }

    pub(super) fn shown(&self) -> SeenRequests {
        SeenRequests {
            requests: self.requests.values().sum(),
            over: HumanDuration::seconds(self.over.as_secs()),
        }
    }
}
