//! Queue of the store's thread. Its lock is held only to push and to take.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::oneshot;

use super::{batch::Batch, pending::Pending, record::Entry, stored_response::AnswerRow};
use crate::model::{Cause, Revision, TableDocument, TableState};

/// Limit on queued records that are live already; a chain of rollbacks cannot be longer than what is kept.
const LONGEST_QUEUE: usize = 2_048;
/// Time without a response after which the disk counts as stuck.
const STUCK: Duration = Duration::from_secs(2);

/// Reason why a record was not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// It was not written, and will not be.
    #[error("the history cannot be written: {0}")]
    NotWritten(String),
    /// It is unknown if it was written.
    #[error("it is unknown whether the history was written: {0}")]
    Unknown(String),
}

#[derive(Debug)]
pub(super) enum Job {
    Append {
        entry: Box<Entry>,
        imported: Option<Arc<TableDocument>>,
        done: oneshot::Sender<Result<(), AppendError>>,
    },
    Import {
        document: Arc<TableDocument>,
        done: oneshot::Sender<Result<(), AppendError>>,
    },
    Answers {
        rows: Vec<AnswerRow>,
        done: oneshot::Sender<Result<(), AppendError>>,
    },
    Keep(Pending),
    Prune {
        remove: Vec<Revision>,
        snapshots: Vec<(Revision, TableState)>,
    },
    Reserve(Option<SyncSender<Result<(), String>>>),
    /// Writes the last number taken, so that the next process goes on with it.
    GiveBack {
        last: u64,
        done: SyncSender<Result<(), String>>,
    },
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    // The thread is to take the jobs. A rollback's record waits for its journal entry, even if the thread is idle.
    due: bool,
    // Number of records taken from the queue that are not written yet.
    pub(super) taken: usize,
    pub(super) busy_since: Option<Instant>,
    pub(super) error: Option<String>,
    pub(super) ending: Option<Shutdown>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// Leave everything as it is.
    Abandon,
    /// Write pending records, then the last used number.
    Finish(u64),
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    pub(super) wake: Condvar,
}

impl Shared {
    /// Starts the thread on the queued jobs.
    pub(super) fn resume(&self) {
        self.queue().begin();
        self.wake.notify_one();
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn is_kept(job: &Job) -> bool {
    matches!(job, Job::Keep(_))
}

impl Queue {
    /// Marks the queued jobs as due.
    pub(super) fn begin(&mut self) {
        self.due = !self.jobs.is_empty();
    }

    /// True if the thread has work.
    pub(super) fn is_due(&self) -> bool {
        self.ending.is_some() || (self.due && !self.jobs.is_empty())
    }

    /// Takes all queued jobs.
    pub(super) fn take(&mut self) -> VecDeque<Job> {
        self.due = false;
        let jobs = std::mem::take(&mut self.jobs);
        self.taken += jobs.iter().filter(|job| is_kept(job)).count();
        jobs
    }

    /// Sends records ahead to a writer process that is late. They stay queued, to be written in order.
    pub(super) fn send_ahead(&mut self, send: &mut dyn FnMut(&Batch) -> bool) {
        for job in &mut self.jobs {
            let Job::Keep(pending) = job else { continue };
            if pending.sent {
                continue;
            }
            let mut batch = Batch::default();
            batch.add(pending);
            if !send(&batch) {
                return;
            }
            pending.sent = true;
            pending.mark_safe();
        }
    }

    pub(super) fn failure(&self, now: Instant) -> Option<String> {
        let stuck = self
            .busy_since
            .filter(|since| now.saturating_duration_since(*since) > STUCK);
        let stuck = || stuck.map(|_| "the disk has not responded for more than 2 s".to_owned());
        self.error.clone().or_else(stuck)
    }

    /// If the queue is full, removes one record that the next one makes redundant: a rollback of the
    /// whole table stands alone.
    pub(super) fn evict_redundant(&mut self) {
        if self.jobs.len() < LONGEST_QUEUE {
            return;
        }
        let whole = |job: &Job| matches!(job, Job::Keep(pending) if matches!(pending.entry.record.cause, Cause::Rollback { .. }));
        let place =
            (1..self.jobs.len()).find(|&i| whole(&self.jobs[i]) && is_kept(&self.jobs[i - 1]));
        self.jobs.remove(place.map_or(0, |place| place - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Author, Digest, RevisionRecord};

    fn kept() -> Job {
        Job::Keep(Pending::new(Entry::new(RevisionRecord {
            revision: Revision(2),
            parent: Revision(1),
            undo_to: None,
            published_at_ms: 1,
            author: Author {
                actor: Actor::Api,
                name: "test".to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause: Cause::Rollback { to: Revision(1) },
            digest: Digest::default(),
            change: None,
            request: None,
            cut: false,
            shared: None,
        })))
    }

    #[test]
    fn what_is_kept_waits_until_the_store_is_told_even_if_the_thread_comes_by() {
        let mut queue = Queue::default();
        // Started while the queue was empty: that does not apply to later jobs.
        queue.begin();
        queue.jobs.push_back(kept());
        assert!(!queue.is_due());
        queue.begin();
        assert!(queue.is_due());
        assert_eq!((queue.take().len(), queue.taken), (1, 1));
        queue.jobs.push_back(kept());
        assert!(!queue.is_due(), "the word was for what was taken");
        queue.ending = Some(Shutdown::Finish(2));
        assert!(queue.is_due(), "the end waits for nothing");
    }
}
