//! Rules of a rollout by which requests are bad, beside failures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    analysis::{Judge, Signal, Thresholds},
    stats::NoteRules,
};

/// Thresholds of a judge, and its look at client errors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slow: Option<Thresholds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_byte: Option<Thresholds>,
    #[serde(default)]
    pub(super) client_errors: bool,
}

impl Limits {
    /// Limits of this judge.
    pub(super) fn of(judge: &Judge) -> Self {
        Self {
            slow: judge.thresholds(Signal::Slow).cloned(),
            first_byte: judge.thresholds(Signal::FirstByteLate).cloned(),
            client_errors: judge.looks_at(Signal::ClientErrors),
        }
    }

    /// Thresholds of slowness alone.
    pub(super) fn of_slow(slow: Option<Thresholds>) -> Self {
        Self {
            slow,
            ..Self::default()
        }
    }

    /// The highest threshold.
    pub(super) fn slowest(&self) -> Option<Duration> {
        let last = |thresholds: &Option<Thresholds>| thresholds.as_ref()?.seconds().last().copied();
        let last = last(&self.slow).into_iter().chain(last(&self.first_byte));
        last.reduce(f64::max).map(Duration::from_secs_f64)
    }

    /// Rules by which requests are noted with their sessions.
    pub(super) fn note_rules(&self) -> NoteRules {
        let lowest = |thresholds: &Option<Thresholds>| {
            let lowest = thresholds.as_ref().and_then(|all| all.seconds().first());
            lowest.map_or(Duration::MAX, |seconds| Duration::from_secs_f64(*seconds))
        };
        NoteRules {
            slow: lowest(&self.slow),
            late: lowest(&self.first_byte),
            client_errors: self.client_errors,
        }
    }
}
