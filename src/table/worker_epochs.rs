//! Epochs of the workers: the latest revision that each worker's loop has acknowledged.
//!
//! A worker re-reads the live table in the same synchronous step that writes the first byte of a request's head. So
//! once its loop has passed an iteration after a swap, nothing that it does later can use an older table, and that is
//! all that convergence needs.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use tokio::sync::Notify;

use crate::model::Revision;

/// Epoch of a worker that does not run: convergence does not wait for it.
const ABSENT: u64 = u64::MAX;

#[derive(Debug)]
struct Epoch {
    acknowledged: AtomicU64,
    changed: Notify,
}

/// Epochs of all workers.
#[derive(Debug)]
pub(super) struct WorkerEpochs {
    epochs: Box<[CachePadded<Epoch>]>,
    acknowledged: Notify,
}

impl WorkerEpochs {
    pub(super) fn new(workers: usize) -> Self {
        let epoch = |_| {
            CachePadded::new(Epoch {
                acknowledged: AtomicU64::new(ABSENT),
                changed: Notify::new(),
            })
        };
        Self {
            epochs: (0..workers).map(epoch).collect(),
            acknowledged: Notify::new(),
        }
    }

    /// Notifies every worker that the table has changed. A worker that is not waiting sees it at its next wait.
    pub(super) fn notify(&self) {
        self.epochs
            .iter()
            .for_each(|epoch| epoch.changed.notify_one());
    }

    /// Waits until the table has changed since the worker last waited. Cancel-safe.
    pub(super) async fn changed(&self, worker: usize) {
        self.epochs[worker].changed.notified().await;
    }

    pub(super) fn acknowledge(&self, worker: usize, revision: Revision) {
        self.epochs[worker]
            .acknowledged
            .store(revision.0, Ordering::SeqCst);
        self.acknowledged.notify_waiters();
    }

    pub(super) fn leave(&self, worker: usize) {
        self.acknowledge(worker, Revision(ABSENT));
    }

    /// Workers that have not acknowledged a revision.
    pub(super) fn lagging(&self, revision: Revision) -> Vec<usize> {
        let behind = |epoch: &Epoch| epoch.acknowledged.load(Ordering::SeqCst) < revision.0;
        self.epochs
            .iter()
            .enumerate()
            .filter(|(_, epoch)| behind(epoch))
            .map(|(worker, _)| worker)
            .collect()
    }

    /// Acknowledged revision of each running worker.
    pub(super) fn seen(&self) -> Vec<(usize, Revision)> {
        let seen = |epoch: &CachePadded<Epoch>| epoch.acknowledged.load(Ordering::SeqCst);
        let all = self.epochs.iter().map(seen).enumerate();
        all.filter(|(_, seen)| *seen != ABSENT)
            .map(|(worker, seen)| (worker, Revision(seen)))
            .collect()
    }

    /// Lowest revision that a running worker may still select by.
    pub(super) fn oldest(&self) -> Revision {
        let seen = |epoch: &CachePadded<Epoch>| epoch.acknowledged.load(Ordering::SeqCst);
        Revision(self.epochs.iter().map(seen).min().unwrap_or(ABSENT))
    }

    /// Waits until every running worker has acknowledged a revision. Cancel-safe.
    pub(super) async fn converged(&self, revision: Revision) {
        self.last_converged(revision).await;
    }

    /// Waits until every running worker has acknowledged a revision; the last one that did, unless all had already.
    /// Cancel-safe.
    pub(super) async fn last_converged(&self, revision: Revision) -> Option<usize> {
        let mut last = None;
        loop {
            let notified = self.acknowledged.notified();
            tokio::pin!(notified);
            // Registered before the check, so that an acknowledgement between the two is not missed.
            notified.as_mut().enable();
            let Some(behind) = self.lagging(revision).pop() else {
                return last;
            };
            last = Some(behind);
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn convergence_waits_for_those_who_run_and_for_nobody_else() {
        let epochs = WorkerEpochs::new(3);
        epochs.converged(Revision(5)).await;
        epochs.acknowledge(0, Revision(4));
        epochs.acknowledge(1, Revision(5));
        assert_eq!(
            (epochs.lagging(Revision(5)), epochs.oldest()),
            (vec![0], Revision(4))
        );
        let ((), ()) = tokio::join!(epochs.converged(Revision(5)), async {
            epochs.acknowledge(0, Revision(6));
        });
        epochs.leave(0);
        assert!(epochs.lagging(Revision(5)).is_empty());
    }

    #[tokio::test]
    async fn an_announcement_is_kept_for_a_worker_that_is_busy() {
        let epochs = WorkerEpochs::new(1);
        epochs.notify();
        epochs.notify();
        epochs.changed(0).await;
    }
}
