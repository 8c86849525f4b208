//! Connections to endpoints in all: a bound for the process, of which no release takes everything.
//!
//! A release may have so many connections that a fifth of the bound is left to the others. A second one that asks for
//! more gets four fifths of that, and so on: no share has to be configured, and one that eats connections is stopped
//! alone (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::Roster;

/// A release may have so many times as many as are left.
const TIMES_WHAT_IS_LEFT: usize = 4;

/// How many connections to endpoints there may be.
#[derive(Debug)]
pub struct ConnectionBudget {
    most: usize,
    open: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct CountedConnection {
    budget: Arc<ConnectionBudget>,
    roster: Arc<Roster>,
}

/// A request that waits for a connection to become free, until this is dropped.
#[derive(Debug)]
pub struct WaitingForConnection(Arc<ConnectionBudget>);

impl ConnectionBudget {
    /// At most so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Counts one more for a release, unless there are too many or it has its share.
    pub fn acquire(self: &Arc<Self>, roster: &Arc<Roster>) -> Option<CountedConnection> {
        let open = self.open.fetch_add(1, Ordering::AcqRel);
        let own = roster.connections.fetch_add(1, Ordering::AcqRel);
        let left = self.most.saturating_sub(open);
        if own < left.saturating_mul(TIMES_WHAT_IS_LEFT) {
            return Some(CountedConnection {
                budget: Arc::clone(self),
                roster: Arc::clone(roster),
            });
        }
        self.open.fetch_sub(1, Ordering::AcqRel);
        roster.connections.fetch_sub(1, Ordering::AcqRel);
        None
    }

    /// Announces a wait for one to be closed.
    pub fn wait(self: &Arc<Self>) -> WaitingForConnection {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        WaitingForConnection(Arc::clone(self))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.roster.connections.fetch_sub(1, Ordering::AcqRel);
        self.budget.open.fetch_sub(1, Ordering::AcqRel);
        if self.budget.waiting() > 0 {
            self.budget.freed.notify_one();
        }
    }
}

impl WaitingForConnection {
    /// Returns once one was closed. Cancelling it passes the turn on.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Drop for WaitingForConnection {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::Fleet,
        model::{ReleaseName, Version},
    };

    fn roster(fleet: &Fleet, name: &str) -> Arc<Roster> {
        fleet.roster(&ReleaseName::new(name).unwrap(), &Version::default())
    }

    fn take_all(budget: &Arc<ConnectionBudget>, roster: &Arc<Roster>) -> Vec<CountedConnection> {
        std::iter::from_fn(|| budget.acquire(roster)).collect()
    }

    #[test]
    fn a_release_that_eats_connections_is_stopped_alone() {
        let fleet = Fleet::new(1);
        let (greedy, other, third) = (
            roster(&fleet, "greedy"),
            roster(&fleet, "other"),
            roster(&fleet, "third"),
        );
        let budget = ConnectionBudget::new(1_000);
        let held = take_all(&budget, &greedy);
        assert_eq!(held.len(), 800);
        let others = take_all(&budget, &other);
        assert_eq!(others.len(), 160);
        assert!(budget.acquire(&third).is_some());
        drop(held);
        assert!(budget.acquire(&greedy).is_some());
        drop(others);
        assert_eq!((budget.open(), budget.waiting()), (0, 0));
    }

    #[test]
    fn a_budget_of_one_is_one() {
        let fleet = Fleet::new(1);
        let only = roster(&fleet, "only");
        let budget = ConnectionBudget::new(1);
        let held = budget.acquire(&only).unwrap();
        assert!(budget.acquire(&only).is_none());
        drop(held);
        assert!(budget.acquire(&only).is_some());
    }
}
