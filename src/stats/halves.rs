//! Halves of a release's requests on a route, each with counters of its own: two sides that differ by chance alone.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::outcome_counters::OutcomeTable;
use crate::model::rendezvous::{combine, mix};

/// Seed of the draw: who is in which half says nothing about who gets which release.
const SEED: u64 = mix(0x6861_6c76_6573);

/// Counters of the two halves.
#[derive(Debug)]
pub struct Halves {
    cells: [Arc<OutcomeTable>; 2],
    draw: AtomicU64,
}

impl Halves {
    /// Empty halves for this many workers, as drawn the first time.
    pub fn new(workers: usize) -> Self {
        Self {
            cells: [(); 2].map(|()| Arc::new(OutcomeTable::new(workers))),
            draw: AtomicU64::new(0),
        }
    }

    /// Counters of the half that a unit is in: a session, or a request without one.
    pub fn of(&self, unit: u64) -> &OutcomeTable {
        &self.cells[half_of(unit, self.draw.load(Ordering::Relaxed))]
    }

    /// Counters of both.
    pub const fn cells(&self) -> &[Arc<OutcomeTable>; 2] {
        &self.cells
    }

    /// Draws the halves anew: the number of the draw decides who is in which.
    pub fn redraw(&self, draw: u64) {
        self.draw.store(draw, Ordering::Relaxed);
    }
}

/// Half of a unit in a draw: one bit.
pub fn half_of(unit: u64, draw: u64) -> usize {
    usize::from(combine(unit, SEED ^ draw) >> 63 == 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Outcome;

    #[test]
    fn units_are_halved_and_each_draw_halves_them_anew() {
        let second = |draw: u64| (0..20_000).filter(move |unit| half_of(*unit, draw) == 1);
        for draw in 0..4 {
            let count = second(draw).count();
            assert!((9_700..10_300).contains(&count), "{count}");
        }
        let both = second(0).filter(|unit| half_of(*unit, 1) == 1).count();
        assert!((4_700..5_300).contains(&both), "{both}");
    }

    #[test]
    fn a_unit_is_recorded_in_its_half() {
        let halves = Halves::new(1);
        let record = |unit| {
            let second = Duration::from_secs(1);
            halves
                .of(unit)
                .record(0, Outcome::Answered(200), second, None);
        };
        (0..100).for_each(record);
        halves.redraw(7);
        (0..100).for_each(record);
        let in_second = |draw| (0..100).filter(|unit| half_of(*unit, draw) == 1).count() as u64;
        let [first, second] = halves
            .cells()
            .each_ref()
            .map(|cells| cells.snapshot().requests());
        assert_eq!(second, in_second(0) + in_second(7));
        assert_eq!(first + second, 200);
    }
}
