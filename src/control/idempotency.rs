//! Idempotency keys: the response under a key makes it safe to repeat a request.
//!
//! A key is known by the response that was sent under it, or, if the process ended before that was kept, by the record of
//! the revision that its request made. Requests under one key run one after the other.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    ControlError,
    clock::now_ms,
    revision_log::{RevisionLog, writer_gone},
};
use crate::{
    api::{ImportReport, Receipt},
    history::{AnswerRow, AppendError, StoredResponse},
    model::{Author, Digest, Revision},
};

/// Longest time that a response is kept.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Largest number of responses that are kept.
const MOST: usize = 10_000;

/// Largest number of bytes of responses that are kept, in memory and on the disk.
const MOST_BYTES: usize = 32 << 20;

/// Longest time that a response waits for the disk when a record holds its key as well.
const SAVE_TIMEOUT: Duration = Duration::from_millis(50);

/// The responses under keys, and the requests under keys that are in progress.
#[derive(Debug)]
pub(super) struct IdempotencyStore {
    log: Arc<RevisionLog>,
    durable_within: Duration,
    inner: Mutex<Inner>,
    // One write at a time, so that a caller with nothing to write knows that it is written.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<String, Arc<StoredResponse>>,
    // Keys, the oldest first; each is in `kept`.
    order: VecDeque<String>,
    bytes: usize,
    // Keys whose rows have to be written: some are kept, some were dropped.
    unsaved: Vec<String>,
    in_progress: HashMap<String, InProgress>,
}

#[derive(Debug)]
struct InProgress {
    request: Digest,
    over: watch::Sender<()>,
}

/// The lock of a request on its key: no other is in progress under it until this is dropped.
#[derive(Debug)]
pub struct KeyGuard {
    store: Arc<IdempotencyStore>,
    key: String,
    request: Digest,
}

/// The response to a request that was made before.
#[derive(Debug)]
pub enum ReplayedResponse {
    /// The response as it was sent.
    Kept(Arc<StoredResponse>),
    /// An import that was made, of which no response was kept.
    Imported(Box<ImportReport>),
    /// A change that was made, of which no response was kept.
    Made(Box<Receipt>),
}

// === impl IdempotencyStore ===

impl IdempotencyStore {
    /// A store with the responses of a history, in any order.
    pub(super) fn new(
        mut responses: Vec<(String, StoredResponse)>,
        log: Arc<RevisionLog>,
        durable_within: Duration,
    ) -> Self {
        responses.sort_by_key(|(_, response)| response.given_at_ms);
        let mut inner = Inner::default();
        for (key, response) in responses {
            inner.insert(key, response);
        }
        Self {
            log,
            durable_within,
            inner: Mutex::new(inner),
            saving: tokio::sync::Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All responses that are kept, the oldest first.
    pub(super) fn all(&self) -> Vec<(String, Arc<StoredResponse>)> {
        let inner = self.inner();
        let row = |key: &String| Some((key.clone(), Arc::clone(inner.kept.get(key)?)));
        inner.order.iter().filter_map(row).collect()
    }

    /// The digest of the request that is in progress under an author's key.
    pub(super) fn request_of(&self, by: &Author) -> Option<Digest> {
        let key = by.idempotency_key.as_ref()?;
        let inner = self.inner();
        inner.in_progress.get(key).map(|other| other.request)
    }

    /// Waits until no other request is in progress under a key, and locks it.
    pub(super) async fn lock_key(
        store: &Arc<Self>,
        key: &str,
        request: Digest,
    ) -> Result<KeyGuard, ControlError> {
        while let Some(mut over) = store.begin(key, request)? {
            // An error says that it is over.
            while over.changed().await.is_ok() {}
        }
        Ok(KeyGuard {
            store: Arc::clone(store),
            key: key.to_owned(),
            request,
        })
    }

    /// Locks a key, or returns the end of the request that it has to wait for.
    fn begin(
        &self,
        key: &str,
        request: Digest,
    ) -> Result<Option<watch::Receiver<()>>, ControlError> {
        let mut inner = self.inner();
        if let Some(other) = inner.in_progress.get(key) {
            if other.request != request {
                return Err(ControlError::KeyReused { revision: None });
            }
            return Ok(Some(other.over.subscribe()));
        }
        let (over, _) = watch::channel(());
        inner
            .in_progress
            .insert(key.to_owned(), InProgress { request, over });
        Ok(None)
    }

    /// The response that was sent to the same request before, if it is kept.
    ///
    /// # Errors
    /// When the key belongs to another request.
    pub(super) fn get(
        &self,
        guard: &KeyGuard,
    ) -> Result<Option<Arc<StoredResponse>>, ControlError> {
        let kept = self.inner().kept.get(&guard.key).cloned();
        match kept {
            Some(kept) if kept.request != guard.request => Err(ControlError::KeyReused {
                revision: Some(kept.revision),
            }),
            kept => Ok(kept),
        }
    }

    /// Tries again to write what is not on the disk yet; until it is, a repeat gets its response from memory.
    pub(super) async fn retry(&self) {
        drop(tokio::time::timeout(SAVE_TIMEOUT, self.save()).await);
    }

    /// Writes what is not on the disk yet.
    async fn save(&self) -> Result<(), AppendError> {
        let _saving = self.saving.lock().await;
        let rows = self.inner().take_unsaved();
        if rows.is_empty() {
            return Ok(());
        }
        let keys = rows.iter().map(|(key, _)| key.clone()).collect();
        let again = Unsaved { store: self, keys };
        let written = self.log.history.keep_answers(rows)?;
        written.await.map_err(|_| writer_gone())??;
        again.mark_saved();
        Ok(())
    }
}

impl Inner {
    fn insert(&mut self, key: String, response: StoredResponse) {
        self.bytes += key.len() + response.body.len();
        self.kept.insert(key.clone(), Arc::new(response));
        self.order.push_back(key);
    }

    /// Drops what is too old and the oldest of what is too much.
    fn forget(&mut self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(u64::try_from(KEEP.as_millis()).unwrap_or(u64::MAX));
        while let Some(key) = self.order.front() {
            let is_old = self
                .kept
                .get(key)
                .is_none_or(|response| response.given_at_ms < oldest_ms);
            if !is_old && self.order.len() <= MOST && self.bytes <= MOST_BYTES {
                return;
            }
            let Some(key) = self.order.pop_front() else {
                return;
            };
            if let Some(response) = self.kept.remove(&key) {
                self.bytes -= key.len() + response.body.len();
            }
            self.unsaved.push(key);
        }
    }

    fn take_unsaved(&mut self) -> Vec<AnswerRow> {
        let keys = std::mem::take(&mut self.unsaved);
        let row = |key: String| {
            let response = self.kept.get(&key).map(|response| (**response).clone());
            (key, response)
        };
        keys.into_iter().map(row).collect()
    }
}

// === impl KeyGuard ===

impl KeyGuard {
    /// The key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The digest of the request.
    pub(super) fn request(&self) -> Digest {
        self.request
    }

    /// Keeps the response. If a record holds the key as well, this waits for the disk for a moment, and the response is
    /// written behind; if nothing else would show the request after a restart, the response must be on the disk.
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
        let timeout = if is_recorded {
            SAVE_TIMEOUT
        } else {
            self.store.durable_within
        };
        let saved = tokio::time::timeout(timeout, self.store.save()).await;
        let late = || AppendError::NotWritten("the disk did not respond in time".to_owned());
        match saved.unwrap_or_else(|_| Err(late())) {
            Err(error) if !is_recorded => {
                self.forget();
                Err(ControlError::NotDurable(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn insert(&self, revision: Revision, body: String) {
        let response = StoredResponse {
            request: self.request,
            revision,
            given_at_ms: now_ms(),
            body,
        };
        let mut inner = self.store.inner();
        inner.insert(self.key.clone(), response);
        inner.unsaved.push(self.key.clone());
        inner.forget(now_ms());
    }

    /// Drops a response that is not sent after all.
    fn forget(&self) {
        let mut inner = self.store.inner();
        if let Some(response) = inner.kept.remove(&self.key) {
            inner.bytes -= self.key.len() + response.body.len();
            inner.order.retain(|key| *key != self.key);
            inner.unsaved.push(self.key.clone());
        }
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        // Dropping the sender wakes those who wait.
        self.store.inner().in_progress.remove(&self.key);
    }
}

// === impl Unsaved ===

/// Keys whose rows are being written: to be written again unless they are saved.
struct Unsaved<'a> {
    store: &'a IdempotencyStore,
    keys: Vec<String>,
}

impl Unsaved<'_> {
    fn mark_saved(mut self) {
        self.keys.clear();
    }
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            let keys = std::mem::take(&mut self.keys);
            self.store.inner().unsaved.extend(keys);
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
