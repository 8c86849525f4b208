//! The thread that writes the rollback journal.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    disk::OpenJournal,
    durability::{FaultInjector, Reporter},
    record::{self, Entry},
    revision_allocator::RevisionAllocator,
    rollback_journal::{JournalWrite, SLOTS, builds_on},
};
use crate::model::Revision;

/// Handle on the thread that writes the journal.
#[derive(Debug)]
pub(super) struct JournalWriter {
    jobs: SyncSender<JournalWrite>,
    numbers: Arc<RevisionAllocator>,
}

impl JournalWriter {
    pub(super) fn start(
        file: OpenJournal,
        reporter: Reporter,
        hook: Option<FaultInjector>,
        numbers: &Arc<RevisionAllocator>,
        after_failure: impl Fn() + Send + 'static,
    ) -> Self {
        let (jobs, queue) = sync_channel(SLOTS);
        let shared = Arc::clone(numbers);
        std::thread::Builder::new()
            .name("history-slots".to_owned())
            .spawn(move || {
                run(
                    file,
                    &queue,
                    &reporter,
                    hook.as_ref(),
                    &shared,
                    after_failure,
                );
            })
            .expect("a process that starts can start a thread");
        Self {
            jobs,
            numbers: Arc::clone(numbers),
        }
    }

    /// Prepares the entry of a rollback.
    pub(super) fn prepare(&self, entry: &Entry) -> JournalWrite {
        JournalWrite {
            revision: entry.record.revision,
            reserved: self.numbers.wanted(),
            payload: record::encode(entry).into(),
            builds_on: builds_on(entry),
            done: None,
        }
    }

    /// Queues the entry of a rollback. `false` if the queue is full, at [`SLOTS`] entries: then only the store has the
    /// record.
    pub(super) fn write(&self, write: JournalWrite) -> bool {
        self.jobs.try_send(write).is_ok()
    }

    /// Writes a reservation of numbers, and waits for it.
    pub(super) fn reserve(&self, upto: u64, deadline: Instant) -> bool {
        let (done, answer) = sync_channel(1);
        let write = JournalWrite {
            revision: Revision(0),
            reserved: upto,
            payload: Bytes::new(),
            builds_on: false,
            done: Some(done),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        self.jobs.try_send(write).is_ok() && answer.recv_timeout(left).unwrap_or(false)
    }

    /// Reserves the first block, for a start on a full disk.
    pub(super) fn reserve_first(&self, patience: Duration) -> bool {
        let wanted = self.numbers.wanted();
        let reserved = self.reserve(wanted, Instant::now() + patience);
        if reserved {
            self.numbers.reserved(wanted);
        }
        reserved
    }
}

fn run(
    mut file: OpenJournal,
    queue: &Receiver<JournalWrite>,
    reporter: &Reporter,
    hook: Option<&FaultInjector>,
    numbers: &RevisionAllocator,
    after_failure: impl Fn(),
) {
    let mut sent = VecDeque::new();
    while let Some(write) = sent.pop_front().or_else(|| queue.recv().ok()) {
        let ahead = |send: &mut dyn FnMut(&JournalWrite) -> bool| {
            // An entry sent ahead is still written in order; the journal recognizes entries that it has.
            while sent.len() < SLOTS
                && let Ok(next) = queue.try_recv()
            {
                send(&next);
                sent.push_back(next);
            }
        };
        let written = file.write(&write, reporter.stored(), hook, ahead);
        if let Err(error) = &written {
            tracing::warn!(%error, revision = %write.revision, "a rollback cannot be written to the rollback journal");
            after_failure();
        } else if write.revision != Revision(0) {
            numbers.reserved(write.reserved);
            reporter.report_journaled(write.revision);
        }
        if let Some(done) = write.done {
            // The receiver may have given up.
            let _received = done.try_send(written.is_ok());
        }
    }
}
