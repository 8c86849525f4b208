//! Counting for another node: what the requests of this one say about an order.

use std::time::Instant;

use super::{
    figure_documents::{FigureOrder, FigureSeries},
    figure_marks::RecentMarks,
    rollout_cells::Cells,
    rollout_counts::Counts,
    rollout_reader::{CountReader, Looked},
    rollout_sessions::RolloutSessions,
};
use crate::model::{Revision, RouteSpec};

/// Counts of this node for an order, since it had the split of the order.
#[derive(Debug)]
pub(super) struct FigureCounter {
    pub(super) order: FigureOrder,
    pub(super) reader: CountReader,
    sessions: Option<RolloutSessions>,
    /// Revision of this node that changed the route last: after another one the shares are not those of the order.
    changed: Option<Revision>,
    run: u64,
    began: Instant,
    counts: [Counts; 2],
    marks: RecentMarks,
}

impl FigureCounter {
    /// A counter that begins now. The live revision, and that which changed the route last.
    pub(super) fn new(
        order: FigureOrder,
        cells: Cells,
        route: &RouteSpec,
        (live, changed): (Revision, Option<Revision>),
    ) -> Self {
        let limits = order.limits.clone();
        Self {
            sessions: RolloutSessions::of(&cells, route, &limits, b""),
            reader: CountReader::new(cells, limits, live),
            order,
            changed,
            run: rand::random(),
            began: Instant::now(),
            counts: <[Counts; 2]>::default(),
            marks: RecentMarks::default(),
        }
    }

    /// True while the route is as it was when this began.
    pub(super) fn counts_at(&self, changed: Option<Revision>) -> bool {
        self.changed == changed
    }

    /// Adds what was counted since the last look, with so many marks of sessions at most.
    pub(super) fn look(&mut self, looked: &Looked, most_marks: usize) {
        let added = self.reader.count(looked);
        self.counts = [0, 1].map(|arm| self.counts[arm].plus(added[arm]));
        if let Some(sessions) = &mut self.sessions {
            self.marks.add(sessions.new_marks(), most_marks);
        }
    }

    /// The figures up to the last look.
    pub(super) fn series(&self) -> FigureSeries {
        let age = self.began.elapsed().as_millis();
        FigureSeries {
            order: self.order.id,
            run: self.run,
            age_ms: u64::try_from(age).unwrap_or(u64::MAX),
            counts: self.counts,
            marks: self.sessions.as_ref().map(|_| self.marks.told()),
        }
    }
}
