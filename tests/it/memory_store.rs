//! The store of a fleet in memory, as one node reaches it: it can be cut off and lose answers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use switchback::shared_table::{
    Answer, Appended, Document, Documents, Expected, Head, Lifetime, NewRevision, Reports,
    SharedDocuments, SharedStore, StoreError, Write, Written,
};
use tokio::sync::Notify;

/// The content of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) revisions: BTreeMap<u64, Vec<u8>>,
    pub(crate) tables: BTreeMap<u64, Vec<u8>>,
    pub(crate) nodes: BTreeMap<String, Vec<u8>>,
    pub(crate) documents: BTreeMap<String, StoredDocument>,
    folders: BTreeMap<String, u64>,
    version: u64,
    changed: Arc<Notify>,
}

/// A document, with the node whose lease it ends with.
#[derive(Debug, Clone)]
pub(crate) struct StoredDocument {
    pub(crate) value: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) owner: Option<String>,
}

impl Content {
    /// The lease of a node ends: it was not heard of for long enough.
    pub(crate) fn end_lease(&mut self, node: &str) {
        self.nodes.remove(node);
        let is_of = |one: &StoredDocument| one.owner.as_deref() == Some(node);
        let all = self.documents.iter();
        let ended: Vec<_> = all
            .filter(|(_, one)| is_of(one))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            self.documents.remove(&name);
            self.touch(&name);
        }
    }

    fn touch(&mut self, name: &str) -> u64 {
        self.version += 1;
        for (end, _) in name.match_indices('/') {
            self.folders.insert(name[..end].to_owned(), self.version);
        }
        self.changed.notify_waiters();
        self.version
    }

    fn holds(&self, name: &str, expected: Expected) -> bool {
        let version = self.documents.get(name).map(|one| one.version);
        match expected {
            Expected::Anything => true,
            Expected::Absent => version.is_none(),
            Expected::Version(wanted) => version == Some(wanted),
        }
    }

    fn write(&mut self, write: Write, node: &str) -> Written {
        if !self.holds(&write.name, write.expected) {
            return Written::Overtaken;
        }
        let version = self.touch(&write.name);
        let owner = (write.lifetime == Lifetime::Node).then(|| node.to_owned());
        let value = write.value;
        let stored = StoredDocument {
            value,
            version,
            owner,
        };
        self.documents.insert(write.name, stored);
        Written::Done(version)
    }

    fn remove(&mut self, name: &str, expected: Expected) -> Written {
        if !self.documents.contains_key(name) {
            return Written::Done(self.version);
        }
        if !self.holds(name, expected) {
            return Written::Overtaken;
        }
        self.documents.remove(name);
        Written::Done(self.touch(name))
    }
}

/// The store as one node reaches it.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    pub(crate) content: Arc<Mutex<Content>>,
    pub(crate) node: String,
    pub(crate) is_cut: AtomicBool,
    /// The next write is made, and its answer is lost.
    pub(crate) loses_answer: AtomicBool,
    /// Number of reads of revisions.
    pub(crate) pages: AtomicUsize,
    /// Revisions that the watch brings next.
    pub(crate) appended: Mutex<Vec<(u64, Vec<u8>)>>,
    pub(crate) told: Notify,
}

impl MemoryStore {
    /// Lets the watch of this node bring revisions that the store has.
    pub(crate) fn tell(&self, numbers: &[u64]) {
        let content = self.content.lock().unwrap();
        let revision = |number: &u64| (*number, content.revisions[number].clone());
        self.bring(numbers.iter().map(revision).collect());
    }

    /// Lets the watch of this node bring these.
    pub(crate) fn bring(&self, appended: Vec<(u64, Vec<u8>)>) {
        self.appended.lock().unwrap().extend(appended);
        self.told.notify_one();
    }

    fn with<T: Send + 'static>(&self, call: impl FnOnce(&mut Content) -> T) -> Answer<'_, T> {
        let answer = if self.is_cut.load(Ordering::Acquire) {
            Err(StoreError {
                reason: "cut off".to_owned(),
                is_unknown: false,
            })
        } else {
            Ok(call(&mut self.content.lock().unwrap()))
        };
        Box::pin(async move { answer })
    }
}

/// The answer of a write that is made in any case.
fn unless_lost<T: Send + 'static>(answer: Answer<'_, T>, is_lost: bool) -> Answer<'_, T> {
    if !is_lost {
        return answer;
    }
    Box::pin(async move {
        answer.await?;
        Err(StoreError {
            reason: "no answer".to_owned(),
            is_unknown: true,
        })
    })
}

impl SharedDocuments for MemoryStore {
    fn documents<'a>(&'a self, folder: &'a str) -> Answer<'a, Documents> {
        let (begin, node) = (format!("{folder}/"), self.node.clone());
        self.with(move |content| {
            let found = content.documents.iter();
            let found = found.filter(|(name, _)| name.starts_with(&begin));
            let document = |(name, one): (&String, &StoredDocument)| Document {
                name: name.clone(),
                value: one.value.clone(),
                version: one.version,
                lifetime: if one.owner.is_some() {
                    Lifetime::Node
                } else {
                    Lifetime::Kept
                },
                is_mine: one.owner.as_ref() == Some(&node),
            };
            Documents {
                version: content.version,
                all: found.map(document).collect(),
            }
        })
    }

    fn write(&self, write: Write) -> Answer<'_, Written> {
        let is_lost = self.loses_answer.swap(false, Ordering::AcqRel);
        let node = self.node.clone();
        unless_lost(
            self.with(move |content| content.write(write, &node)),
            is_lost,
        )
    }

    fn remove<'a>(&'a self, name: &'a str, expected: Expected) -> Answer<'a, Written> {
        let name = name.to_owned();
        self.with(move |content| content.remove(&name, expected))
    }

    fn documents_changed<'a>(&'a self, folder: &'a str, since: u64) -> Answer<'a, ()> {
        let changed = Arc::clone(&self.content.lock().unwrap().changed);
        Box::pin(async move {
            loop {
                let woken = changed.notified();
                let latest = self.content.lock().unwrap().folders.get(folder).copied();
                if latest.is_some_and(|latest| latest > since) {
                    return Ok(());
                }
                woken.await;
            }
        })
    }
}

impl SharedStore for MemoryStore {
    fn head(&self) -> Answer<'_, Head> {
        let last = |numbers: &BTreeMap<u64, Vec<u8>>| numbers.keys().next_back().copied();
        self.with(move |content| Head {
            last: last(&content.revisions).unwrap_or_default(),
            whole: last(&content.tables).unwrap_or_default(),
        })
    }

    fn revisions(&self, from: u64, to: u64) -> Answer<'_, Vec<(u64, Vec<u8>)>> {
        self.pages.fetch_add(1, Ordering::AcqRel);
        self.with(|content| {
            let found = content.revisions.range(from..=to);
            found
                .map(|(number, text)| (*number, text.clone()))
                .collect()
        })
    }

    fn table(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        self.with(|content| content.tables.get(&number).cloned())
    }

    fn append(&self, next: NewRevision) -> Answer<'_, Appended> {
        let loses_answer = self.loses_answer.swap(false, Ordering::AcqRel);
        let appended = self.with(move |content| {
            let last = content.revisions.keys().next_back().copied();
            if last.unwrap_or_default() + 1 != next.number {
                return Appended::Overtaken;
            }
            content.revisions.insert(next.number, next.revision);
            if let Some(table) = next.table {
                content.tables.insert(next.number, table);
            }
            if let Some(oldest) = next.oldest {
                content.revisions.retain(|number, _| *number >= oldest);
                content.tables.retain(|number, _| *number >= oldest);
            }
            Appended::Done
        });
        unless_lost(appended, loses_answer)
    }

    fn changed(&self) -> Answer<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(async move {
            self.told.notified().await;
            Ok(std::mem::take(&mut *self.appended.lock().unwrap()))
        })
    }

    fn report(&self, report: Vec<u8>) -> Answer<'_, Instant> {
        let (node, asked) = (self.node.clone(), Instant::now());
        self.with(move |content| {
            content.nodes.insert(node, report);
            asked
        })
    }

    fn reports(&self) -> Answer<'_, Reports> {
        self.with(|content| Reports {
            version: content.version,
            all: content.nodes.values().cloned().collect(),
        })
    }

    fn reports_changed(&self, _since: u64) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }
}
