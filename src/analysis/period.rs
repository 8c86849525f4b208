//! Periods of a route around a rollback: before the release that was taken back, with it, and since.

use serde::{Deserialize, Serialize};

use super::{sample::Sample, signal::Signal, thresholds::LEVELS, verdict::Rate};

/// Requests of a route in one period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Requests.
    pub units: u64,
    /// Failures among them.
    pub failures: u64,
    /// Streams that broke off.
    pub broken: u64,
    /// Requests older than each threshold.
    pub older: [u64; LEVELS],
}

/// Period that the time since a rollback is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The route before the release that was taken back.
    Before,
    /// The other releases of the route while that release had requests.
    Beside,
}

/// Requests since a rollback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The route.
    pub period: Period,
    /// Looks that found requests.
    pub looks: u64,
    /// True once what began before the rollback has ended.
    pub is_settled: bool,
}

/// Names in the words of a verdict.
#[derive(Debug, Clone, Copy)]
pub struct PeriodNames<'a> {
    /// The route.
    pub route: &'a str,
    /// The release that was taken back.
    pub taken_back: &'a str,
    /// The release that has the requests now.
    pub stable: &'a str,
}

impl Period {
    /// Both periods as one.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let mut older = self.older;
        for (sum, more) in older.iter_mut().zip(more.older) {
            *sum = sum.saturating_add(more);
        }
        Self {
            units: self.units.saturating_add(more.units),
            failures: self.failures.saturating_add(more.failures),
            broken: self.broken.saturating_add(more.broken),
            older,
        }
    }

    /// Bad requests by a signal, at one of its thresholds.
    pub(super) fn rate(&self, (signal, level): (Signal, usize)) -> Rate {
        let bad = match signal {
            Signal::BrokenStreams => self.broken,
            Signal::Slow => self.older.get(level).copied().unwrap_or_default(),
            Signal::Failures
            | Signal::FirstByteLate
            | Signal::NegativeFeedback
            | Signal::ClientErrors => self.failures,
        };
        Rate {
            bad,
            distinct: bad,
            units: self.units,
        }
    }
}

impl Rate {
    pub(super) fn sample(self) -> Sample {
        Sample::new(self.bad, self.units)
    }
}
