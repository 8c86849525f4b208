//! One write transaction, and the callers that wait for it.

use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

use super::{
    batch::Batch,
    pending::Pending,
    queue::{AppendError, Job},
    record::{self, Entry, Snapshot},
    stored_response::{self, AnswerRow},
};
use crate::model::{Revision, TableState};

/// Content of one transaction, with the callers that wait for it.
#[derive(Default)]
pub(super) struct WriteTxn {
    pub(super) batch: Batch,
    pub(super) has_void: bool,
    pub(super) stored: Revision,
    /// Last number taken, if the rest of the reservation is given back.
    pub(super) given_back: Option<u64>,
    answers: Vec<oneshot::Sender<Result<(), AppendError>>>,
    reservers: Vec<SyncSender<Result<(), String>>>,
    // Records that are live already: they are written again after an error, when all others are rejected.
    again: Vec<Pending>,
}

impl WriteTxn {
    pub(super) fn of(jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut txn = Self::default();
        for job in jobs {
            txn.add(job);
        }
        txn
    }

    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Append {
                entry,
                imported,
                done,
            } => {
                self.note(&entry);
                let row = (entry.record.revision, record::encode(&entry).into());
                self.batch.records.push(row);
                if let Some(document) = imported {
                    self.batch.imported = Some(record::encode_document(&document).into());
                }
                self.answers.push(done);
            }
            Job::Import { document, done } => {
                self.batch.imported = Some(record::encode_document(&document).into());
                self.answers.push(done);
            }
            Job::Answers { rows, done } => {
                let encode = |(key, answer): AnswerRow| {
                    (
                        key,
                        answer
                            .as_ref()
                            .map(|answer| stored_response::encode(answer).into()),
                    )
                };
                self.batch.answers.extend(rows.into_iter().map(encode));
                self.answers.push(done);
            }
            Job::Keep(pending) => {
                self.note(&pending.entry);
                self.batch.add(&pending);
                self.again.push(pending);
            }
            Job::Prune { remove, snapshots } => {
                let encode = |(revision, state): (Revision, TableState)| {
                    (revision, Snapshot::of(&state).encode().into())
                };
                self.batch
                    .snapshots
                    .extend(snapshots.into_iter().map(encode));
                self.batch.remove.extend(remove);
            }
            Job::Reserve(done) => self.reservers.extend(done),
            Job::GiveBack { last, done } => {
                self.given_back = Some(last);
                self.reservers.push(done);
            }
        }
    }

    fn note(&mut self, entry: &Entry) {
        self.has_void |= entry.is_void();
        if !entry.is_void() {
            self.stored = self.stored.max(entry.record.revision);
        }
    }

    /// True if all callers that requested it still wait.
    pub(super) fn is_awaited(&self) -> bool {
        self.answers.iter().all(|answer| !answer.is_closed())
    }

    pub(super) fn succeeded(self) {
        for answer in self.answers {
            // The caller may have given up; the record is written all the same.
            drop(answer.send(Ok(())));
        }
        for reserver in self.reservers {
            drop(reserver.try_send(Ok(())));
        }
        for mut pending in self.again {
            pending.mark_safe();
        }
    }

    /// Reports the error to the callers, and returns the records that must be written.
    pub(super) fn failed(self, error: &AppendError) -> Self {
        for answer in self.answers {
            drop(answer.send(Err(error.clone())));
        }
        for reserver in self.reservers {
            drop(reserver.try_send(Err(error.to_string())));
        }
        Self::of(self.again.into_iter().map(Job::Keep))
    }
}
