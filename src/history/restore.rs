//! Restoring a backup into the folder of a history.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use super::{
    backup::{CheckedBackup, compare, loaded},
    beside::write_beside,
    data_dir::{self, RESTORE_NEW, SEAL_KEY, STORE},
    error::HistoryError,
    replacement::{Step, finish, remove, replace},
    restore_error::RestoreError,
    store::Store,
};
use crate::backup::Keys;

/// Restores a backup into the folder of a history, which no process may hold. What was there before, with `force`, is
/// kept in the folder `before-restore` in it. After a kill there is the earlier history or the restored one.
///
/// # Errors
/// If another process holds the folder, if there is a history already, or if the disk refuses. Nothing has changed then,
/// unless the disk refuses after the decision: the next start or restore goes on from there.
pub fn restore(
    backup: &CheckedBackup,
    keys: &Keys,
    folder: &Path,
    force: bool,
) -> Result<(), RestoreError> {
    restore_stepwise(backup, keys, (folder, force), &mut || Ok(()))
}

fn restore_stepwise(
    backup: &CheckedBackup,
    keys: &Keys,
    (folder, force): (&Path, bool),
    step: Step<'_>,
) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Io {
        path: folder.to_owned(),
        source,
    };
    data_dir::make(folder)?;
    let _lock = data_dir::lock(folder, std::process::id())?;
    finish(folder, step).map_err(failed)?;
    if !force && has_history(folder) {
        return Err(RestoreError::NotEmpty(folder.to_owned()));
    }
    let new = folder.join(RESTORE_NEW);
    remove(&new).map_err(failed)?;
    let written = write(backup, keys, &new).and_then(|()| check(backup, &new));
    if let Err(error) = written {
        // The disk may be full; the earlier history needs the room.
        drop(remove(&new));
        return Err(error);
    }
    replace(folder, step).map_err(failed)
}

/// Restores a backup into a folder of its own, reads it there, and compares the digest of every revision. The folder is
/// gone afterwards.
///
/// # Errors
/// If the restored history is not the one that was backed up, or the disk refuses.
pub fn verify(backup: &CheckedBackup, scratch: &Path) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Io {
        path: scratch.to_owned(),
        source,
    };
    remove(scratch).map_err(failed)?;
    let verified = write(backup, &Keys::new(), scratch).and_then(|()| check(backup, scratch));
    let removed = remove(scratch).map_err(failed);
    verified.and(removed)
}

/// True if the folder holds the revisions of a proxy, readable or not.
fn has_history(folder: &Path) -> bool {
    let is_there = |name: &str| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
    is_there(STORE) || !data_dir::traces(folder).is_empty()
}

/// Writes a history into an empty folder; durable when it returns.
fn write(backup: &CheckedBackup, keys: &Keys, folder: &Path) -> Result<(), RestoreError> {
    data_dir::make(folder)?;
    let store = Store::open(folder)?;
    let written = store.write(backup.rows(), || Ok(()));
    written.map_err(|error| HistoryError::NotWritable {
        path: folder.to_owned(),
        reason: error.reason,
    })?;
    drop(store);
    write_files(backup, keys, folder).map_err(|source| RestoreError::Io {
        path: folder.to_owned(),
        source,
    })
}

fn write_files(backup: &CheckedBackup, keys: &Keys, folder: &Path) -> io::Result<()> {
    for (name, json) in &backup.backup().files {
        write_beside(folder, name, json)?;
    }
    if let Some(key) = keys.get(SEAL_KEY) {
        let mut file = data_dir::open_private(&folder.join(SEAL_KEY))?;
        file.write_all(key.as_bytes())?;
        file.sync_all()?;
    }
    data_dir::sync(folder)
}

/// Reads a restored history as a start does, and compares every revision.
fn check(backup: &CheckedBackup, folder: &Path) -> Result<(), RestoreError> {
    let rows = Store::open(folder)?.read()?;
    let loaded = loaded(&rows, folder)?;
    compare(&backup.backup().manifest.revisions, &loaded.kept)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;
    use crate::{
        history::{BackupSource, Entry, History, StoredRevision, record::FullWeight},
        model::{Actor, Author, Cause, Change, ChangeSet, Revision, RevisionRecord, TableState},
    };

    /// A record that gives `green` that weight, and its table.
    fn revision(number: u64, weight: u64, before: &TableState) -> StoredRevision {
        let text = format!(
            r#"{{"kind":"replace","table":{{"releases":{{
            "blue":{{"endpoints":["http://127.0.0.1:1"]}},"green":{{"endpoints":["http://127.0.0.1:2"]}}}},
            "routes":[{{"name":"chat","split":{{"blue":1,"green":{weight}}}}}]}}}}"#
        );
        let change: Change = serde_json::from_str(&text).unwrap();
        let state = change.apply_to(before).unwrap().state;
        let record = RevisionRecord {
            revision: Revision(number),
            parent: Revision(number - 1),
            undo_to: None,
            published_at_ms: number,
            author: Author {
                actor: Actor::Api,
                name: "ann".to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause: Cause::Publish,
            digest: state.spec.digest(),
            change: Some(change),
            request: None,
            cut: false,
            shared: None,
        };
        StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: Some(state),
            touched: ChangeSet::default(),
        }
    }

    fn revisions(weights: &[u64]) -> Vec<StoredRevision> {
        let mut kept: Vec<StoredRevision> = Vec::new();
        for (number, weight) in (1..).zip(weights) {
            let before = kept.last().and_then(|kept| kept.state.clone());
            kept.push(revision(number, *weight, &before.unwrap_or_default()));
        }
        kept
    }

    fn backup(weights: &[u64]) -> Vec<u8> {
        let source = BackupSource {
            kept: revisions(weights),
            reserved: 4100,
            files: [("drills.json".to_owned(), "[1]".to_owned())].into(),
            ..BackupSource::default()
        };
        source.compose().to_bytes()
    }

    /// The numbers of a history as a start reads it, and the number that comes next.
    fn opened(folder: &Path) -> (Vec<u64>, u64) {
        let (history, loaded) = History::open(folder).unwrap();
        let found = loaded.kept.iter().map(|kept| kept.record.revision.0);
        let found = found.collect();
        let next = history.reserve().0;
        history.close(std::time::Duration::from_secs(5));
        (found, next)
    }

    #[test]
    fn a_restored_history_goes_on_after_the_numbers_that_were_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let backup = CheckedBackup::read(&backup(&[1, 2, 3])).unwrap();
        restore(&backup, &Keys::new(), &path, false).unwrap();
        assert_eq!(opened(&path), (vec![1, 2, 3], 4101));
        let drills = fs::read_to_string(path.join("drills.json")).unwrap();
        assert!(drills.contains("[1]"), "{drills}");
    }

    #[test]
    fn a_history_is_replaced_by_force_only_and_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let [first, second] = [&[1, 2][..], &[5]];
        let [first, second] = [first, second].map(|w| CheckedBackup::read(&backup(w)).unwrap());
        let keys = Keys::from([(SEAL_KEY.to_owned(), "a key".to_owned())]);
        restore(&first, &keys, path, false).unwrap();
        let refused = restore(&second, &Keys::new(), path, false);
        assert!(matches!(refused, Err(RestoreError::NotEmpty(_))));
        assert_eq!(opened(path).0, [1, 2]);
        restore(&second, &Keys::new(), path, true).unwrap();
        assert_eq!(opened(path).0, [1]);
        // Without keys in the backup the one that is there stays.
        assert_eq!(fs::read_to_string(path.join(SEAL_KEY)).unwrap(), "a key");
        assert_eq!(opened(&path.join(data_dir::BEFORE_RESTORE)).0, [1, 2]);
    }

    #[test]
    fn a_folder_that_a_proxy_holds_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (history, _) = History::open(folder.path()).unwrap();
        let backup = CheckedBackup::read(&backup(&[1])).unwrap();
        let refused = restore(&backup, &Keys::new(), folder.path(), true);
        assert!(matches!(
            refused,
            Err(RestoreError::History(
                HistoryError::Held { .. } | HistoryError::StillWritten { .. }
            ))
        ));
        history.append_async(Entry::new((*revisions(&[7])[0].record).clone()));
        history.close(std::time::Duration::from_secs(5));
        assert_eq!(opened(folder.path()).0, [1]);
    }

    #[test]
    fn after_an_end_before_any_step_there_is_the_earlier_history_or_the_restored_one() {
        let first = CheckedBackup::read(&backup(&[1, 2])).unwrap();
        let second = CheckedBackup::read(&backup(&[5])).unwrap();
        let (mut earlier, mut restored) = (0, 0);
        for last in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            restore(&first, &Keys::new(), path, false).unwrap();
            let steps = Cell::new(0);
            let ended = restore_stepwise(&second, &Keys::new(), (path, true), &mut || {
                steps.set(steps.get() + 1);
                if steps.get() > last {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Ok(())
            });
            match opened(path).0.as_slice() {
                [1, 2] => earlier += 1,
                [1] => restored += 1,
                other => panic!("after {last} steps: {other:?}"),
            }
            if ended.is_ok() {
                break;
            }
        }
        assert!(earlier >= 2 && restored >= 5, "{earlier} {restored}");
    }

    #[test]
    fn a_revision_that_is_not_what_it_was_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let good = CheckedBackup::read(&backup(&[1, 2])).unwrap();
        verify(&good, &folder.path().join("scratch")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut source = BackupSource {
            kept: revisions(&[1, 2]),
            ..BackupSource::default()
        };
        // The table in memory is another than the record leads to; a whole table beside it makes up for that.
        source.kept[1].state = source.kept[0].state.clone();
        let made = source.compose().to_bytes();
        assert!(CheckedBackup::read(&made).is_err());
    }

    #[test]
    fn a_file_name_is_no_way_out_of_the_folder() {
        let source = BackupSource {
            files: [("../evil.json".to_owned(), "1".to_owned())].into(),
            ..BackupSource::default()
        };
        let read = CheckedBackup::read(&source.compose().to_bytes());
        assert!(matches!(read, Err(RestoreError::UnknownFile(_))));
    }
}
