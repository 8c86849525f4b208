//! The store of a fleet on etcd.
//!
//! Under the prefix there are `last` with the number of the last revision, `revisions/N`, `tables/N` with the whole table
//! beside some of them, `nodes/NAME` under the lease of that node, and `documents/FOLDER/NAME`. A revision is one transaction that compares `last`,
//! so of two nodes that write at once one wins.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{etcd_documents::EtcdDocuments, etcd_user, host_name::host_name};
use crate::{
    config::FleetSettings,
    etcd::{
        Committed, Compare, EtcdClient, EtcdError, EtcdSettings, KeyRange, KeyValue, LeaseId,
        Operation, Transaction, Watch, WatchEvent, WatchMessage,
    },
    model::Problem,
    net::{CertificateFiles, ClientTlsSettings},
    shared_table::{
        Answer, Appended, Documents, Expected, Head, NewRevision, Reports, SharedDocuments,
        SharedStore, StoreError, Write, Written,
    },
    telemetry::ErrorChain,
};

/// Timeout for a call, and the pause after which another member is asked as well.
const CALL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(300));
/// Time after which a silent watch is begun again.
const SILENCE: Duration = Duration::from_secs(10);
/// Digits of a number in a key, so that keys are in the order of the numbers.
const DIGITS: usize = 20;

/// The store.
#[derive(Debug)]
pub(super) struct EtcdStore {
    client: EtcdClient,
    prefix: String,
    pub(super) node: String,
    documents: EtcdDocuments,
    has_reported: AtomicBool,
    has_namesake: AtomicBool,
    // The revision of etcd at which the head was read last.
    seen: AtomicU64,
    watch: Mutex<Option<Watch>>,
}

impl EtcdStore {
    /// # Errors
    /// When a file of the settings cannot be used.
    pub(super) fn load(fleet: &FleetSettings) -> Result<Self, Problem> {
        let node = match &fleet.node {
            Some(node) => node.clone(),
            None => host_name()?,
        };
        let pair = fleet.cert.clone().zip(fleet.key.clone());
        let tls = ClientTlsSettings {
            ca: fleet.ca.clone(),
            client_certificate: pair.map(|(cert, key)| CertificateFiles { cert, key }),
            server_name: None,
        };
        let settings = EtcdSettings {
            tls: Some(tls),
            user: etcd_user::load(fleet)?,
            timeout: CALL.0,
            hedge_after: CALL.1,
            silence: SILENCE,
            ..EtcdSettings::new(fleet.etcd.clone())
        };
        let client = EtcdClient::load(settings);
        let client =
            client.map_err(|error| Problem::new("fleet.etcd", ErrorChain(&error).to_string()))?;
        let documents = EtcdDocuments {
            client: client.clone(),
            prefix: fleet.prefix.clone(),
            lease: LeaseId::new(rand::random()),
            lease_time: fleet.lease.0,
            kept: Mutex::default(),
            folders: Mutex::default(),
        };
        Ok(Self {
            client,
            prefix: fleet.prefix.clone(),
            node,
            documents,
            has_reported: AtomicBool::new(false),
            has_namesake: AtomicBool::new(false),
            seen: AtomicU64::new(0),
            watch: Mutex::default(),
        })
    }

    fn key(&self, rest: &str) -> Vec<u8> {
        format!("{}/{rest}", self.prefix).into_bytes()
    }

    fn numbered(&self, folder: &str, number: u64) -> Vec<u8> {
        self.key(&format!("{folder}/{number:0DIGITS$}"))
    }

    async fn read_head(&self) -> Result<Head, StoreError> {
        let read = self
            .client
            .get(&self.key("last"))
            .await
            .map_err(StoreError::from)?;
        self.seen.store(read.store.revision, Ordering::Release);
        let Some(pair) = read.pairs.first() else {
            return Ok(Head::default());
        };
        let text = String::from_utf8_lossy(&pair.value);
        let mut numbers = text.split(' ').map(str::parse);
        let (Some(Ok(last)), Some(Ok(whole))) = (numbers.next(), numbers.next()) else {
            return Err(StoreError {
                reason: format!("`{}/last` in etcd is not of a fleet", self.prefix),
                is_unknown: false,
            });
        };
        Ok(Head { last, whole })
    }

    async fn read_numbered(
        &self,
        folder: &str,
        (from, to): (u64, u64),
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let (start, end) = (
            self.numbered(folder, from),
            self.numbered(folder, to.saturating_add(1)),
        );
        let read = self.client.range(&KeyRange::between(start, end)).await;
        let pairs = read.map_err(StoreError::from)?.pairs.into_iter();
        Ok(pairs.filter_map(numbered_value).collect())
    }

    async fn append_one(&self, next: NewRevision) -> Result<Appended, StoreError> {
        let head = self.read_head().await?;
        if head.last + 1 != next.number {
            return Ok(Appended::Overtaken);
        }
        let whole = if next.table.is_some() {
            next.number
        } else {
            head.whole
        };
        let (last, key) = (self.key("last"), self.numbered("revisions", next.number));
        let before = format!("{} {}", head.last, head.whole);
        let compare = if head.last == 0 {
            Compare::Absent(last.clone())
        } else {
            Compare::Value {
                key: last.clone(),
                equals: before.into_bytes(),
            }
        };
        let put = |key: &[u8], value: Vec<u8>| Operation::Put {
            key: key.to_vec(),
            value,
            lease: None,
        };
        let mut then = vec![
            put(&last, format!("{} {whole}", next.number).into_bytes()),
            put(&key, next.revision.clone()),
        ];
        if let Some(table) = next.table {
            then.push(put(&self.numbered("tables", next.number), table));
        }
        if let Some(oldest) = next.oldest {
            for folder in ["revisions", "tables"] {
                let range =
                    KeyRange::between(self.numbered(folder, 0), self.numbered(folder, oldest));
                then.push(Operation::Delete(range));
            }
        }
        // It may be sent twice: a revision is appended once, and is found by its own bytes.
        let transaction = Transaction {
            compare: vec![compare],
            then,
            otherwise: vec![Operation::Get(KeyRange::one(key.clone()))],
            repeatable: true,
        };
        match self.client.commit(&transaction).await {
            Ok(committed) => Ok(outcome(&committed, &key, &next.revision)),
            Err(EtcdError::StoreFull) => self.appended_when_full(&key, &next.revision).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The outcome of an append that filled the store, which etcd has done, or found it full, which it has not.
    async fn appended_when_full(
        &self,
        key: &[u8],
        revision: &[u8],
    ) -> Result<Appended, StoreError> {
        let full = StoreError::from(EtcdError::StoreFull);
        let read = self.client.get(key).await.map_err(|_| full.clone())?;
        if read.pairs.iter().any(|pair| pair.value == revision) {
            return Ok(Appended::Done);
        }
        Err(StoreError {
            is_unknown: false,
            ..full
        })
    }

    async fn wait_changed(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut place = self.watch.lock().await;
        let from = self.seen.load(Ordering::Acquire) + 1;
        // Every append writes one of these, and `last` says nothing more.
        let watch = place.get_or_insert_with(|| {
            let revisions = KeyRange::prefix(self.key("revisions/"));
            self.client.watch(revisions, from)
        });
        loop {
            match watch.next().await {
                WatchMessage::Events { events, .. } => {
                    return Ok(events.into_iter().filter_map(appended).collect());
                }
                WatchMessage::Progress(_) => {}
                // What is there is read by whoever waits for this.
                WatchMessage::Compacted { at } => {
                    watch.restart(at.max(from));
                    return Ok(Vec::new());
                }
                WatchMessage::StoreReplaced { now, .. } => {
                    watch.restart(now + 1);
                    return Ok(Vec::new());
                }
                WatchMessage::Interrupted(error) => return Err(error.into()),
            }
        }
    }

    async fn write_report(&self, report: Vec<u8>) -> Result<Instant, StoreError> {
        let kept = self.documents.keep_lease().await?;
        let key = self.key(&format!("nodes/{}", self.node));
        let before = Operation::Get(KeyRange::one(key.clone()));
        let put = Operation::Put {
            key,
            value: report,
            lease: Some(self.documents.lease),
        };
        let transaction = Transaction {
            compare: Vec::new(),
            then: vec![before, put],
            otherwise: Vec::new(),
            repeatable: true,
        };
        let (kept, committed) = match self.client.commit(&transaction).await {
            // It was kept a moment ago, and somebody has ended it.
            Err(EtcdError::LeaseNotFound) => {
                let asked = Instant::now();
                self.documents.grant_lease().await?;
                (asked, self.client.commit(&transaction).await?)
            }
            committed => (kept, committed?),
        };
        self.look_for_namesake(&committed);
        Ok(kept)
    }

    /// Says so when another proxy reports under the name of this one, since each hides the other then.
    fn look_for_namesake(&self, committed: &Committed) {
        let before = committed.read.first().and_then(|pairs| pairs.first());
        let is_other = before.is_some_and(|pair| {
            pair.lease
                .is_some_and(|lease| lease != self.documents.lease)
        });
        // The first report comes after one of the process before this one.
        let is_namesake = self.has_reported.swap(true, Ordering::AcqRel) && is_other;
        if is_namesake && !self.has_namesake.swap(true, Ordering::AcqRel) {
            tracing::error!(
                node = self.node,
                "another proxy of the fleet has the same name, and `fleet status` shows one of the two: give each its own, `[fleet] node`"
            );
        }
    }

    async fn read_reports(&self) -> Result<Reports, StoreError> {
        let nodes = KeyRange::prefix(self.key("nodes/"));
        let read = self.client.range(&nodes).await.map_err(StoreError::from)?;
        Ok(Reports {
            version: read.store.revision,
            all: read.pairs.into_iter().map(|pair| pair.value).collect(),
        })
    }

    async fn wait_reports(&self, since: u64) -> Result<(), StoreError> {
        let nodes = KeyRange::prefix(self.key("nodes/"));
        let mut watch = self.client.watch(nodes, since + 1);
        loop {
            match watch.next().await {
                WatchMessage::Progress(_) => {}
                WatchMessage::Interrupted(error) => return Err(error.into()),
                // Whoever waits reads all of them.
                WatchMessage::Events { .. }
                | WatchMessage::Compacted { .. }
                | WatchMessage::StoreReplaced { .. } => return Ok(()),
            }
        }
    }
}

impl SharedDocuments for EtcdStore {
    fn documents<'a>(&'a self, folder: &'a str) -> Answer<'a, Documents> {
        Box::pin(self.documents.read(folder))
    }

    fn write(&self, write: Write) -> Answer<'_, Written> {
        Box::pin(async move { self.documents.write(&write).await })
    }

    fn remove<'a>(&'a self, name: &'a str, expected: Expected) -> Answer<'a, Written> {
        Box::pin(self.documents.remove(name, expected))
    }

    fn documents_changed<'a>(&'a self, folder: &'a str, since: u64) -> Answer<'a, ()> {
        Box::pin(self.documents.wait_changed(folder, since))
    }
}

impl SharedStore for EtcdStore {
    fn head(&self) -> Answer<'_, Head> {
        Box::pin(self.read_head())
    }

    fn revisions(&self, from: u64, to: u64) -> Answer<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(self.read_numbered("revisions", (from, to)))
    }

    fn table(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let read = self.read_numbered("tables", (number, number)).await?;
            Ok(read.into_iter().next().map(|(_, table)| table))
        })
    }

    fn append(&self, next: NewRevision) -> Answer<'_, Appended> {
        Box::pin(self.append_one(next))
    }

    fn changed(&self) -> Answer<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(self.wait_changed())
    }

    fn report(&self, report: Vec<u8>) -> Answer<'_, Instant> {
        Box::pin(self.write_report(report))
    }

    fn reports(&self) -> Answer<'_, Reports> {
        Box::pin(self.read_reports())
    }

    fn reports_changed(&self, since: u64) -> Answer<'_, ()> {
        Box::pin(self.wait_reports(since))
    }
}

fn outcome(committed: &Committed, key: &[u8], revision: &[u8]) -> Appended {
    if committed.succeeded || committed.holds(key, revision) {
        return Appended::Done;
    }
    Appended::Overtaken
}

/// The revision that an event of the watch brings; none where it removes one.
fn appended(event: WatchEvent) -> Option<(u64, Vec<u8>)> {
    match event {
        WatchEvent::Put(pair) => numbered_value(pair),
        WatchEvent::Deleted { .. } => None,
    }
}

fn numbered_value(pair: KeyValue) -> Option<(u64, Vec<u8>)> {
    let key = String::from_utf8(pair.key).ok()?;
    let (_, number) = key.rsplit_once('/')?;
    Some((number.parse().ok()?, pair.value))
}

impl From<EtcdError> for StoreError {
    fn from(error: EtcdError) -> Self {
        Self {
            is_unknown: error.outcome_is_unknown(),
            reason: format!("etcd: {}", ErrorChain(&error)),
        }
    }
}
