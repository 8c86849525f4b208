//! The store's writer thread and its queue.
//!
//! A record that must be durable before it is live is written or rejected. A record that is live already is retried
//! for as long as it takes, in order; the store is reopened after each error.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

use super::{
    batch::Batch,
    disk::{Disk, OpenStore},
    durability::{FaultInjector, HistoryHealth, Progress, Reporter},
    error::WriteError,
    pending::Pending,
    queue::{AppendError, Job, Shared, Shutdown, is_kept},
    record::Entry,
    revision_allocator::RevisionAllocator,
    stored_response::AnswerRow,
    transaction::WriteTxn,
};
use crate::model::{Revision, TableDocument};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Handle on the thread.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    reporter: Reporter,
    ended: Mutex<Receiver<bool>>,
}

impl Writer {
    pub(super) fn start(
        disk: &Disk,
        store: OpenStore,
        hook: Option<FaultInjector>,
        numbers: Arc<RevisionAllocator>,
        stored: Revision,
    ) -> (Self, watch::Receiver<Progress>) {
        let (sender, progress) = watch::channel(Progress {
            stored,
            ..Progress::default()
        });
        let (end, ended) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let thread = Thread {
            shared: Arc::clone(&shared),
            reporter: Reporter(sender.clone()),
            disk: disk.clone(),
            store: Some(store),
            hook,
            numbers,
            reserved: 0,
        };
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                let written = thread.run();
                // The receiver may be gone.
                let _received = end.try_send(written);
            })
            .expect("a process that starts can start a thread");
        let writer = Self {
            shared,
            reporter: Reporter(sender),
            ended: Mutex::new(ended),
        };
        (writer, progress)
    }

    pub(super) fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    pub(super) fn append(
        &self,
        entry: Entry,
        imported: Option<Arc<TableDocument>>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let (done, answer) = oneshot::channel();
        self.push_if_well(Job::Append {
            entry: Box::new(entry),
            imported,
            done,
        })?;
        Ok(answer)
    }

    pub(super) fn remember_import(
        &self,
        document: Arc<TableDocument>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let (done, answer) = oneshot::channel();
        self.push_if_well(Job::Import { document, done })?;
        Ok(answer)
    }

    pub(super) fn keep_answers(
        &self,
        rows: Vec<AnswerRow>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let (done, answer) = oneshot::channel();
        self.push_if_well(Job::Answers { rows, done })?;
        Ok(answer)
    }

    fn push_if_well(&self, job: Job) -> Result<(), AppendError> {
        let mut queue = self.shared.queue();
        if let Some(reason) = queue.failure(Instant::now()) {
            return Err(AppendError::NotWritten(reason));
        }
        queue.jobs.push_back(job);
        queue.begin();
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    pub(super) fn push_unless_sick(&self, job: Job) {
        drop(self.push_if_well(job));
    }

    pub(super) fn refill(&self) {
        self.push(Job::Reserve(None));
    }

    /// Queues a record; [`Writer::resume`] starts the write.
    pub(super) fn append_async(&self, pending: Pending) {
        self.put(Job::Keep(pending));
    }

    pub(super) fn resume(&self) {
        self.shared.resume();
    }

    /// Callback that resumes the thread.
    pub(super) fn waker(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.resume()
    }

    fn push(&self, job: Job) {
        self.put(job);
        self.resume();
    }

    fn put(&self, job: Job) {
        let mut queue = self.shared.queue();
        queue.evict_redundant();
        queue.jobs.push_back(job);
    }

    pub(super) fn cancel(&self, revision: Revision) -> bool {
        let mut queue = self.shared.queue();
        let place = queue.jobs.iter().position(
            |job| matches!(job, Job::Append { entry, .. } if entry.record.revision == revision),
        );
        place.is_some_and(|place| queue.jobs.remove(place).is_some())
    }

    /// Reserves the first block of numbers and waits for it, so that no number is used twice.
    pub(super) fn reserve_first(&self, patience: Duration) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.push(Job::Reserve(Some(done)));
        answer
            .recv_timeout(patience)
            .unwrap_or_else(|_| Err("the disk does not respond".to_owned()))
    }

    /// Writes all that is queued and gives the numbers after `last` back, so that another process goes on with them.
    pub(super) fn give_back(&self, last: u64, patience: Duration) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.push(Job::GiveBack { last, done });
        answer
            .recv_timeout(patience)
            .unwrap_or_else(|_| Err("the disk does not respond".to_owned()))
    }

    pub(super) fn standing(&self, now: Instant) -> HistoryHealth {
        let queue = self.shared.queue();
        HistoryHealth {
            pending: queue.taken + queue.jobs.iter().filter(|job| is_kept(job)).count(),
            error: queue.failure(now),
        }
    }

    /// Ends the thread once everything is written; `false` if that took too long.
    pub(super) fn close(&self, last: u64, deadline: Instant) -> bool {
        self.end(Shutdown::Finish(last), deadline)
    }

    /// Takes live records that the thread has not taken, for another process to write, in batches of bounded size.
    pub(super) fn take_kept(&self) -> Vec<Batch> {
        const RECORDS: usize = 32;
        let mut queue = self.shared.queue();
        queue.ending = Some(Shutdown::Abandon);
        let mut kept: Vec<Job> = queue.jobs.drain(..).filter(is_kept).collect();
        drop(queue);
        let mut batches = Vec::new();
        while !kept.is_empty() {
            let rest = kept.split_off(kept.len().min(RECORDS));
            batches.push(WriteTxn::of(kept).batch);
            kept = rest;
        }
        batches
    }

    fn end(&self, ending: Shutdown, deadline: Instant) -> bool {
        let mut queue = self.shared.queue();
        if ending == Shutdown::Abandon || queue.ending.is_none() {
            queue.ending = Some(ending);
        }
        drop(queue);
        self.shared.wake.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        ended.recv_timeout(left).unwrap_or(false)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A thread that hangs with its file system is abandoned.
        self.end(Shutdown::Abandon, Instant::now() + Duration::from_secs(1));
    }
}

struct Thread {
    shared: Arc<Shared>,
    reporter: Reporter,
    disk: Disk,
    store: Option<OpenStore>,
    hook: Option<FaultInjector>,
    numbers: Arc<RevisionAllocator>,
    // Upper end of the numbers that this thread has reserved durably.
    reserved: u64,
}

impl Thread {
    /// Runs transactions until shutdown; true if unused numbers were returned.
    fn run(mut self) -> bool {
        loop {
            let (jobs, ending) = self.next_jobs();
            match ending {
                Some(Shutdown::Abandon) => return false,
                Some(Shutdown::Finish(last)) if jobs.is_empty() => return self.finish(last),
                Some(Shutdown::Finish(_)) | None => {}
            }
            if !self.write_all(WriteTxn::of(jobs)) {
                return false;
            }
        }
    }

    fn next_jobs(&self) -> (VecDeque<Job>, Option<Shutdown>) {
        let mut queue = self.shared.queue();
        while !queue.is_due() {
            queue = self
                .shared
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let jobs = queue.take();
        queue.busy_since = Some(Instant::now());
        (jobs, queue.ending)
    }

    /// Retries until all required records are written; `false` if the process ends first.
    fn write_all(&mut self, mut txn: WriteTxn) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let due = || self.numbers.due(self.reserved);
            txn.batch.reserved = txn.given_back.or_else(due);
            match self.attempt(&txn) {
                Ok(()) => {
                    self.succeeded(txn);
                    return true;
                }
                Err(error) => {
                    self.note_error(&error);
                    txn = txn.failed(&error);
                }
            }
            let Some(more) = self.rest(pause) else {
                return false;
            };
            pause = (pause * 2).min(LONGEST_PAUSE);
            for job in more {
                txn.add(job);
            }
        }
    }

    fn attempt(&mut self, txn: &WriteTxn) -> Result<(), AppendError> {
        let (mut written, mut begun) = (self.try_once(&txn.batch), false);
        if let Err(error) = &written
            && error.gone
            && txn.is_awaited()
        {
            // The writer process died before or during the write: another one writes the same, and a row that was
            // written already stays single. Not if a caller gave up: a rejected record must not be written later.
            begun = error.begun;
            written = self.try_once(&txn.batch);
        }
        written.map_err(|error| {
            if begun || error.begun {
                AppendError::Unknown(error.reason)
            } else {
                AppendError::NotWritten(error.reason)
            }
        })
    }

    fn try_once(&mut self, batch: &Batch) -> Result<(), WriteError> {
        if self.store.is_none() {
            let opened = self.disk.open_again().map_err(|error| WriteError {
                reason: error.to_string(),
                begun: false,
                gone: false,
            })?;
            self.store = Some(opened);
        }
        let store = self.store.as_ref().expect("opened above");
        let ahead = |send: &mut dyn FnMut(&Batch) -> bool| self.shared.queue().send_ahead(send);
        // After an error the database rejects all calls, so it is reopened.
        store
            .write(batch, self.hook.as_ref(), ahead)
            .inspect_err(|_| self.store = None)
    }

    fn succeeded(&mut self, txn: WriteTxn) {
        let mut queue = self.shared.queue();
        queue.taken = 0;
        queue.busy_since = None;
        if queue.error.take().is_some() {
            tracing::info!("the history can be written again");
        }
        drop(queue);
        if let Some(reserved) = txn.batch.reserved {
            self.reserved = reserved;
        }
        if let (Some(reserved), None) = (txn.batch.reserved, txn.given_back) {
            self.numbers.reserved(reserved);
        }
        let last = txn
            .has_void
            .then(|| self.store.as_ref().map(OpenStore::last))
            .flatten();
        self.reporter.0.send_modify(|progress| {
            progress.stored = last.unwrap_or_else(|| progress.stored.max(txn.stored));
        });
        txn.succeeded();
    }

    fn note_error(&self, error: &AppendError) {
        let reason = match error {
            AppendError::NotWritten(reason) | AppendError::Unknown(reason) => reason.clone(),
        };
        let mut queue = self.shared.queue();
        if queue.error.as_ref() != Some(&reason) {
            tracing::error!(%reason, "the history cannot be written");
        }
        queue.error = Some(reason);
        drop(queue);
        self.reporter.0.send_modify(|progress| progress.errors += 1);
    }

    /// Waits before the next try; returns jobs queued meanwhile, or `None` if the process ends.
    fn rest(&self, pause: Duration) -> Option<VecDeque<Job>> {
        let deadline = Instant::now() + pause;
        let mut queue = self.shared.queue();
        while queue.ending != Some(Shutdown::Abandon) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(queue.take());
            }
            let waited = self.shared.wake.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn finish(&mut self, last: u64) -> bool {
        let mut txn = WriteTxn::default();
        txn.batch.reserved = Some(last);
        self.attempt(&txn).is_ok()
    }
}
