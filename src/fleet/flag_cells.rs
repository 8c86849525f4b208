//! Counters of the requests that got a variant of a flag, for flags that ask for key figures.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::{FlagName, VariantMark, VariantName},
    stats::OutcomeTable,
};

/// Key of a variant's counters.
pub type FlagCellKey = (FlagName, VariantName);

/// Number of counters above which those that no table holds are dropped.
const MANY: usize = 128;

/// Counters by flag and variant. They outlive a swap, as those of releases do.
#[derive(Debug, Default)]
pub(super) struct FlagCells(Mutex<BTreeMap<FlagCellKey, Arc<OutcomeTable>>>);

impl FlagCells {
    /// Counters of a variant; created at zero if there are none.
    pub(super) fn of(&self, key: FlagCellKey, workers: usize) -> Arc<OutcomeTable> {
        let mut cells = self.lock();
        if cells.len() >= MANY && !cells.contains_key(&key) {
            cells.retain(|_, cells| Arc::strong_count(cells) > 1);
        }
        let make = || Arc::new(OutcomeTable::new(workers));
        Arc::clone(cells.entry(key).or_insert_with(make))
    }

    /// All counters with a recorded outcome.
    pub(super) fn used(&self) -> Vec<(FlagCellKey, Arc<OutcomeTable>)> {
        let cells = self.lock();
        let used = cells.iter().filter(|(_, cells)| !cells.is_empty());
        used.map(|(key, cells)| (key.clone(), Arc::clone(cells)))
            .collect()
    }

    /// Counters of the variants with these marks.
    pub(super) fn marked(&self, marks: &[VariantMark]) -> Vec<Arc<OutcomeTable>> {
        if marks.is_empty() {
            return Vec::new();
        }
        let cells = self.lock();
        let marked = cells
            .iter()
            .filter(|((flag, variant), _)| marks.contains(&VariantMark::of(flag, variant)));
        marked.map(|(_, cells)| Arc::clone(cells)).collect()
    }

    // Safe to ignore poisoning: a panic under the lock leaves the map intact.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FlagCellKey, Arc<OutcomeTable>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Outcome;

    #[test]
    fn counters_go_on_over_a_swap_and_those_that_no_table_holds_are_bounded() {
        let cells = FlagCells::default();
        let key = |number: usize| {
            let flag = format!("f{number}").parse().unwrap();
            (flag, "on".parse().unwrap())
        };
        let held = cells.of(key(0), 1);
        held.record(0, Outcome::Answered(200), Duration::ZERO, None);
        assert!(Arc::ptr_eq(&held, &cells.of(key(0), 1)));
        for number in 1..1_000 {
            cells.of(key(number), 1);
        }
        assert!(cells.lock().len() <= MANY);
        let used = cells.used();
        assert!(used.len() == 1 && Arc::ptr_eq(&used[0].1, &held));
        let mark = |number: usize| {
            let (flag, variant) = key(number);
            VariantMark::of(&flag, &variant)
        };
        let marked = cells.marked(&[mark(0), mark(100_000)]);
        assert!(marked.len() == 1 && Arc::ptr_eq(&marked[0], &held));
        assert!(cells.marked(&[]).is_empty());
    }
}
