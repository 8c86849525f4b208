//! The store itself: one embedded database, used by one thread.
//!
//! Records, whole tables and a few single values stand in three tables. Every write is one transaction that is on the
//! disk when it returns. After an I/O error the database refuses to go on, so its owner opens it anew.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::{
    error::HistoryError,
    record::{self, DecodeError, Entry, Snapshot},
};
use crate::model::{Revision, TableDocument};

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");
const SNAPSHOTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("snapshots");

/// Memory for pages; a history is read once and then only written.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// How long a start waits for the process before it, which may be about to end.
const HANDOVER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The open database.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    path: PathBuf,
}

/// All that the store holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) records: Vec<Entry>,
    pub(super) snapshots: BTreeMap<Revision, Snapshot>,
    pub(super) imported: Option<TableDocument>,
    pub(super) reserved: u64,
    /// The last record that is not void.
    pub(super) last: Revision,
}

/// What one transaction writes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<(Revision, Vec<u8>)>,
    pub(super) snapshots: Vec<(Revision, Vec<u8>)>,
    pub(super) remove: Vec<Revision>,
    pub(super) imported: Option<Vec<u8>>,
    pub(super) reserved: Option<u64>,
}

/// Why a transaction failed, and whether it may have reached the disk all the same.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) reason: String,
    pub(super) begun: bool,
}

/// Makes the folder, readable by its owner only, and makes its name durable.
pub(super) fn make_folder(path: &Path) -> Result<(), HistoryError> {
    let unreadable = |source| HistoryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(unreadable)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new("."))).map_err(unreadable)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Takes the lock that says which process the history belongs to. It is held until the process ends.
pub(super) fn lock(path: &Path) -> Result<File, HistoryError> {
    let file = path.join("lock");
    let unreadable = |source| HistoryError::Unreadable {
        path: file.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut lock = options.open(&file).map_err(unreadable)?;
    let deadline = Instant::now() + HANDOVER;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(unreadable(source)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(held(path, &mut lock)),
        }
    }
    // Only for the message above; on a full disk the lock holds without it.
    let noted = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "process {}", std::process::id()));
    drop(noted);
    Ok(lock)
}

fn held(path: &Path, lock: &mut File) -> HistoryError {
    let mut pid = String::new();
    let read = lock.take(64).read_to_string(&mut pid).is_ok();
    let pid = pid.trim().to_owned();
    HistoryError::Held {
        path: path.to_owned(),
        pid: (read && !pid.is_empty()).then_some(pid),
    }
}

impl Store {
    /// Opens the database at a start, when another process may still be closing it.
    pub(super) fn open_first(folder: &Path) -> Result<Self, HistoryError> {
        let deadline = Instant::now() + HANDOVER;
        loop {
            match Self::open(folder) {
                Err(HistoryError::Held { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Opens the database of a history's folder, and makes it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, HistoryError> {
        let path = folder.join("history.redb");
        let new = !path.exists();
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(|error| open_error(folder, &path, error))?;
        if new {
            sync_folder(folder).map_err(|source| HistoryError::Unreadable {
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(Self {
            database,
            path: folder.to_owned(),
        })
    }

    /// Reads everything.
    pub(super) fn read(&mut self) -> Result<Contents, HistoryError> {
        self.read_tables().map_err(|error| match error {
            ReadError::Decode(_, DecodeError::Format(found)) => HistoryError::UnknownFormat {
                path: self.path.clone(),
                found,
            },
            ReadError::Decode(what, DecodeError::Json(error)) => HistoryError::Damaged {
                path: self.path.clone(),
                what: format!("{what} cannot be read ({error})"),
            },
            ReadError::Store(error) => store_error(&self.path, error),
        })
    }

    fn read_tables(&self) -> Result<Contents, ReadError> {
        let mut contents = Contents::default();
        let read = self.database.begin_read()?;
        match read.open_table(META) {
            Ok(meta) => read_meta(&meta, &mut contents)?,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(contents),
            Err(error) => return Err(error.into()),
        }
        for row in read.open_table(RECORDS)?.iter()? {
            let (revision, bytes) = row?;
            let entry = record::decode(bytes.value()).map_err(|error| {
                ReadError::Decode(format!("record {}", revision.value()), error)
            })?;
            if !entry.is_void() {
                contents.last = entry.record.revision;
            }
            contents.records.push(entry);
        }
        for row in read.open_table(SNAPSHOTS)?.iter()? {
            let (revision, bytes) = row?;
            let revision = Revision(revision.value());
            let snapshot = Snapshot::decode(bytes.value()).map_err(|error| {
                ReadError::Decode(format!("the whole table of {revision}"), error)
            })?;
            contents.snapshots.insert(revision, snapshot);
        }
        Ok(contents)
    }

    /// Writes a batch in one transaction; when it returns, the batch is on the disk.
    pub(super) fn write(
        &self,
        batch: &Batch,
        before_commit: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let not_begun = |error: redb::Error| WriteError {
            reason: error.to_string(),
            begun: false,
        };
        let write = self
            .database
            .begin_write()
            .map_err(|error| not_begun(error.into()))?;
        fill(&write, batch).map_err(not_begun)?;
        before_commit().map_err(|error| not_begun(redb::Error::Io(error)))?;
        write.commit().map_err(|error| WriteError {
            reason: redb::Error::from(error).to_string(),
            begun: true,
        })
    }

    /// The last record that is not void.
    pub(super) fn last(&self) -> Revision {
        let last = || -> Result<Option<Revision>, redb::Error> {
            let read = self.database.begin_read()?;
            for row in read.open_table(RECORDS)?.iter()?.rev() {
                let (revision, bytes) = row?;
                if record::decode(bytes.value()).is_ok_and(|entry| !entry.is_void()) {
                    return Ok(Some(Revision(revision.value())));
                }
            }
            Ok(None)
        };
        last().ok().flatten().unwrap_or_default()
    }
}

fn fill(write: &redb::WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    let mut meta = write.open_table(META)?;
    meta.insert("format", record::FORMAT.to_le_bytes().as_slice())?;
    if let Some(reserved) = batch.reserved {
        meta.insert("reserved", reserved.to_le_bytes().as_slice())?;
    }
    if let Some(imported) = &batch.imported {
        meta.insert("imported", imported.as_slice())?;
    }
    let mut records = write.open_table(RECORDS)?;
    let mut snapshots = write.open_table(SNAPSHOTS)?;
    for (revision, bytes) in &batch.records {
        records.insert(revision.0, bytes.as_slice())?;
    }
    for (revision, bytes) in &batch.snapshots {
        snapshots.insert(revision.0, bytes.as_slice())?;
    }
    for revision in &batch.remove {
        records.remove(revision.0)?;
        snapshots.remove(revision.0)?;
    }
    Ok(())
}

enum ReadError {
    Decode(String, DecodeError),
    Store(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

fn read_meta(
    meta: &redb::ReadOnlyTable<&'static str, &'static [u8]>,
    contents: &mut Contents,
) -> Result<(), ReadError> {
    let number = |key: &str| -> Result<Option<u64>, ReadError> {
        let bytes = meta.get_owned(key)?;
        let bytes = bytes.and_then(|bytes| bytes.value().try_into().ok());
        Ok(bytes.map(u64::from_le_bytes))
    };
    let format = number("format")?.unwrap_or(record::FORMAT);
    if format != record::FORMAT {
        return Err(ReadError::Decode(
            "the store".to_owned(),
            DecodeError::Format(format),
        ));
    }
    contents.reserved = number("reserved")?.unwrap_or_default();
    if let Some(bytes) = meta.get_owned("imported")? {
        let document = serde_json::from_slice(bytes.value()).map_err(|error| {
            ReadError::Decode("the imported file".to_owned(), DecodeError::Json(error))
        })?;
        contents.imported = Some(document);
    }
    Ok(())
}

fn open_error(folder: &Path, file: &Path, error: DatabaseError) -> HistoryError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => HistoryError::Held {
            path: folder.to_owned(),
            pid: None,
        },
        other => store_error(file, other.into()),
    }
}

fn store_error(path: &Path, error: redb::Error) -> HistoryError {
    match error {
        redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
            HistoryError::Unreadable {
                path: path.to_owned(),
                source,
            }
        }
        other => HistoryError::Damaged {
            path: path.to_owned(),
            what: other.to_string(),
        },
    }
}
