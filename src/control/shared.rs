//! The place of this node in a table that several proxies share: the revision of the fleet that it has taken up, the table
//! there, and its own rollbacks that the fleet does not have yet.
//!
//! A node that shares nothing has all of this empty, and no task.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{clock::now, leadership::Leadership, shared_state::SharedState};
use crate::{
    api::FleetState,
    model::{Actor, Author, ChangeSet, SharedMark},
    shared_table::SharedStore,
    table::Swapped,
};

/// The place of this node in its fleet.
#[derive(Debug, Default)]
pub(super) struct SharedTable {
    node: OnceLock<Node>,
    // Held for moments. Where the index is locked as well, that comes first.
    state: Mutex<SharedState>,
    wake: Notify,
    // True once the node may follow: not while another process still has the history. More than one loop waits for it.
    has_begun: AtomicBool,
    begin: Notify,
    // Held for moments.
    leadership: Mutex<Leadership>,
    /// Held while the work of the fleet is shared.
    pub(super) working: tokio::sync::Mutex<()>,
    // Counts what happened in the fleet, for those who wait for something there, and them.
    news: watch::Sender<u64>,
    // Counts the rollbacks that were made or taken here.
    rollbacks: watch::Sender<u64>,
    waiting: AtomicUsize,
}

/// This node, and the store that it follows.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) store: Arc<dyn SharedStore>,
}

/// One who waits for something in the fleet: as long as there are any, the reports of the nodes are read as they come.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    shared: &'a SharedTable,
    pub(super) news: watch::Receiver<u64>,
}

// === impl SharedTable ===

impl SharedTable {
    /// Makes this a node of a fleet, at the place where its history left it.
    pub(super) fn join(&self, node: Node, lease: Duration, mark: Option<&SharedMark>) {
        *self.leadership() = Leadership::new(lease);
        {
            let mut state = self.state();
            if let Some(mark) = mark {
                state.revision = mark.revision;
                state.id.clone_from(&mark.id);
                state.rollbacks = mark.rollbacks.clone().into();
                state.changes.begin(mark.revision);
            }
            state.standing = FleetState::Alone;
            state.reason = Some("the store was not reached yet".to_owned());
        }
        drop(self.node.set(node));
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.node.get()
    }

    // Safe to ignore poisoning, as below.
    pub(super) fn leadership(&self) -> MutexGuard<'_, Leadership> {
        self.leadership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    // Safe to ignore poisoning: what panics under this lock leaves each field whole.
    pub(super) fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place that a record gets that is made now; none on a proxy of its own.
    pub(super) fn mark(&self) -> Option<SharedMark> {
        self.node.get()?;
        let state = self.state();
        Some(SharedMark {
            revision: state.revision,
            id: state.id.clone(),
            rollbacks: state.rollbacks.all().to_vec(),
            followed: false,
        })
    }

    /// Notes a rollback in the same step that makes it live, under the lock of the index: what follows the fleet sees both
    /// or neither. The place that its record gets; none on a proxy of its own.
    pub(super) fn roll_back(&self, swapped: &Swapped, by: &Author) -> Option<SharedMark> {
        let node = self.node.get()?;
        let (before, after) = (swapped.replaced.state(), swapped.table.state());
        let parts = ChangeSet::between(&before, &after);
        let id = format!(
            "{}-{}-{}",
            node.name,
            swapped.table.revision(),
            now().millis()
        );
        {
            let mut state = self.state();
            let (of, by_machine) = (state.revision, by.actor == Actor::System);
            let parts = parts.parts();
            state.rollbacks.roll_back(parts, &id, of, by_machine);
        }
        self.tell_of_rollbacks();
        self.mark()
    }

    /// Says that this node has rollbacks that the fleet does not have.
    pub(super) fn tell_of_rollbacks(&self) {
        self.rollbacks.send_modify(|count| *count += 1);
        self.wake();
    }

    /// News of rollbacks that were made or taken here.
    pub(super) fn rollbacks_made(&self) -> watch::Receiver<u64> {
        self.rollbacks.subscribe()
    }

    /// Lets the loops follow the fleet.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.begin.notify_waiters();
    }

    pub(super) async fn begun(&self) {
        // Before the look: who is told between the two is woken all the same.
        let begin = self.begin.notified();
        if !self.has_begun.load(Ordering::Acquire) {
            begin.await;
        }
    }

    /// Tells those who wait that something has happened in the fleet.
    pub(super) fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Begins a wait for something in the fleet.
    pub(super) fn begin_wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.wake();
        Waiting {
            shared: self,
            news: self.news.subscribe(),
        }
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_loop_begins() {
        let shared = SharedTable::default();
        let loops =
            async { tokio::join!(shared.begun(), shared.begun(), async { shared.begin() }) };
        let begun = tokio::time::timeout(Duration::from_secs(5), loops).await;
        assert!(begun.is_ok(), "one of them waits for ever");
    }
}
