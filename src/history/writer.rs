//! The thread that owns the store, and the queue before it.
//!
//! What must be durable before it is live is written or refused; what is live already is written for as long as it
//! takes, in order, with the store opened anew after each error.

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
    answer::AnswerRow,
    batch::Batch,
    disk::{Disk, OpenStore},
    error::WriteError,
    inbox::{AppendError, Ending, Job, Pending, Shared, is_kept},
    numbers::Numbers,
    progress::{Hook, Progress, Reporter, Standing},
    record::Entry,
    round::Round,
};
use crate::model::{Revision, TableDocument};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The handle on the thread.
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
        hook: Option<Hook>,
        numbers: Arc<Numbers>,
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
                // Nobody may be waiting any more.
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
        let mut inbox = self.shared.inbox();
        if let Some(reason) = inbox.sickness(Instant::now()) {
            return Err(AppendError::NotWritten(reason));
        }
        inbox.jobs.push_back(job);
        inbox.begin();
        drop(inbox);
        self.shared.wake.notify_one();
        Ok(())
    }

    pub(super) fn push_unless_sick(&self, job: Job) {
        drop(self.push_if_well(job));
    }

    pub(super) fn refill(&self) {
        self.push(Job::Reserve(None));
    }

    /// Takes a record in; [`Writer::go_on`] has it written.
    pub(super) fn keep(&self, pending: Pending) {
        self.put(Job::Keep(pending));
    }

    pub(super) fn go_on(&self) {
        self.shared.go_on();
    }

    /// What has the thread go on.
    pub(super) fn waker(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.go_on()
    }

    fn push(&self, job: Job) {
        self.put(job);
        self.go_on();
    }

    fn put(&self, job: Job) {
        let mut inbox = self.shared.inbox();
        inbox.make_room();
        inbox.jobs.push_back(job);
    }

    pub(super) fn withdraw(&self, revision: Revision) -> bool {
        let mut inbox = self.shared.inbox();
        let place = inbox.jobs.iter().position(
            |job| matches!(job, Job::Append { entry, .. } if entry.record.revision == revision),
        );
        place.is_some_and(|place| inbox.jobs.remove(place).is_some())
    }

    /// Reserves the first block of numbers and waits for it, so that none is given out twice.
    pub(super) fn reserve_first(&self, patience: Duration) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.push(Job::Reserve(Some(done)));
        answer
            .recv_timeout(patience)
            .unwrap_or_else(|_| Err("the disk does not answer".to_owned()))
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let inbox = self.shared.inbox();
        Standing {
            pending: inbox.taken + inbox.jobs.iter().filter(|job| is_kept(job)).count(),
            error: inbox.sickness(now),
        }
    }

    /// Ends the thread once everything is written; `false` when that did not happen in time.
    pub(super) fn close(&self, last: u64, deadline: Instant) -> bool {
        self.end(Ending::Finish(last), deadline)
    }

    /// Takes what is live and was not begun to be written, for somebody else to write, in batches of a bounded size.
    pub(super) fn take_kept(&self) -> Vec<Batch> {
        const RECORDS: usize = 32;
        let mut inbox = self.shared.inbox();
        inbox.ending = Some(Ending::Abandon);
        let mut kept: Vec<Job> = inbox.jobs.drain(..).filter(is_kept).collect();
        drop(inbox);
        let mut batches = Vec::new();
        while !kept.is_empty() {
            let rest = kept.split_off(kept.len().min(RECORDS));
            batches.push(Round::of(kept).batch);
            kept = rest;
        }
        batches
    }

    fn end(&self, ending: Ending, deadline: Instant) -> bool {
        let mut inbox = self.shared.inbox();
        if ending == Ending::Abandon || inbox.ending.is_none() {
            inbox.ending = Some(ending);
        }
        drop(inbox);
        self.shared.wake.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        ended.recv_timeout(left).unwrap_or(false)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A thread that hangs with its file system is left behind.
        self.end(Ending::Abandon, Instant::now() + Duration::from_secs(1));
    }
}

struct Thread {
    shared: Arc<Shared>,
    reporter: Reporter,
    disk: Disk,
    store: Option<OpenStore>,
    hook: Option<Hook>,
    numbers: Arc<Numbers>,
    // Up to where this thread wrote numbers down.
    reserved: u64,
}

impl Thread {
    /// Writes rounds until the end; says whether the last numbers were given back.
    fn run(mut self) -> bool {
        loop {
            let (jobs, ending) = self.next_jobs();
            match ending {
                Some(Ending::Abandon) => return false,
                Some(Ending::Finish(last)) if jobs.is_empty() => return self.finish(last),
                Some(Ending::Finish(_)) | None => {}
            }
            if !self.write_all(Round::of(jobs)) {
                return false;
            }
        }
    }

    fn next_jobs(&self) -> (VecDeque<Job>, Option<Ending>) {
        let mut inbox = self.shared.inbox();
        while !inbox.is_due() {
            inbox = self
                .shared
                .wake
                .wait(inbox)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let jobs = inbox.take();
        inbox.busy_since = Some(Instant::now());
        (jobs, inbox.ending)
    }

    /// Tries until everything is written that has to be; `false` when the process ends first.
    fn write_all(&mut self, mut round: Round) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            round.batch.reserved = self.numbers.due(self.reserved);
            match self.attempt(&round) {
                Ok(()) => {
                    self.succeeded(round);
                    return true;
                }
                Err(error) => {
                    self.note_error(&error);
                    round = round.failed(&error);
                }
            }
            let Some(more) = self.rest(pause) else {
                return false;
            };
            pause = (pause * 2).min(LONGEST_PAUSE);
            for job in more {
                round.add(job);
            }
        }
    }

    fn attempt(&mut self, round: &Round) -> Result<(), AppendError> {
        let (mut written, mut begun) = (self.try_once(&round.batch), false);
        if let Err(error) = &written
            && error.gone
            && round.is_awaited()
        {
            // The keeper died, before this or amid it: another one writes the same. What the first one had written is
            // there once. Not for who gave up waiting: what was refused meanwhile must not be written again.
            begun = error.begun;
            written = self.try_once(&round.batch);
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
        let ahead = |send: &mut dyn FnMut(&Batch) -> bool| self.shared.inbox().send_ahead(send);
        // After an error the database refuses everything, so it is opened anew.
        store
            .write(batch, self.hook.as_ref(), ahead)
            .inspect_err(|_| self.store = None)
    }

    fn succeeded(&mut self, round: Round) {
        let mut inbox = self.shared.inbox();
        inbox.taken = 0;
        inbox.busy_since = None;
        if inbox.error.take().is_some() {
            tracing::info!("the history can be written again");
        }
        drop(inbox);
        if let Some(reserved) = round.batch.reserved {
            self.reserved = reserved;
            self.numbers.reserved(reserved);
        }
        let last = round
            .has_void
            .then(|| self.store.as_ref().map(OpenStore::last))
            .flatten();
        self.reporter.0.send_modify(|progress| {
            progress.stored = last.unwrap_or_else(|| progress.stored.max(round.stored));
        });
        round.succeeded();
    }

    fn note_error(&self, error: &AppendError) {
        let reason = match error {
            AppendError::NotWritten(reason) | AppendError::Unknown(reason) => reason.clone(),
        };
        let mut inbox = self.shared.inbox();
        if inbox.error.as_ref() != Some(&reason) {
            tracing::error!(%reason, "the history cannot be written");
        }
        inbox.error = Some(reason);
        drop(inbox);
        self.reporter.0.send_modify(|progress| progress.errors += 1);
    }

    /// Waits before the next try; returns what came meanwhile, or `None` when the process ends.
    fn rest(&self, pause: Duration) -> Option<VecDeque<Job>> {
        let deadline = Instant::now() + pause;
        let mut inbox = self.shared.inbox();
        while inbox.ending != Some(Ending::Abandon) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(inbox.take());
            }
            let waited = self.shared.wake.wait_timeout(inbox, left);
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn finish(&mut self, last: u64) -> bool {
        let mut round = Round::default();
        round.batch.reserved = Some(last);
        self.attempt(&round).is_ok()
    }
}
