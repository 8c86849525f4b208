//! The store that all nodes of a fleet follow: one sequence of revisions, numbered from 1 without gaps.

use std::time::Instant;

use super::{answer::Answer, documents::SharedDocuments};

/// The state of the sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of the last revision; 0 before the first.
    pub last: u64,
    /// Number of the last revision that has the whole table beside it; 0 before the first.
    pub whole: u64,
}

/// A revision to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevision {
    /// Its number: that of the last one, plus one.
    pub number: u64,
    /// Its form in the store.
    pub revision: Vec<u8>,
    /// The whole table that it leads to, if that is stored as well.
    pub table: Option<Vec<u8>>,
    /// Revisions below this number are removed with it.
    pub oldest: Option<u64>,
}

/// The outcome of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is the last revision now, and durable.
    Done,
    /// Another node was faster: nothing was appended.
    Overtaken,
}

/// Reports of all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// Version of the store when they were read.
    pub version: u64,
    /// The report of each node.
    pub all: Vec<Vec<u8>>,
}

/// The store of a fleet. Every call ends by itself within a limit, but [`SharedStore::changed`].
pub trait SharedStore: SharedDocuments {
    /// The state of the sequence: a read that no earlier write is missing from.
    fn head(&self) -> Answer<'_, Head>;
    /// The revisions from one number to another, both included; those that are not kept are missing.
    fn revisions(&self, from: u64, to: u64) -> Answer<'_, Vec<(u64, Vec<u8>)>>;
    /// The whole table beside a revision.
    fn table(&self, number: u64) -> Answer<'_, Option<Vec<u8>>>;
    /// Appends a revision, if its number is the next one.
    fn append(&self, next: NewRevision) -> Answer<'_, Appended>;
    /// Waits until a revision may have been appended since the last [`SharedStore::head`], or until the store is silent. The
    /// revisions that were, by their numbers and in order, where it has them: some may be known already, and where none are
    /// said the store is to be read. Cancel-safe.
    fn changed(&self) -> Answer<'_, Vec<(u64, Vec<u8>)>>;
    /// Says what this node has taken up; forgotten some time after the last report. The moment from which the lease of this
    /// node is sure to last again.
    fn report(&self, report: Vec<u8>) -> Answer<'_, Instant>;
    /// The reports of all nodes.
    fn reports(&self) -> Answer<'_, Reports>;
    /// Waits until a node may have reported since that version of the store, or is forgotten. Cancel-safe.
    fn reports_changed(&self, since: u64) -> Answer<'_, ()>;
}
