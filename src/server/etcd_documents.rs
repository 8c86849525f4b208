//! The documents of a fleet on etcd, as `documents/FOLDER/NAME` under the prefix. Those of a process end with its lease.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{
    etcd::{
        Committed, Compare, EtcdClient, EtcdError, KeyRange, KeyValue, LeaseId, Operation,
        Transaction, Watch, WatchEvent, WatchMessage,
    },
    shared_table::{
        Document, Documents, Expected, LARGEST_DOCUMENT, Lifetime, StoreError, Write, Written,
    },
};

/// The documents.
#[derive(Debug)]
pub(super) struct EtcdDocuments {
    pub(super) client: EtcdClient,
    pub(super) prefix: String,
    pub(super) lease: LeaseId,
    pub(super) lease_time: Duration,
    /// When the lease was asked to be kept, the last time that this was answered.
    pub(super) kept: Mutex<Option<Instant>>,
    pub(super) folders: Mutex<BTreeMap<String, Arc<Folder>>>,
}

/// Folder that somebody waits for.
#[derive(Debug)]
pub(super) struct Folder {
    restarts: AtomicU64,
    changes: Mutex<Changes>,
}

/// Watch of a folder, and the version of the latest change that it has told.
#[derive(Debug)]
struct Changes {
    watch: Watch,
    latest: u64,
}

impl EtcdDocuments {
    fn key(&self, name: &str) -> Vec<u8> {
        format!("{}/documents/{name}", self.prefix).into_bytes()
    }

    fn folder(&self, folder: &str) -> KeyRange {
        KeyRange::prefix(self.key(&format!("{folder}/")))
    }

    pub(super) async fn read(&self, folder: &str) -> Result<Documents, StoreError> {
        let read = self.client.range(&self.folder(folder)).await?;
        let documents = read.pairs.into_iter().map(|pair| self.document(pair));
        Ok(Documents {
            version: read.store.revision,
            all: documents.collect(),
        })
    }

    fn document(&self, pair: KeyValue) -> Document {
        let behind = self.key("").len();
        let name = pair.key.get(behind..).unwrap_or_default();
        Document {
            name: String::from_utf8_lossy(name).into_owned(),
            value: pair.value,
            version: pair.mod_revision,
            lifetime: pair.lease.map_or(Lifetime::Kept, |_| Lifetime::Node),
            is_mine: pair.lease == Some(self.lease),
        }
    }

    pub(super) async fn write(&self, write: &Write) -> Result<Written, StoreError> {
        if write.value.len() > LARGEST_DOCUMENT {
            return Err(StoreError {
                reason: format!(
                    "the document `{}` has {} bytes, and may have {LARGEST_DOCUMENT}",
                    write.name,
                    write.value.len()
                ),
                is_unknown: false,
            });
        }
        let lease = (write.lifetime == Lifetime::Node).then_some(self.lease);
        let key = self.key(&write.name);
        let put = Operation::Put {
            key: key.clone(),
            value: write.value.clone(),
            lease,
        };
        let transaction = conditional(&key, write.expected, put);
        let committed = match self.client.commit(&transaction).await {
            Err(EtcdError::LeaseNotFound) => {
                self.grant_lease().await?;
                self.client.commit(&transaction).await?
            }
            committed => committed?,
        };
        Ok(written(&committed, |pair| {
            pair.value == write.value && pair.lease == lease
        }))
    }

    pub(super) async fn remove(
        &self,
        name: &str,
        expected: Expected,
    ) -> Result<Written, StoreError> {
        let key = self.key(name);
        let delete = Operation::Delete(KeyRange::one(key.clone()));
        let committed = self
            .client
            .commit(&conditional(&key, expected, delete))
            .await?;
        let is_gone = committed.read.iter().flatten().next().is_none();
        if is_gone {
            return Ok(Written::Done(committed.store.revision));
        }
        Ok(written(&committed, |_| false))
    }

    /// Keeps the lease of this process alive, or grants it. Within a twentieth of its time nothing is asked for again. The
    /// moment at which that was done last.
    pub(super) async fn keep_lease(&self) -> Result<Instant, EtcdError> {
        let mut kept = self.kept.lock().await;
        let is_recent = |asked: &Instant| asked.elapsed() < self.lease_time / 20;
        if let Some(asked) = kept.filter(is_recent) {
            return Ok(asked);
        }
        let asked = Instant::now();
        self.grant_lease().await?;
        *kept = Some(asked);
        Ok(asked)
    }

    /// Grants the lease of this process, or keeps it alive.
    pub(super) async fn grant_lease(&self) -> Result<(), EtcdError> {
        let kept = match self.client.keep_alive(self.lease).await {
            Err(EtcdError::LeaseNotFound) => {
                self.client.grant_lease(self.lease, self.lease_time).await
            }
            kept => kept,
        };
        kept.map(drop)
    }

    pub(super) async fn wait_changed(&self, name: &str, since: u64) -> Result<(), StoreError> {
        let folder = self.waited_for(name, since).await;
        let restarts = folder.restarts.load(Ordering::Acquire);
        // Who else waits for this folder has told what changed meanwhile.
        let mut changes = folder.changes.lock().await;
        while changes.latest <= since && folder.restarts.load(Ordering::Acquire) == restarts {
            match changes.watch.next().await {
                WatchMessage::Events { events, .. } => {
                    changes.latest = events.last().map_or(0, WatchEvent::revision);
                }
                WatchMessage::Progress(_) => {}
                // What is there is read by whoever waits for this.
                WatchMessage::Compacted { at } => folder.restart(&mut changes, at),
                WatchMessage::StoreReplaced { now, .. } => folder.restart(&mut changes, now + 1),
                WatchMessage::Interrupted(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn waited_for(&self, name: &str, since: u64) -> Arc<Folder> {
        let mut folders = self.folders.lock().await;
        let folder = folders.entry(name.to_owned()).or_insert_with(|| {
            let watch = self.client.watch(self.folder(name), since + 1);
            let latest = since;
            Arc::new(Folder {
                restarts: AtomicU64::new(0),
                changes: Mutex::new(Changes { watch, latest }),
            })
        });
        Arc::clone(folder)
    }
}

impl Folder {
    fn restart(&self, changes: &mut Changes, from: u64) {
        changes.watch.restart(from);
        changes.latest = from.saturating_sub(1);
        self.restarts.fetch_add(1, Ordering::AcqRel);
    }
}

/// A transaction that may be sent twice: what it writes is told from what others write by the read of its other branch.
fn conditional(key: &[u8], expected: Expected, then: Operation) -> Transaction {
    let compare = match expected {
        Expected::Anything => None,
        Expected::Absent => Some(Compare::Absent(key.to_vec())),
        Expected::Version(version) => Some(Compare::ModRevision {
            key: key.to_vec(),
            equals: version,
        }),
    };
    let read = Operation::Get(KeyRange::one(key));
    Transaction {
        compare: compare.into_iter().collect(),
        then: vec![then],
        otherwise: vec![read],
        repeatable: true,
    }
}

/// The outcome; the pair that stands there is that of the first time where it looks like this.
fn written(committed: &Committed, is_own: impl Fn(&KeyValue) -> bool) -> Written {
    if committed.succeeded {
        return Written::Done(committed.store.revision);
    }
    match committed.read.iter().flatten().next() {
        Some(pair) if is_own(pair) => Written::Done(pair.mod_revision),
        _ => Written::Overtaken,
    }
}
