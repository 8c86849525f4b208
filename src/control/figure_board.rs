//! Board of what this node judges with the figures of other nodes, and what those have told last.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    figure_documents::{FigureOrder, FigureSeries},
    figure_sums::{AddedFigures, FigureSums},
};
use crate::model::RouteName;

/// Figures that the other nodes have told, by their names.
pub(super) type ToldFigures = BTreeMap<String, Vec<FigureSeries>>;

/// The orders of this node, and the figures of the others.
#[derive(Debug, Default)]
pub(super) struct FigureBoard {
    state: Mutex<BoardState>,
    /// Wakes who writes the orders.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct BoardState {
    orders: BTreeMap<u64, FigureOrder>,
    told: Arc<ToldFigures>,
}

/// An order of this node: the others count for it until this is dropped.
#[derive(Debug)]
pub(super) struct AskedFigures {
    board: Arc<FigureBoard>,
    order: u64,
    sums: FigureSums,
}

impl FigureBoard {
    /// Asks the other nodes to count.
    pub(super) fn ask(self: &Arc<Self>, order: FigureOrder) -> AskedFigures {
        let id = order.id;
        self.lock().orders.insert(id, order);
        self.changed.notify_one();
        AskedFigures {
            board: Arc::clone(self),
            order: id,
            sums: FigureSums::default(),
        }
    }

    pub(super) fn orders(&self) -> Vec<FigureOrder> {
        self.lock().orders.values().cloned().collect()
    }

    /// True if this node judges the route itself.
    pub(super) fn judges(&self, route: &RouteName) -> bool {
        let state = self.lock();
        state.orders.values().any(|order| order.route == *route)
    }

    /// Takes what the others have told last.
    pub(super) fn hear(&self, told: ToldFigures) {
        self.lock().told = Arc::new(told);
    }

    // Safe to ignore poisoning: what panics under this lock leaves each field whole.
    fn lock(&self) -> MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AskedFigures {
    /// Figures of the others that were not taken before; early if the step is, and for so long after a node began.
    pub(super) fn take(&mut self, is_early: bool, settled_after: Duration) -> Vec<AddedFigures> {
        let told = Arc::clone(&self.board.lock().told);
        let all = told
            .iter()
            .flat_map(|(node, all)| all.iter().map(move |series| (node, series)));
        let asked = all.filter(|(_, series)| series.order == self.order);
        let added = asked
            .filter_map(|(node, series)| self.sums.take(node, series, (is_early, settled_after)));
        added.collect()
    }

    /// Number of nodes that have counted, with this one.
    pub(super) fn nodes(&self) -> usize {
        1 + self.sums.nodes()
    }
}

impl Drop for AskedFigures {
    fn drop(&mut self) {
        self.board.lock().orders.remove(&self.order);
        self.board.changed.notify_one();
    }
}
