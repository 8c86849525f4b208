//! Store: one embedded database, used by one thread.
//!
//! Records, whole tables, counts, responses under keys and a few single values have a table each. Every write is one
//! transaction, durable when it returns. After an I/O error the database rejects all calls, so its owner reopens it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition,
};

use super::{
    batch::Batch,
    data_dir::{self, MARK},
    error::{HistoryError, WriteError},
    guarded::guarded,
    mark::{About, Mark},
    record,
    seal::FORMAT,
};
use crate::model::Revision;

const ANSWERS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("answers");
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");
const COUNTS: TableDefinition<'static, &str, u64> = TableDefinition::new("counts");
const SNAPSHOTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("snapshots");

/// Page cache; a history is read once and then only written.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Time that a start waits for a database that another process is still closing.
const HANDOVER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The open database.
#[derive(Debug)]
pub(super) struct Store {
    // Taken only to be closed.
    database: Option<Database>,
    path: PathBuf,
    mark: Mark,
    // Number of committed transactions.
    writes: AtomicU64,
}

impl Store {
    /// Opens the database at a start, while another process may still be closing it.
    pub(super) fn open_first(path: &Path) -> Result<Self, HistoryError> {
        let deadline = Instant::now() + HANDOVER;
        loop {
            match Self::open(path) {
                Err(HistoryError::Held { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Opens the database in a history's folder, and creates it if there never was one.
    pub(super) fn open(folder: &Path) -> Result<Self, HistoryError> {
        let path = folder.join(data_dir::STORE);
        let unreadable = |source| HistoryError::Unreadable {
            path: path.clone(),
            source,
        };
        let new = fs::metadata(&path).map_or(0, |metadata| metadata.len()) == 0;
        if new {
            never_written(folder)?;
        }
        drop(data_dir::open_private(&path).map_err(unreadable)?);
        let mark = Mark::open(folder).map_err(unreadable)?;
        let database = guarded(|| create(&path))
            .map_err(|panic| damaged(folder, panic))?
            .map_err(|error| open_error(folder, &path, error))?;
        if new {
            data_dir::sync(folder).map_err(unreadable)?;
        }
        let store = Self {
            database: Some(database),
            path: folder.to_owned(),
            mark,
            writes: AtomicU64::new(0),
        };
        store.compare_with_mark()?;
        Ok(store)
    }

    /// Compares with the mark: a store with fewer transactions than were acknowledged has lost its end.
    fn compare_with_mark(&self) -> Result<(), HistoryError> {
        let (found, marked) = (self.read()?.writes, self.mark.read(About::Store));
        self.writes.store(found, Ordering::Relaxed);
        if found >= marked {
            return Ok(());
        }
        let lost = marked - found;
        Err(damaged(
            &self.path,
            format!(
                "the last {lost} of {marked} writes to `{}` are lost; remove `{MARK}` to continue with the rest",
                data_dir::STORE
            ),
        ))
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("taken out only to be closed")
    }

    /// Reads everything.
    pub(super) fn read(&self) -> Result<Batch, HistoryError> {
        let rows = guarded(|| self.read_rows()).map_err(|panic| damaged(&self.path, panic))?;
        rows.map_err(|error| match error {
            ReadError::Format(found) => HistoryError::UnknownFormat {
                path: self.path.clone(),
                found,
            },
            ReadError::Rows(what) => damaged(&self.path, what),
            ReadError::Store(error) => store_error(&self.path, error),
        })
    }

    fn read_rows(&self) -> Result<Batch, ReadError> {
        let mut rows = Batch {
            slotted: Revision(self.mark.read(About::Slots)),
            ..Batch::default()
        };
        let read = self.database().begin_read()?;
        match read.open_table(COUNTS) {
            Ok(counts) => rows.writes = counts.get("writes")?.map_or(0, |count| count.value()),
            // A store of an earlier version, or a new one.
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match read.open_table(META) {
            Ok(meta) => read_meta(&meta, &mut rows)?,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(rows),
            Err(error) => return Err(error.into()),
        }
        for (table, found) in [
            (RECORDS, &mut rows.records),
            (SNAPSHOTS, &mut rows.snapshots),
        ] {
            let table = read.open_table(table)?;
            for row in table.iter()? {
                let (revision, bytes) = row?;
                found.push((
                    Revision(revision.value()),
                    Bytes::copy_from_slice(bytes.value()),
                ));
            }
            if found.len() as u64 != table.len()? {
                let count = table.len()?;
                return Err(ReadError::Rows(format!(
                    "of {count} rows {} are found",
                    found.len()
                )));
            }
        }
        // A history of an earlier version has none.
        match read.open_table(ANSWERS) {
            Ok(answers) => {
                for row in answers.iter()? {
                    let (key, bytes) = row?;
                    let answer = Some(Bytes::copy_from_slice(bytes.value()));
                    rows.answers.push((key.value().to_owned(), answer));
                }
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(rows)
    }

    /// Writes a batch in one transaction; durable when it returns.
    pub(super) fn write(
        &self,
        batch: &Batch,
        before_commit: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let writes = self.writes.load(Ordering::Relaxed) + 1;
        let mut begun = false;
        let written = guarded(|| -> Result<(), redb::Error> {
            let write = self.database().begin_write()?;
            fill(&write, batch, writes)?;
            before_commit().map_err(redb::Error::Io)?;
            begun = true;
            Ok(write.commit()?)
        });
        let reason = match written {
            Ok(Ok(())) => {
                self.writes.store(writes, Ordering::Relaxed);
                self.mark.note(About::Store, writes);
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("the history is damaged: {panic}"),
        };
        Err(WriteError {
            reason,
            begun,
            gone: false,
        })
    }

    /// Last record that is not void.
    pub(super) fn last(&self) -> Revision {
        let last = || -> Result<Option<Revision>, redb::Error> {
            let read = self.database().begin_read()?;
            for row in read.open_table(RECORDS)?.iter()?.rev() {
                let (revision, bytes) = row?;
                if record::decode(bytes.value()).is_ok_and(|entry| !entry.is_void()) {
                    return Ok(Some(Revision(revision.value())));
                }
            }
            Ok(None)
        };
        guarded(last)
            .ok()
            .and_then(Result::ok)
            .flatten()
            .unwrap_or_default()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let database = self.database.take();
        if let Err(panic) = guarded(|| drop(database)) {
            tracing::error!(%panic, "the history is damaged; it could not be closed");
        }
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create(path)
}

/// Checks that there is no earlier history before a new store is created.
fn never_written(folder: &Path) -> Result<(), HistoryError> {
    let traces = data_dir::traces(folder);
    if traces.is_empty() {
        return Ok(());
    }
    let traces: Vec<_> = traces.iter().map(|name| format!("`{name}`")).collect();
    let what = format!(
        "`{}` is missing or empty, and {} beside it show that it was written",
        data_dir::STORE,
        traces.join(" and ")
    );
    Err(damaged(folder, what))
}

fn damaged(folder: &Path, what: String) -> HistoryError {
    HistoryError::Damaged {
        path: folder.to_owned(),
        what,
    }
}

fn fill(write: &redb::WriteTransaction, batch: &Batch, writes: u64) -> Result<(), redb::Error> {
    let mut counts = write.open_table(COUNTS)?;
    counts.insert("writes", writes)?;
    let mut meta = write.open_table(META)?;
    // Unchanged values are not written again: the imported file is stored next to it, and may be long.
    let format = FORMAT.to_le_bytes();
    if meta
        .get("format")?
        .is_none_or(|found| found.value() != format.as_slice())
    {
        meta.insert("format", format.as_slice())?;
    }
    if let Some(reserved) = batch.reserved {
        // Twice, the second time inverted, which serves as a checksum.
        let twice = [reserved.to_le_bytes(), (!reserved).to_le_bytes()].concat();
        meta.insert("reserved", twice.as_slice())?;
    }
    match batch.imported.as_deref() {
        Some([]) => drop(meta.remove("imported")?),
        Some(imported) => drop(meta.insert("imported", imported)?),
        None => {}
    }
    let mut records = write.open_table(RECORDS)?;
    let mut snapshots = write.open_table(SNAPSHOTS)?;
    for (revision, bytes) in &batch.records {
        records.insert(revision.0, &**bytes)?;
    }
    for (revision, bytes) in &batch.snapshots {
        snapshots.insert(revision.0, &**bytes)?;
    }
    for revision in &batch.remove {
        records.remove(revision.0)?;
        snapshots.remove(revision.0)?;
    }
    if batch.answers.is_empty() {
        return Ok(());
    }
    let mut answers = write.open_table(ANSWERS)?;
    for (key, answer) in &batch.answers {
        match answer {
            Some(answer) => answers.insert(key.as_str(), &**answer)?,
            None => answers.remove(key.as_str())?,
        };
    }
    Ok(())
}

enum ReadError {
    Format(u64),
    Rows(String),
    Store(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

fn read_meta(
    meta: &redb::ReadOnlyTable<&'static str, &'static [u8]>,
    rows: &mut Batch,
) -> Result<(), ReadError> {
    let format = meta
        .get_owned("format")?
        .map(|bytes| bytes.value().to_vec());
    let format = format.map_or(Some(FORMAT), |bytes| {
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    });
    match format {
        Some(0) | None => return Err(ReadError::Rows("its format has no number".to_owned())),
        Some(format) if format > FORMAT => return Err(ReadError::Format(format)),
        Some(_) => {}
    }
    if let Some(reserved) = meta.get_owned("reserved")? {
        let reserved = reserved_upto(reserved.value());
        let damaged =
            || ReadError::Rows("the allocated revision numbers cannot be read".to_owned());
        rows.reserved = Some(reserved.ok_or_else(damaged)?);
    }
    rows.imported = meta
        .get_owned("imported")?
        .map(|bytes| Bytes::copy_from_slice(bytes.value()));
    Ok(())
}

/// Upper end of the reserved numbers. Format 1 has the plain number.
fn reserved_upto(bytes: &[u8]) -> Option<u64> {
    let (number, check) = bytes.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    (check.is_empty() || check == (!number).to_le_bytes()).then_some(number)
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
