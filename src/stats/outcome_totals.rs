//! Counts of some time of one route and release: what key figures are made of.

use super::{histogram::HistogramSnapshot, outcome_counters::CellSnapshot};
use crate::model::{OpinionSign, OutcomeClass};

/// Counts of the requests that ended within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutcomeTotals {
    /// All requests but overrides.
    pub requests: u64,
    /// Requests that failed before a response began, or with one of 5xx.
    pub failures: u64,
    /// Responses that broke off after they had begun well.
    pub broken: u64,
    /// Responses of 4xx.
    pub client_errors: u64,
    /// Opinions of users, in the order of [`OpinionSign::ALL`].
    pub opinions: [u64; OpinionSign::ALL.len()],
    /// Duration of the requests.
    pub duration: HistogramSnapshot,
    /// Time until the first byte of the response.
    pub first_byte: HistogramSnapshot,
}

impl From<CellSnapshot> for OutcomeTotals {
    fn from(snapshot: CellSnapshot) -> Self {
        Self {
            requests: snapshot.requests(),
            failures: snapshot.failures(),
            broken: snapshot.broken_streams(),
            client_errors: snapshot.of_class(OutcomeClass::ClientError),
            opinions: snapshot.feedback.signs,
            duration: snapshot.duration,
            first_byte: snapshot.first_byte,
        }
    }
}

impl OutcomeTotals {
    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.requests == 0 && self.opinions == [0; OpinionSign::ALL.len()]
    }

    /// Difference from an earlier reading; all of it if the counters began anew in between.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        if self.requests < before.requests {
            return self.clone();
        }
        let mut opinions = self.opinions;
        for (now, before) in opinions.iter_mut().zip(before.opinions) {
            *now = now.saturating_sub(before);
        }
        Self {
            requests: self.requests - before.requests,
            failures: self.failures.saturating_sub(before.failures),
            broken: self.broken.saturating_sub(before.broken),
            client_errors: self.client_errors.saturating_sub(before.client_errors),
            opinions,
            duration: self.duration.since(&before.duration),
            first_byte: self.first_byte.since(&before.first_byte),
        }
    }

    /// Adds other counts to these.
    pub fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.failures += more.failures;
        self.broken += more.broken;
        self.client_errors += more.client_errors;
        for (sum, more) in self.opinions.iter_mut().zip(more.opinions) {
            *sum += more;
        }
        self.duration.add(&more.duration);
        self.first_byte.add(&more.first_byte);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{Opinion, Outcome, Revision},
        stats::OutcomeTable,
    };

    #[test]
    fn counters_are_read_by_kind_and_those_that_began_anew_count_whole() {
        let table = OutcomeTable::new(2);
        let second = Duration::from_secs(1);
        for (slot, outcome) in [
            (0, Outcome::Answered(200)),
            (1, Outcome::Answered(500)),
            (1, Outcome::Cut(200)),
            (0, Outcome::Answered(404)),
        ] {
            table.record(slot, outcome, second, Some(second));
        }
        table.record_override(0, Outcome::Failed(502));
        table.record_feedback(Opinion::of_score(-1.0).unwrap(), Revision(1), 7);
        let totals = OutcomeTotals::from(table.snapshot());
        let counts = [
            totals.requests,
            totals.failures,
            totals.broken,
            totals.client_errors,
        ];
        assert_eq!(counts, [4, 1, 1, 1]);
        assert_eq!(totals.opinions.iter().sum::<u64>(), 1);
        assert_eq!(totals.since(&totals), OutcomeTotals::default());
        assert_eq!(totals.since(&OutcomeTotals::default()), totals);
        let mut twice = totals.clone();
        twice.add(&totals);
        assert_eq!(twice.since(&totals), totals);
        assert_eq!(totals.since(&twice), totals, "new counters");
        assert!(!totals.is_empty() && OutcomeTotals::default().is_empty());
    }
}
