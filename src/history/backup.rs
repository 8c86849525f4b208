//! A history as a backup, and back. Pure: the store is not read for a backup, and nothing is written here.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{
    batch::{Batch, Contents},
    data_dir,
    error::HistoryError,
    record::{self, Entry},
    replay::{self, Loaded, StoredRevision},
    restore_error::RestoreError,
    stored_response::{self, StoredResponse},
};
use crate::{
    backup::{Backup, BackupError, BackupRows, ConfigFile, Manifest, RevisionDigest},
    model::{Revision, TableDocument},
};

/// State of a proxy at one moment.
#[derive(Debug, Default)]
pub struct BackupSource {
    /// Its kept revisions, the oldest first.
    pub kept: Vec<StoredRevision>,
    /// The configuration file's table as it was last imported.
    pub imported: Option<Arc<TableDocument>>,
    /// Responses under idempotency keys.
    pub answers: Vec<(String, Arc<StoredResponse>)>,
    /// Revision numbers up to this one may have been used.
    pub reserved: u64,
    /// Small files beside the history: JSON by name.
    pub files: BTreeMap<String, String>,
    /// The configuration file.
    pub config: Option<ConfigFile>,
    /// Name of the machine.
    pub node: Option<String>,
    /// Time, in milliseconds since 1970.
    pub taken_at_ms: u64,
}

impl BackupSource {
    /// The backup of that state.
    pub fn compose(self) -> Backup {
        let live = self.kept.iter().rfind(|kept| kept.state.is_some());
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node,
            taken_at_ms: self.taken_at_ms,
            live: live.map_or(Revision(0), |kept| kept.record.revision),
            reserved: self.reserved,
            revisions: digests(&self.kept),
        };
        let snapshots = replay::needed_snapshots(&self.kept).into_iter();
        let snapshots = snapshots.map(|(revision, table)| (revision, raw(table.encode())));
        let record = |kept: &StoredRevision| {
            let entry = Entry {
                record: (*kept.record).clone(),
                whole: kept.whole.clone(),
            };
            (kept.record.revision, raw(record::encode(&entry)))
        };
        let answers = self.answers.iter();
        let rows = BackupRows {
            records: self.kept.iter().map(record).collect(),
            snapshots: snapshots.collect(),
            imported: self
                .imported
                .map(|file| raw(record::encode_document(&file))),
            answers: answers
                .map(|(key, answer)| (key.clone(), raw(stored_response::encode(answer))))
                .collect(),
        };
        Backup::new(manifest, rows, self.files, self.config)
    }
}

/// A backup whose every record was read, and leads to the table that it led to when the backup was taken.
#[derive(Debug)]
pub struct CheckedBackup {
    backup: Backup,
    rows: Batch,
    revisions: Vec<StoredRevision>,
}

impl CheckedBackup {
    /// Reads a file and checks all of it.
    ///
    /// # Errors
    /// If it is damaged, or of a later version.
    pub fn read(bytes: &[u8]) -> Result<Self, RestoreError> {
        let backup = Backup::from_bytes(bytes)?;
        for (name, text) in &backup.files {
            check_file(name, text)?;
        }
        let rows = rows(&backup);
        let loaded = loaded(&rows, Path::new("the backup")).map_err(|error| match error {
            HistoryError::Damaged { what, .. } => RestoreError::Damaged { what },
            other => other.into(),
        })?;
        compare(&backup.manifest.revisions, &loaded.kept)?;
        Ok(Self {
            revisions: loaded.kept,
            backup,
            rows,
        })
    }

    /// The backup.
    pub fn backup(&self) -> &Backup {
        &self.backup
    }

    /// Its revisions, the oldest first.
    pub fn revisions(&self) -> &[StoredRevision] {
        &self.revisions
    }

    /// The rows of its store.
    pub(super) fn rows(&self) -> &Batch {
        &self.rows
    }
}

/// Content of a store with these rows.
pub(super) fn loaded(rows: &Batch, folder: &Path) -> Result<Loaded, HistoryError> {
    let contents = Contents::of(rows, folder)?;
    let (loaded, _) = replay::replay(folder, contents.records, &contents.snapshots, &[])?;
    Ok(loaded)
}

/// Compares the revisions of a history with the digests in a backup.
pub(super) fn compare(
    expected: &[RevisionDigest],
    found: &[StoredRevision],
) -> Result<(), RestoreError> {
    let found = digests(found);
    if found == expected {
        return Ok(());
    }
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b);
    let place = same.count();
    let first = expected.get(place).or(found.get(place));
    let revision = first.map_or(Revision(0), |one| one.revision);
    Err(RestoreError::Differs { revision })
}

fn digests(kept: &[StoredRevision]) -> Vec<RevisionDigest> {
    let digest = |kept: &StoredRevision| RevisionDigest {
        revision: kept.record.revision,
        digest: kept.state.as_ref().map(|state| state.spec.digest()),
    };
    kept.iter().map(digest).collect()
}

/// Only files of this version are written: a name is not a way out of the folder.
fn check_file(name: &str, text: &str) -> Result<(), RestoreError> {
    if !data_dir::beside_names().any(|known| known == name) {
        return Err(RestoreError::UnknownFile(name.to_owned()));
    }
    let json: Result<IgnoredAny, _> = serde_json::from_str(text);
    json.map(drop).map_err(|error| {
        let reason = format!("`{name}`: {error}");
        RestoreError::Backup(BackupError::Content {
            section: "file".to_owned(),
            reason,
        })
    })
}

fn rows(backup: &Backup) -> Batch {
    let BackupRows {
        records,
        snapshots,
        imported,
        answers,
    } = &backup.rows;
    let row = |(revision, text): &(Revision, Box<RawValue>)| (*revision, bytes(text));
    Batch {
        records: records.iter().map(row).collect(),
        snapshots: snapshots.iter().map(row).collect(),
        imported: imported.as_deref().map(bytes),
        reserved: Some(backup.manifest.reserved),
        answers: answers
            .iter()
            .map(|(key, text)| (key.clone(), Some(bytes(text))))
            .collect(),
        ..Batch::default()
    }
}

fn bytes(text: &RawValue) -> Bytes {
    Bytes::copy_from_slice(text.get().as_bytes())
}

fn raw(row: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(row).ok();
    let raw = text.and_then(|text| RawValue::from_string(text).ok());
    raw.expect("a row of the store is JSON")
}
