//! A look at a release of a route, while which its bad requests are noted.

use std::sync::Arc;

use super::{
    bad_units::{NoteRules, NotedUnits},
    outcome_counters::OutcomeTable,
};

/// A look at a release of a route: its bad requests are noted until this is dropped, or another look begins.
#[derive(Debug)]
pub struct NotedRelease {
    table: Arc<OutcomeTable>,
    look: u64,
}

impl NotedRelease {
    /// Begins to note requests that fail, or that are bad by these rules.
    pub fn new(table: Arc<OutcomeTable>, rules: NoteRules) -> Self {
        let look = table.bad().begin(rules);
        Self { table, look }
    }

    /// Takes what was noted since the last call; cut, once another look has begun.
    pub fn take(&self) -> NotedUnits {
        self.table.bad().take(self.look)
    }
}

impl Drop for NotedRelease {
    fn drop(&mut self) {
        self.table.bad().end(self.look);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::Outcome,
        stats::{BadUnit, bad_units::MOST},
    };

    #[test]
    fn what_failed_or_took_long_is_noted_while_somebody_looks() {
        let table = Arc::new(OutcomeTable::new(1));
        let (second, quick) = (Duration::from_secs(1), Duration::from_millis(1));
        assert!(
            !table.notes(Outcome::Failed(502), second, None),
            "nobody looks"
        );
        let rules = NoteRules {
            slow: second,
            ..NoteRules::default()
        };
        let look = NotedRelease::new(Arc::clone(&table), rules);
        assert!(table.notes(Outcome::Answered(500), quick, None));
        assert!(table.notes(Outcome::Cut(200), quick, None));
        assert!(table.notes(Outcome::Answered(200), second, None));
        assert!(!table.notes(
            Outcome::Answered(200),
            Duration::from_millis(999),
            Some(quick)
        ));
        let bad = |unit| BadUnit {
            unit,
            outcome: Outcome::Failed(502),
            duration: quick,
            first_byte: None,
        };
        table.note(bad(7));
        assert_eq!(look.take().units, [bad(7)]);
        (0..=MOST as u64).for_each(|unit| table.note(bad(unit)));
        let noted = look.take();
        assert_eq!((noted.units.len(), noted.is_cut), (MOST, true));
        assert!(!look.take().is_cut);
        drop(look);
        assert!(!table.notes(Outcome::Failed(502), second, None));
        let without = NotedRelease::new(Arc::clone(&table), NoteRules::default());
        let long = Duration::from_secs(1_000_000);
        assert!(!table.notes(Outcome::Answered(200), long, Some(long)));
        drop(without);
    }

    #[test]
    fn late_first_bytes_and_client_errors_are_noted_if_the_look_asks_for_them() {
        let table = Arc::new(OutcomeTable::new(1));
        let (second, quick) = (Duration::from_secs(1), Duration::from_millis(1));
        let notes = |rules| {
            let _look = NotedRelease::new(Arc::clone(&table), rules);
            let late = table.notes(Outcome::Answered(200), second, Some(second));
            let refused = table.notes(Outcome::Answered(404), quick, Some(quick));
            (late, refused)
        };
        assert_eq!(notes(NoteRules::default()), (false, false));
        let rules = NoteRules {
            late: second,
            client_errors: true,
            ..NoteRules::default()
        };
        assert_eq!(notes(rules), (true, true));
        assert_eq!(
            notes(NoteRules::default()),
            (false, false),
            "the next look has rules of its own"
        );
    }

    #[test]
    fn the_notes_belong_to_the_latest_look() {
        let table = Arc::new(OutcomeTable::new(1));
        let quick = Duration::from_millis(1);
        let bad = BadUnit {
            unit: 7,
            outcome: Outcome::Failed(502),
            duration: quick,
            first_byte: None,
        };
        let earlier = NotedRelease::new(Arc::clone(&table), NoteRules::default());
        let later = NotedRelease::new(Arc::clone(&table), NoteRules::default());
        table.note(bad);
        assert!(earlier.take().is_cut, "it does not know what was noted");
        drop(earlier);
        assert!(table.notes(Outcome::Failed(502), quick, None));
        assert_eq!(later.take().units, [bad]);
        drop(later);
        assert!(!table.notes(Outcome::Failed(502), quick, None));
    }
}
