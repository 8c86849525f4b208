//! Rows of the store: the content of one transaction, or of the whole store at a start.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    error::HistoryError,
    pending::Pending,
    record::{self, Entry, Snapshot},
    seal::DecodeError,
    stored_response::{self, StoredResponse},
};
use crate::model::{Revision, TableDocument};

/// Encoded rows, read from the store or to be written to it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) records: Vec<(Revision, Bytes)>,
    pub(super) snapshots: Vec<(Revision, Bytes)>,
    pub(super) remove: Vec<Revision>,
    /// The imported file; empty to remove it.
    pub(super) imported: Option<Bytes>,
    pub(super) reserved: Option<u64>,
    /// Number of transactions that the store has committed, counted by the store.
    pub(super) writes: u64,
    /// Last rollback in the journal, according to the high-water mark.
    pub(super) slotted: Revision,
    /// Stored responses by idempotency key; `None` removes one.
    pub(super) answers: Vec<(String, Option<Bytes>)>,
}

/// Decoded content of the store.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) records: Vec<Entry>,
    pub(super) snapshots: BTreeMap<Revision, Snapshot>,
    pub(super) imported: Option<TableDocument>,
    pub(super) reserved: u64,
    pub(super) answers: Vec<(String, StoredResponse)>,
    /// Last record that is not void.
    pub(super) last: Revision,
}

impl Batch {
    /// Adds a record of a decision that is already live or void.
    pub(super) fn add(&mut self, pending: &Pending) {
        let revision = pending.entry.record.revision;
        self.records
            .push((revision, record::encode(&pending.entry).into()));
        if let Some(imported) = &pending.imported {
            self.imported = Some(imported.clone().into());
        }
    }
}

impl Contents {
    /// Decodes the rows of a history's folder.
    pub(super) fn of(rows: &Batch, folder: &Path) -> Result<Self, HistoryError> {
        let said = |what: String| move |error| not_read(folder, &what, error);
        let mut contents = Self {
            reserved: rows.reserved.unwrap_or_default(),
            ..Self::default()
        };
        for (revision, bytes) in &rows.records {
            let entry = record::decode(bytes).map_err(said(format!("record {revision}")))?;
            if entry.record.revision != *revision {
                return Err(misplaced(folder, *revision, entry.record.revision));
            }
            if !entry.is_void() {
                contents.last = *revision;
            }
            contents.records.push(entry);
        }
        for (revision, bytes) in &rows.snapshots {
            let what = format!("the whole table of {revision}");
            let snapshot = Snapshot::decode(bytes).map_err(said(what))?;
            contents.snapshots.insert(*revision, snapshot);
        }
        if let Some(bytes) = &rows.imported {
            let document = record::decode_document(bytes);
            contents.imported = Some(document.map_err(said("the imported file".to_owned()))?);
        }
        for (key, bytes) in &rows.answers {
            let Some(bytes) = bytes else { continue };
            let what = format!("the response under the key {key}");
            let answer = stored_response::decode(bytes).map_err(said(what))?;
            contents.answers.push((key.clone(), answer));
        }
        Ok(contents)
    }
}

fn misplaced(folder: &Path, place: Revision, found: Revision) -> HistoryError {
    HistoryError::Damaged {
        path: folder.to_owned(),
        what: format!("record {found} is in the place of {place}"),
    }
}

fn not_read(folder: &Path, what: &str, error: DecodeError) -> HistoryError {
    let path = folder.to_owned();
    match error {
        DecodeError::Checksum => HistoryError::Damaged {
            path,
            what: format!("{what} is not what was written: its checksum differs"),
        },
        DecodeError::Format(found) => HistoryError::UnknownFormat { path, found },
        DecodeError::Json(error) => HistoryError::Damaged {
            path,
            what: format!("{what} cannot be read ({error})"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::ipc;

    #[test]
    fn a_batch_arrives_as_it_was_sent() {
        let batch = Batch {
            records: vec![(Revision(3), "three".into()), (Revision(4), Bytes::new())],
            snapshots: vec![(Revision(3), "whole".into())],
            remove: vec![Revision(1), Revision(2)],
            imported: Some("file".into()),
            reserved: Some(4096),
            writes: 12,
            slotted: Revision(3),
            answers: vec![("a".to_owned(), Some("x".into())), ("b".to_owned(), None)],
        };
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        ipc::send(&here, &ipc::Message::of(&batch)).unwrap();
        let bytes = ipc::receive(&there).unwrap();
        let again: Batch = ipc::decode(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{batch:?}"));
    }
}
