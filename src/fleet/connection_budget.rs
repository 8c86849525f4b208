//! Budget for connections to endpoints: a limit for the process that no single release can use up.
//!
//! A release may use four times as many connections as are left, so a fifth of the limit stays for the others. A
//! second greedy release gets four fifths of that, and so on: no share has to be configured, and only the release that
//! uses too many connections is limited (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::Roster;

/// Connections that a release may use, as a multiple of those left.
const TIMES_WHAT_IS_LEFT: usize = 4;

/// Budget for connections to endpoints.
#[derive(Debug)]
pub struct ConnectionBudget {
    most: usize,
    open: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// A counted connection, released when dropped.
#[derive(Debug)]
pub struct CountedConnection {
    budget: Arc<ConnectionBudget>,
    roster: Arc<Roster>,
}

/// A request that waits for a free connection, until dropped.
#[derive(Debug)]
pub struct WaitingForConnection(Arc<ConnectionBudget>);

impl ConnectionBudget {
    /// Creates a budget of `most` connections.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Counts a connection for a release, unless the budget or its share is used up.
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

    /// Registers a request that waits for a connection to close.
    pub fn wait(self: &Arc<Self>) -> WaitingForConnection {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        WaitingForConnection(Arc::clone(self))
    }

    /// Number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Number of open connections.
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
    /// Returns once a connection was closed. Cancel-safe: the wake-up is passed on.
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
