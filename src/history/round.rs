//! One transaction's worth of work, and who waits for it.

use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

use super::{
    batch::Batch,
    inbox::{AppendError, Job},
    record::{self, Entry, Snapshot},
};
use crate::model::{Revision, TableDocument, TableState};

/// What one round writes, and who waits for it.
#[derive(Default)]
pub(super) struct Round {
    pub(super) batch: Batch,
    pub(super) has_void: bool,
    pub(super) stored: Revision,
    answers: Vec<oneshot::Sender<Result<(), AppendError>>>,
    reservers: Vec<SyncSender<Result<(), String>>>,
    // What is live already: written again after an error, when everything else is refused.
    again: Vec<Entry>,
}

impl Round {
    pub(super) fn of(jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut round = Self::default();
        for job in jobs {
            round.add(job);
        }
        round
    }

    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Append {
                entry,
                imported,
                done,
            } => {
                self.record(&entry);
                if let Some(document) = imported {
                    self.batch.imported = Some(encode_document(&document));
                }
                self.answers.push(done);
            }
            Job::Import { document, done } => {
                self.batch.imported = Some(encode_document(&document));
                self.answers.push(done);
            }
            Job::Keep(entry) => {
                self.record(&entry);
                self.again.push(*entry);
            }
            Job::Prune { remove, snapshots } => {
                let encode = |(revision, state): (Revision, TableState)| {
                    (revision, Snapshot::of(&state).encode())
                };
                self.batch
                    .snapshots
                    .extend(snapshots.into_iter().map(encode));
                self.batch.remove.extend(remove);
            }
            Job::Reserve(done) => self.reservers.extend(done),
        }
    }

    fn record(&mut self, entry: &Entry) {
        let revision = entry.record.revision;
        self.has_void |= entry.is_void();
        if !entry.is_void() {
            self.stored = self.stored.max(revision);
        }
        self.batch.records.push((revision, record::encode(entry)));
    }

    pub(super) fn succeeded(self) {
        for answer in self.answers {
            // Whoever asked may have given up; the record is there all the same.
            drop(answer.send(Ok(())));
        }
        for reserver in self.reservers {
            drop(reserver.try_send(Ok(())));
        }
    }

    /// Refuses what may be refused, and gives back what has to be written.
    pub(super) fn failed(self, error: &AppendError) -> Self {
        for answer in self.answers {
            drop(answer.send(Err(error.clone())));
        }
        for reserver in self.reservers {
            drop(reserver.try_send(Err(error.to_string())));
        }
        Self::of(
            self.again
                .into_iter()
                .map(|entry| Job::Keep(Box::new(entry))),
        )
    }
}

fn encode_document(document: &TableDocument) -> Vec<u8> {
    serde_json::to_vec(document).expect("types of the model have string keys and finite numbers")
}
