//! Small documents that the nodes of a fleet share beside the table: who leads, what is judged, what all of them need.

use std::fmt::Debug;

use super::answer::Answer;

/// Largest value of a document, in bytes.
pub const LARGEST_DOCUMENT: usize = 1 << 20;

/// Small document that the nodes of a fleet share.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Its folder and its name there: `leader/leader`.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
    /// Version of the store with which it was written last.
    pub version: u64,
    /// Time for which it stays.
    pub lifetime: Lifetime,
    /// True if this process wrote it with [`Lifetime::Node`].
    pub is_mine: bool,
}

/// The documents of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// Version of the store at which they were read.
    pub version: u64,
    /// The documents, in the order of their names.
    pub all: Vec<Document>,
}

/// Time for which a document stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is removed.
    Kept,
    /// Until it is removed, or the process that wrote it has not been heard of for the time of the lease.
    Node,
}

/// Condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// None.
    Anything,
    /// There is no such document.
    Absent,
    /// Its version is this.
    Version(u64),
}

/// Write of a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Write {
    /// Its folder and its name there.
    pub name: String,
    /// The value, of [`LARGEST_DOCUMENT`] bytes at most.
    ///
    /// With a condition it has to differ from what any other node writes (by the name of the node, say): a write whose
    /// answer was lost is found by its value.
    pub value: Vec<u8>,
    /// Time for which it stays.
    pub lifetime: Lifetime,
    /// Condition.
    pub expected: Expected,
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is made, and this is the version of the store with it.
    Done(u64),
    /// The condition does not hold: nothing was made.
    Overtaken,
}

/// The documents of a fleet. Every call ends by itself within a limit, but [`SharedDocuments::documents_changed`].
pub trait SharedDocuments: Debug + Send + Sync {
    /// The documents of a folder; no earlier write is missing from them.
    fn documents<'a>(&'a self, folder: &'a str) -> Answer<'a, Documents>;
    /// Writes a document.
    fn write(&self, write: Write) -> Answer<'_, Written>;
    /// Removes a document. One that is gone is removed.
    fn remove<'a>(&'a self, name: &'a str, expected: Expected) -> Answer<'a, Written>;
    /// Waits until a document of a folder may have changed since that version of the store, or until the store is silent.
    /// Cancel-safe.
    fn documents_changed<'a>(&'a self, folder: &'a str, since: u64) -> Answer<'a, ()>;
}

impl Debug for Document {
    /// Without the value, which may be large or a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Document");
        shown.field("name", &self.name);
        shown.field("version", &self.version);
        shown.finish_non_exhaustive()
    }
}

impl Debug for Write {
    /// Without the value, which may be large or a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Write");
        shown.field("name", &self.name);
        shown.field("lifetime", &self.lifetime);
        shown.field("expected", &self.expected);
        shown.finish_non_exhaustive()
    }
}
