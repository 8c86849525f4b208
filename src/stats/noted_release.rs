//! A look at a release of a route, while which its bad requests are noted.

use std::{sync::Arc, time::Duration};

use super::{bad_units::NotedUnits, outcome_counters::OutcomeTable};

/// A look at a release of a route: its bad requests are noted until this is dropped.
#[derive(Debug)]
pub struct NotedRelease(Arc<OutcomeTable>);

impl NotedRelease {
    /// Begins to note requests that fail, or that take as long as this.
    pub fn new(table: Arc<OutcomeTable>, slow: Option<Duration>) -> Self {
        table.bad().note_from(Some(slow.unwrap_or(Duration::MAX)));
        Self(table)
    }

    /// Takes what was noted since the last call.
    pub fn take(&self) -> NotedUnits {
        self.0.bad().take()
    }
}

impl Drop for NotedRelease {
    fn drop(&mut self) {
        self.0.bad().note_from(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Outcome,
        stats::{BadUnit, bad_units::MOST},
    };

    #[test]
    fn what_failed_or_took_long_is_noted_while_somebody_looks() {
        let table = Arc::new(OutcomeTable::new(1));
        let (second, quick) = (Duration::from_secs(1), Duration::from_millis(1));
        assert!(!table.notes(Outcome::Failed(502), second), "nobody looks");
        let look = NotedRelease::new(Arc::clone(&table), Some(second));
        assert!(table.notes(Outcome::Answered(500), quick));
        assert!(table.notes(Outcome::Cut(200), quick));
        assert!(table.notes(Outcome::Answered(200), second));
        assert!(!table.notes(Outcome::Answered(200), Duration::from_millis(999)));
        let bad = |unit| BadUnit {
            unit,
            outcome: Outcome::Failed(502),
            duration: quick,
        };
        table.note(bad(7));
        assert_eq!(look.take().units, [bad(7)]);
        (0..=MOST as u64).for_each(|unit| table.note(bad(unit)));
        let noted = look.take();
        assert_eq!((noted.units.len(), noted.is_cut), (MOST, true));
        assert!(!look.take().is_cut);
        drop(look);
        assert!(!table.notes(Outcome::Failed(502), second));
        let without = NotedRelease::new(Arc::clone(&table), None);
        assert!(!table.notes(Outcome::Answered(200), Duration::from_secs(1_000_000)));
        drop(without);
    }
}
