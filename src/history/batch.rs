//! Rows of the store: the content of one transaction, or of the whole store at a start.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    error::HistoryError,
    ipc::{Decoder, Encoder},
    pending::Pending,
    record::{self, Entry, Snapshot},
    seal::DecodeError,
    stored_response::{self, StoredResponse},
};
use crate::model::{Revision, TableDocument};

/// Encoded rows, read from the store or to be written to it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<(Revision, Vec<u8>)>,
    pub(super) snapshots: Vec<(Revision, Vec<u8>)>,
    pub(super) remove: Vec<Revision>,
    /// The imported file; empty to remove it.
    pub(super) imported: Option<Vec<u8>>,
    pub(super) reserved: Option<u64>,
    /// Number of transactions that the store has committed, counted by the store.
    pub(super) writes: u64,
    /// Last rollback in the journal, according to the high-water mark.
    pub(super) slotted: Revision,
    /// Stored responses by idempotency key; `None` removes one.
    pub(super) answers: Vec<(String, Option<Vec<u8>>)>,
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
            .push((revision, record::encode(&pending.entry)));
        if let Some(imported) = &pending.imported {
            self.imported = Some(imported.clone());
        }
    }

    pub(super) fn put(&self, message: Encoder) -> Encoder {
        let rows = |mut message: Encoder, rows: &[(Revision, Vec<u8>)]| {
            message = message.number(rows.len() as u64);
            for (revision, bytes) in rows {
                message = message.number(revision.0).bytes(bytes);
            }
            message
        };
        let mut message = rows(rows(message, &self.records), &self.snapshots);
        message = message.number(self.remove.len() as u64);
        for revision in &self.remove {
            message = message.number(revision.0);
        }
        let reserved = self.reserved.map(u64::to_le_bytes);
        message = message
            .optional(self.imported.as_deref())
            .optional(reserved.as_ref().map(<[u8; 8]>::as_slice))
            .number(self.writes)
            .number(self.slotted.0)
            .number(self.answers.len() as u64);
        for (key, answer) in &self.answers {
            message = message.bytes(key.as_bytes()).optional(answer.as_deref());
        }
        message
    }

    pub(super) fn take(reading: &mut Decoder<'_>) -> io::Result<Self> {
        let mut batch = Self::default();
        for rows in [&mut batch.records, &mut batch.snapshots] {
            for _ in 0..reading.number()? {
                rows.push((Revision(reading.number()?), reading.bytes()?.to_vec()));
            }
        }
        for _ in 0..reading.number()? {
            batch.remove.push(Revision(reading.number()?));
        }
        batch.imported = reading.optional()?.map(<[u8]>::to_vec);
        let reserved = reading.optional()?.and_then(|bytes| bytes.try_into().ok());
        batch.reserved = reserved.map(u64::from_le_bytes);
        batch.writes = reading.number()?;
        batch.slotted = Revision(reading.number()?);
        for _ in 0..reading.number()? {
            let (key, answer) = (reading.text()?, reading.optional()?);
            batch.answers.push((key, answer.map(<[u8]>::to_vec)));
        }
        Ok(batch)
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
            let what = format!("the answer under the key {key}");
            let answer = stored_response::decode(bytes).map_err(said(what))?;
            contents.answers.push((key.clone(), answer));
        }
        Ok(contents)
    }
}

fn misplaced(folder: &Path, place: Revision, found: Revision) -> HistoryError {
    HistoryError::Damaged {
        path: folder.to_owned(),
        what: format!("record {found} stands in the place of {place}"),
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

    #[test]
    fn a_batch_arrives_as_it_was_sent() {
        let batch = Batch {
            records: vec![(Revision(3), b"three".to_vec()), (Revision(4), Vec::new())],
            snapshots: vec![(Revision(3), b"whole".to_vec())],
            remove: vec![Revision(1), Revision(2)],
            imported: Some(b"file".to_vec()),
            reserved: Some(4096),
            writes: 12,
            slotted: Revision(3),
            answers: vec![
                ("a".to_owned(), Some(b"x".to_vec())),
                ("b".to_owned(), None),
            ],
        };
        let message = batch.put(Encoder::default());
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        super::super::ipc::send(&here, &message).unwrap();
        let bytes = super::super::ipc::receive(&there).unwrap();
        let again = Batch::take(&mut Decoder::of(&bytes)).unwrap();
        assert_eq!(format!("{again:?}"), format!("{batch:?}"));
    }
}
