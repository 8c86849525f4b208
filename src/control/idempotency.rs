//! What makes it safe to repeat a request: the answer under its idempotency key.
//!
//! A key is known by the answer that was given under it, or, if the process ended before that was kept, by the record of
//! the revision that its request made. Requests under one key come one after the other.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{ControlError, Controller, controller::now_ms};
use crate::{
    api::{ImportReport, Receipt},
    history::{AnswerRow, AppendError, StoredResponse},
    model::{Author, Cause, Digest, Revision},
};

/// For how long an answer is kept, unless more come than are kept.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Answers that are kept at most.
const MOST: usize = 10_000;

/// Bytes of answers that are kept at most, in memory and on the disk.
const MOST_BYTES: usize = 32 << 20;

/// How long an answer waits for the disk when a record holds its key as well.
const MOMENT: Duration = Duration::from_millis(50);

/// The answers under keys, and the requests under keys that are in work.
#[derive(Debug, Default)]
pub(super) struct IdempotencyStore {
    inner: Mutex<Inner>,
    // One write at a time, so that whoever finds nothing to be written knows that it is.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<String, Arc<StoredResponse>>,
    // Keys, the oldest first; each is in `kept`.
    order: VecDeque<String>,
    bytes: usize,
    // What the disk has to be told yet. Each is a key that is kept, or one that was forgotten.
    unsaved: Vec<String>,
    in_work: HashMap<String, InWork>,
}

#[derive(Debug)]
struct InWork {
    request: Digest,
    over: watch::Sender<()>,
}

/// The only request in work under its key, until this is dropped.
#[derive(Debug)]
pub struct KeyGuard {
    controller: Arc<Controller>,
    key: String,
    request: Digest,
}

/// What a request was answered with before.
#[derive(Debug)]
pub enum ReplayedResponse {
    /// The answer as it was given.
    Kept(Arc<StoredResponse>),
    /// An import that was made, of which no answer was kept.
    Imported(Box<ImportReport>),
    /// A change that was made, of which no answer was kept.
    Made(Box<Receipt>),
}

// === impl IdempotencyStore ===

impl IdempotencyStore {
    /// What a history held, in any order.
    pub(super) fn of(mut answers: Vec<(String, StoredResponse)>) -> Self {
        answers.sort_by_key(|(_, answer)| answer.given_at_ms);
        let mut inner = Inner::default();
        for (key, answer) in answers {
            inner.insert(key, answer);
        }
        Self {
            inner: Mutex::new(inner),
            saving: tokio::sync::Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of the request that is in work under an author's key.
    pub(super) fn request_of(&self, by: &Author) -> Option<Digest> {
        let key = by.idempotency_key.as_ref()?;
        let inner = self.inner();
        inner.in_work.get(key).map(|in_work| in_work.request)
    }

    /// Begins with a request, or says whose end it has to wait for.
    fn begin(
        &self,
        key: &str,
        request: Digest,
    ) -> Result<Option<watch::Receiver<()>>, ControlError> {
        let mut inner = self.inner();
        if let Some(in_work) = inner.in_work.get(key) {
            if in_work.request != request {
                return Err(ControlError::KeyReused { revision: None });
            }
            return Ok(Some(in_work.over.subscribe()));
        }
        let (over, _) = watch::channel(());
        inner
            .in_work
            .insert(key.to_owned(), InWork { request, over });
        Ok(None)
    }
}

impl Inner {
    fn insert(&mut self, key: String, answer: StoredResponse) {
        self.bytes += key.len() + answer.body.len();
        self.kept.insert(key.clone(), Arc::new(answer));
        self.order.push_back(key);
    }

    /// Forgets what is too old and the oldest of what is too much.
    fn forget(&mut self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(u64::try_from(KEEP.as_millis()).unwrap_or(u64::MAX));
        while let Some(key) = self.order.front() {
            let is_old = self
                .kept
                .get(key)
                .is_none_or(|answer| answer.given_at_ms < oldest_ms);
            if !is_old && self.order.len() <= MOST && self.bytes <= MOST_BYTES {
                return;
            }
            let Some(key) = self.order.pop_front() else {
                return;
            };
            if let Some(answer) = self.kept.remove(&key) {
                self.bytes -= key.len() + answer.body.len();
            }
            self.unsaved.push(key);
        }
    }

    fn take_unsaved(&mut self) -> Vec<AnswerRow> {
        let keys = std::mem::take(&mut self.unsaved);
        let row = |key: String| {
            let answer = self.kept.get(&key).map(|answer| (**answer).clone());
            (key, answer)
        };
        keys.into_iter().map(row).collect()
    }
}

// === impl KeyGuard ===

impl KeyGuard {
    /// Keeps the answer. Where a record holds the key as well, the disk has a moment to take it, and later takes it
    /// behind; where nothing else would tell of the request after a restart, the answer must be on the disk.
    ///
    /// # Errors
    /// When it must be on the disk and is not. It is not kept then.
    pub async fn keep(
        &self,
        revision: Revision,
        body: String,
        is_recorded: bool,
    ) -> Result<(), ControlError> {
        self.insert(revision, body);
        let patience = if is_recorded {
            MOMENT
        } else {
            self.controller.settings.durable_within
        };
        let saved = tokio::time::timeout(patience, self.controller.save_answers()).await;
        let late = || AppendError::NotWritten("the disk did not answer in time".to_owned());
        match saved.unwrap_or_else(|_| Err(late())) {
            Err(error) if !is_recorded => {
                self.forget();
                Err(ControlError::NotDurable(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn insert(&self, revision: Revision, body: String) {
        let answer = StoredResponse {
            request: self.request,
            revision,
            given_at_ms: now_ms(),
            body,
        };
        let mut inner = self.controller.answers.inner();
        inner.insert(self.key.clone(), answer);
        inner.unsaved.push(self.key.clone());
        inner.forget(now_ms());
    }

    /// Forgets an answer that is not given after all.
    fn forget(&self) {
        let mut inner = self.controller.answers.inner();
        if let Some(answer) = inner.kept.remove(&self.key) {
            inner.bytes -= self.key.len() + answer.body.len();
            inner.order.retain(|key| *key != self.key);
            inner.unsaved.push(self.key.clone());
        }
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        // Dropping the sender wakes whoever waits.
        self.controller.answers.inner().in_work.remove(&self.key);
    }
}

// === impl Controller ===

impl Controller {
    /// Waits until no other request is in work under a key.
    ///
    /// # Errors
    /// When the one in work is another request.
    pub async fn key_turn(
        self: &Arc<Self>,
        key: &str,
        request: Digest,
    ) -> Result<KeyGuard, ControlError> {
        while let Some(mut over) = self.answers.begin(key, request)? {
            // An error is what says that it is over.
            while over.changed().await.is_ok() {}
        }
        Ok(KeyGuard {
            controller: Arc::clone(self),
            key: key.to_owned(),
            request,
        })
    }

    /// What a request was answered with before, if it was.
    ///
    /// # Errors
    /// When the key belongs to another request.
    pub fn answered_before(
        &self,
        turn: &KeyGuard,
    ) -> Result<Option<ReplayedResponse>, ControlError> {
        let kept = self.answers.inner().kept.get(&turn.key).cloned();
        if let Some(kept) = kept {
            if kept.request == turn.request {
                return Ok(Some(ReplayedResponse::Kept(kept)));
            }
            let revision = Some(kept.revision);
            return Err(ControlError::KeyReused { revision });
        }
        let made = self.revision_index().by_key(&turn.key).cloned();
        let Some(made) = made else { return Ok(None) };
        if made.record.request != Some(turn.request) {
            let revision = Some(made.record.revision);
            return Err(ControlError::KeyReused { revision });
        }
        let receipt = self.receipt_again(&made);
        Ok(Some(match made.record.cause {
            Cause::Import => ReplayedResponse::Imported(Box::new(self.report_again(receipt))),
            Cause::Publish
            | Cause::Rollback { .. }
            | Cause::RollbackRoute { .. }
            | Cause::Roster
            | Cause::Void => ReplayedResponse::Made(Box::new(receipt)),
        }))
    }

    /// Tries again to have the disk take what it has not got yet; until it has, a repeat is answered from memory.
    pub(super) async fn retry_answers(&self) {
        drop(tokio::time::timeout(MOMENT, self.save_answers()).await);
    }

    /// Has the disk take what it has not got yet.
    pub(super) async fn save_answers(&self) -> Result<(), AppendError> {
        let _saving = self.answers.saving.lock().await;
        let rows = self.answers.inner().take_unsaved();
        if rows.is_empty() {
            return Ok(());
        }
        let keys = rows.iter().map(|(key, _)| key.clone()).collect();
        let again = Unsaved {
            answers: &self.answers,
            keys,
        };
        let written = self.history.keep_answers(rows)?;
        let gone = |_| AppendError::Unknown("the thread of the history is gone".to_owned());
        written.await.map_err(gone)??;
        again.are_saved();
        Ok(())
    }
}

/// Keys whose rows are being written: to be written again unless they are saved.
struct Unsaved<'a> {
    answers: &'a IdempotencyStore,
    keys: Vec<String>,
}

impl Unsaved<'_> {
    fn are_saved(mut self) {
        self.keys.clear();
    }
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            let keys = std::mem::take(&mut self.keys);
            self.answers.inner().unsaved.extend(keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(given_at_ms: u64, length: usize) -> StoredResponse {
        StoredResponse {
            request: Digest::default(),
            revision: Revision(1),
            given_at_ms,
            body: "x".repeat(length),
        }
    }

    fn keys(inner: &Inner) -> Vec<&str> {
        inner.order.iter().map(String::as_str).collect()
    }

    #[test]
    fn answers_are_kept_for_a_day_and_bounded_in_number_and_bytes() {
        let day = u64::try_from(KEEP.as_millis()).unwrap();
        let mut inner = Inner::default();
        inner.insert("old".to_owned(), answer(10, 1));
        inner.insert("new".to_owned(), answer(11, 1));
        inner.forget(10 + day);
        assert_eq!(keys(&inner), ["old", "new"]);
        inner.forget(11 + day);
        assert_eq!(keys(&inner), ["new"]);
        inner.insert("large".to_owned(), answer(12, MOST_BYTES - 8));
        inner.forget(12);
        assert_eq!(keys(&inner), ["large"]);
        assert_eq!(inner.bytes, MOST_BYTES - 3);
        let forgotten: Vec<_> = inner.take_unsaved();
        assert_eq!(
            forgotten,
            [("old".to_owned(), None), ("new".to_owned(), None)]
        );
        for number in 0..=MOST {
            inner.insert(number.to_string(), answer(13, 0));
        }
        inner.forget(13);
        assert_eq!((inner.order.len(), inner.kept.len()), (MOST, MOST));
    }
}
