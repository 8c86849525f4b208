//! The folder that the nodes of a fleet of proxies have in common, as documents in their store: who orders, the account, the
//! certificates, and the questions of the authority that every node has to answer.
//!
//! Below `acme/DIRECTORY` there are `index/…`, which every node reads whenever something changes there and which is small,
//! and `certificates/DOMAIN/DIGEST`, each read once by each node.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    shared_secrets::SharedSecrets,
    shared_view::{
        ACCOUNT, CERTIFICATE, CHALLENGE, CertificateFacts, CertificateMark, LOCK, SharedChallenge,
        SharedView,
    },
    turn::Turn,
    validation::Validation,
};
use crate::{
    seal::KeyRing,
    shared_table::{Expected, Lifetime, SharedDocuments, StoreError, Write, Written},
};

/// Longest time between two looks at the store, whatever its watch says.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// Time for which an order goes on without the store: shorter than any lease, after which another node orders.
const WITHOUT: Duration = Duration::from_secs(4);

/// The fleet of proxies that has its certificates in common.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Name of this node.
    pub node: String,
    /// The store.
    pub store: Arc<dyn SharedDocuments>,
    /// Keys that seal the private keys in the store, if there are any.
    pub keys: Option<Arc<KeyRing>>,
}

/// The folder.
pub(super) struct SharedFolder {
    store: Arc<dyn SharedDocuments>,
    node: String,
    name: String,
    index: String,
    pub(super) secrets: SharedSecrets,
    turn: watch::Sender<Turn>,
    /// Version of the lock while this node has it.
    held: Mutex<Option<u64>>,
    /// True once this process may order for its own folder.
    is_candidate: AtomicBool,
    /// Asks for a look at once.
    hurry: Notify,
    /// One look at a time.
    pub(super) looking: tokio::sync::Mutex<()>,
    answered: Mutex<BTreeMap<String, Answered>>,
    /// Certificates of the store that cannot be used here.
    refused: Mutex<BTreeMap<String, CertificateMark>>,
}

/// Question of an authority to another node, which this one answers as well.
type Answered = (SharedChallenge, Validation);

impl fmt::Debug for SharedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFolder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SharedFolder {
    /// That of a directory, by its name as a folder.
    pub(super) fn new(sharing: Sharing, directory: &str) -> Self {
        let (turn, _) = watch::channel(Turn::Away("it was not reached yet".to_owned()));
        let name = format!("acme/{directory}");
        Self {
            store: sharing.store,
            node: sharing.node,
            index: format!("{name}/index"),
            name,
            secrets: SharedSecrets(sharing.keys),
            turn,
            held: Mutex::default(),
            is_candidate: AtomicBool::new(false),
            hurry: Notify::new(),
            looking: tokio::sync::Mutex::default(),
            answered: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// The node whose turn it is to order.
    pub(super) fn turn(&self) -> Turn {
        self.turn.borrow().clone()
    }

    /// Reads the index.
    pub(super) async fn read(&self) -> Result<SharedView, StoreError> {
        let documents = self.store.documents(&self.index).await?;
        Ok(SharedView::read(documents, &self.index))
    }

    /// Waits until the index may be another one than at a version, or until a look is asked for.
    pub(super) async fn changed(&self, since: u64) -> Result<(), StoreError> {
        let changed = self.store.documents_changed(&self.index, since);
        tokio::select! {
            changed = changed => changed,
            () = self.hurry.notified() => Ok(()),
            () = sleep(LONGEST_LOOK) => Ok(()),
        }
    }

    /// Lets this process order if nobody does: it has the right to its own folder.
    pub(super) fn be_candidate(&self) {
        self.is_candidate.store(true, Ordering::Release);
        self.hurry.notify_one();
    }

    /// True if this process has the right to its own folder, so that it may write there.
    pub(super) fn is_candidate(&self) -> bool {
        self.is_candidate.load(Ordering::Acquire)
    }

    /// Sees whose turn it is to order, and takes it if it is nobody's. True if the turn has passed to another node, or here.
    pub(super) async fn take_turn(&self, view: &SharedView) -> Result<bool, StoreError> {
        let (turn, held) = match &view.lock {
            Some(lock) if lock.is_mine && self.is_candidate() => (Turn::Here, Some(lock.version)),
            Some(lock) => (Turn::Elsewhere(Some(lock.node.clone())), None),
            None if self.is_candidate() => self.lock().await?,
            None => (Turn::Elsewhere(None), None),
        };
        *lock_of(&self.held) = held;
        Ok(self.set_turn(turn))
    }

    async fn lock(&self) -> Result<(Turn, Option<u64>), StoreError> {
        let write = Write {
            name: self.index_name(LOCK),
            value: self.node.clone().into_bytes(),
            lifetime: Lifetime::Node,
            expected: Expected::Absent,
        };
        Ok(match self.store.write(write).await? {
            Written::Done(version) => {
                tracing::info!(
                    folder = self.name,
                    "this node orders the certificates of the fleet"
                );
                (Turn::Here, Some(version))
            }
            Written::Overtaken => (Turn::Elsewhere(None), None),
        })
    }

    /// Notes that the store is away: nobody orders.
    pub(super) fn be_away(&self, error: &StoreError) {
        let was_there = !matches!(*self.turn.borrow(), Turn::Away(_));
        if was_there {
            tracing::warn!(%error, folder = self.name, "the store of the fleet is away: no certificate is ordered until it is back");
        }
        self.set_turn(Turn::Away(error.to_string()));
    }

    /// Looks again at once.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    fn set_turn(&self, turn: Turn) -> bool {
        self.turn.send_if_modified(|now| {
            // One reason after the other is one absence.
            let is_same = match (&*now, &turn) {
                (Turn::Away(_), Turn::Away(_)) => true,
                (now, turn) => now == turn,
            };
            *now = turn;
            !is_same
        })
    }

    /// Waits until another node may order: this one has lost its turn, or does not reach the store for too long.
    pub(super) async fn lost(&self) {
        let mut turn = self.turn.subscribe();
        loop {
            let is_away = match &*turn.borrow_and_update() {
                Turn::Elsewhere(_) => return,
                Turn::Away(_) => true,
                Turn::Here => false,
            };
            // It cannot fail: the sender is here.
            let changed = async { drop(turn.changed().await) };
            if !is_away {
                changed.await;
            } else if timeout(WITHOUT, changed).await.is_err() {
                return;
            }
        }
    }

    /// Gives the turn away, as far as the store can be reached.
    pub(super) fn leave(&self) {
        self.is_candidate.store(false, Ordering::Release);
        let held = lock_of(&self.held).take();
        let (Some(version), Ok(runtime)) = (held, Handle::try_current()) else {
            return;
        };
        let (store, name) = (Arc::clone(&self.store), self.index_name(LOCK));
        runtime.spawn(async move {
            // Otherwise it ends with the lease.
            drop(store.remove(&name, Expected::Version(version)).await);
        });
    }

    /// The document of a certificate, if it is there.
    pub(super) async fn certificate(
        &self,
        domain: &str,
        digest: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let folder = format!("{}/certificates/{domain}", self.name);
        let wanted = format!("{folder}/{digest}");
        let documents = self.store.documents(&folder).await?;
        let found = documents.all.into_iter().find(|one| one.name == wanted);
        Ok(found.map(|one| one.value))
    }

    /// Gives a certificate to all nodes: first itself, then the note that it is there.
    pub(super) async fn give(
        &self,
        domain: &str,
        (facts, document): (&CertificateFacts, Vec<u8>),
        before: Option<&(CertificateMark, u64)>,
    ) -> Result<Written, StoreError> {
        let place = |digest: &str| format!("{}/certificates/{domain}/{digest}", self.name);
        let write = Write {
            name: place(&facts.digest),
            value: document,
            lifetime: Lifetime::Kept,
            expected: Expected::Anything,
        };
        self.store.write(write).await?;
        let mark = CertificateMark {
            digest: facts.digest.clone(),
            not_before: facts.lifetime.not_before,
            not_after: facts.lifetime.not_after,
            sealed_by: self.secrets.sealed_by(),
            node: self.node.clone(),
        };
        let write = Write {
            name: self.index_name(&format!("{CERTIFICATE}/{domain}")),
            value: json(&mark),
            lifetime: Lifetime::Kept,
            expected: before.map_or(Expected::Absent, |(_, version)| Expected::Version(*version)),
        };
        let written = self.store.write(write).await?;
        let old = before.map(|(mark, _)| &mark.digest);
        if let (Written::Done(_), Some(old)) = (written, old.filter(|old| **old != facts.digest)) {
            self.store.remove(&place(old), Expected::Anything).await?;
        }
        Ok(written)
    }

    /// Writes the account of the fleet.
    pub(super) async fn give_account(
        &self,
        document: Vec<u8>,
        expected: Expected,
    ) -> Result<Written, StoreError> {
        let write = Write {
            name: self.index_name(ACCOUNT),
            value: document,
            lifetime: Lifetime::Kept,
            expected,
        };
        self.store.write(write).await
    }

    pub(super) async fn remove_account(&self, version: u64) -> Result<Written, StoreError> {
        let name = self.index_name(ACCOUNT);
        self.store.remove(&name, Expected::Version(version)).await
    }

    /// Lets every node answer a question.
    pub(super) async fn ask_all(&self, challenge: &SharedChallenge) -> Result<(), StoreError> {
        let write = Write {
            name: self.index_name(&format!("{CHALLENGE}/{}", challenge.domain)),
            value: json(challenge),
            lifetime: Lifetime::Node,
            expected: Expected::Anything,
        };
        self.store.write(write).await.map(drop)
    }

    /// Lets nobody answer it any more.
    pub(super) async fn ask_no_more(&self, domain: &str) {
        let name = self.index_name(&format!("{CHALLENGE}/{domain}"));
        // Otherwise it ends with the lease.
        drop(self.store.remove(&name, Expected::Anything).await);
    }

    /// Questions to other nodes that are answered here, by domain.
    pub(super) fn answered(&self) -> MutexGuard<'_, BTreeMap<String, Answered>> {
        lock_of(&self.answered)
    }

    /// Certificates of the store that cannot be used here, by domain.
    pub(super) fn refused(&self) -> MutexGuard<'_, BTreeMap<String, CertificateMark>> {
        lock_of(&self.refused)
    }

    fn index_name(&self, name: &str) -> String {
        format!("{}/{name}", self.index)
    }
}

// Safe to ignore poisoning: what panics under these locks leaves each value whole.
fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The form of a value that has names for its fields alone.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
