//! Folder of the backups that a proxy makes by itself: each is read again and restored before it gets its name, and the
//! oldest leave only then.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    backup::CheckedBackup,
    data_dir::{self, open_private},
    restore::verify,
    restore_error::RestoreError,
    wire_forms::os_path,
};
use crate::model::Revision;

const PREFIX: &str = "switchback-";
const SUFFIX: &str = ".backup";
/// Name of a backup until it is verified.
const NEW: &str = "backup.new";
/// Folder that it is restored into.
const SCRATCH: &str = "backup.scratch";

/// A backup that is to be kept in a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreBackup {
    /// The folder; made if there is none.
    #[serde(with = "os_path")]
    pub folder: PathBuf,
    /// Its name, of [`backup_name`].
    pub name: String,
    /// Number of backups that stay, this one included.
    pub keep: usize,
    /// Its content.
    pub bytes: Bytes,
}

/// A backup that was verified and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBackup {
    /// Its live revision.
    pub live: Revision,
    /// Number of its revisions.
    pub revisions: usize,
    /// Number of older ones that were removed.
    pub removed: usize,
}

/// A backup in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBackup {
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Time of its last write.
    pub written_at: SystemTime,
}

/// Name of a backup of that time: names sort as their times do.
pub fn backup_name(time: SystemTime) -> String {
    let time = humantime::format_rfc3339_millis(time).to_string();
    format!("{PREFIX}{}{SUFFIX}", time.replace(['-', ':', '.'], ""))
}

/// The latest backup in a folder, if there is one.
///
/// # Errors
/// If the folder cannot be read.
pub fn latest_backup(folder: &Path) -> io::Result<Option<FoundBackup>> {
    let Some(name) = names(folder)?.pop() else {
        return Ok(None);
    };
    let path = folder.join(name);
    let file = fs::metadata(&path)?;
    Ok(Some(FoundBackup {
        path,
        bytes: file.len(),
        written_at: file.modified()?,
    }))
}

/// Writes a backup, reads it from the disk, restores it into a scratch folder, compares every revision, names it, and
/// removes the oldest of those that are too many.
pub(super) fn store_backup(request: &StoreBackup) -> Result<StoredBackup, RestoreError> {
    let folder = &request.folder;
    let failed = |source| RestoreError::Io {
        path: folder.clone(),
        source,
    };
    data_dir::make_private(folder).map_err(failed)?;
    let new = folder.join(NEW);
    let checked = write(&new, &request.bytes)
        .map_err(failed)
        .and_then(|()| verified(&new, &folder.join(SCRATCH)));
    let checked = checked.inspect_err(|_| drop(fs::remove_file(&new)))?;
    fs::rename(&new, folder.join(&request.name)).map_err(failed)?;
    data_dir::sync(folder).map_err(failed)?;
    Ok(StoredBackup {
        live: checked.backup().manifest.live,
        revisions: checked.revisions().len(),
        removed: rotate(folder, &request.name, request.keep).map_err(failed)?,
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn verified(path: &Path, scratch: &Path) -> Result<CheckedBackup, RestoreError> {
    let read = fs::read(path).map_err(|source| RestoreError::Io {
        path: path.to_owned(),
        source,
    })?;
    let checked = CheckedBackup::read(&read)?;
    verify(&checked, scratch)?;
    Ok(checked)
}

/// Removes the oldest, and never the one that was just made: a clock may have been set back.
fn rotate(folder: &Path, made: &str, keep: usize) -> io::Result<usize> {
    let mut others = names(folder)?;
    others.retain(|name| name != made);
    let too_many = (others.len() + 1).saturating_sub(keep.max(1));
    for name in &others[..too_many.min(others.len())] {
        fs::remove_file(folder.join(name))?;
    }
    File::open(folder)?.sync_all()?;
    Ok(too_many)
}

/// Names of the backups in a folder, the oldest first. Other files are none of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().into_string().unwrap_or_default();
        let time = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_suffix(SUFFIX));
        let is_time = |time: &str| {
            time.len() == 19
                && time
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"TZ".contains(&b))
        };
        if time.is_some_and(is_time) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::history::BackupSource;

    fn request(folder: &Path, second: u64, bytes: Vec<u8>) -> StoreBackup {
        StoreBackup {
            folder: folder.to_owned(),
            name: backup_name(UNIX_EPOCH + Duration::from_secs(second)),
            keep: 3,
            bytes: bytes.into(),
        }
    }

    fn good() -> Vec<u8> {
        BackupSource::default().compose().to_bytes()
    }

    #[test]
    fn the_oldest_leave_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for other in ["switchback-old.backup", "notes.txt"] {
            write(&path.join(other), b"mine").unwrap();
        }
        for second in 1..=5 {
            store_backup(&request(path, second, good())).unwrap();
        }
        let made = |second| backup_name(UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(names(path).unwrap(), [made(3), made(4), made(5)]);
        assert!(path.join("notes.txt").exists() && path.join("switchback-old.backup").exists());
        assert!(!path.join(SCRATCH).exists() && !path.join(NEW).exists());
        // The clock was set back: the new one stays although its name is the first.
        let stored = store_backup(&request(path, 2, good())).unwrap();
        assert_eq!(stored.removed, 1);
        assert_eq!(names(path).unwrap(), [made(2), made(4), made(5)]);
        let latest = latest_backup(path).unwrap().unwrap();
        assert_eq!(latest.path, path.join(made(5)));
        assert_eq!(latest.bytes, good().len() as u64);
    }

    #[test]
    fn one_that_is_not_good_removes_nothing_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for second in 1..=3 {
            store_backup(&request(path, second, good())).unwrap();
        }
        let before = names(path).unwrap();
        let mut damaged = good();
        damaged[40] ^= 1;
        store_backup(&request(path, 4, damaged)).unwrap_err();
        assert_eq!(names(path).unwrap(), before);
        assert!(!path.join(NEW).exists());
        // What a kill has left does not matter to the next one.
        write(&path.join(NEW), &vec![7; 1 << 16]).unwrap();
        fs::create_dir(path.join(SCRATCH)).unwrap();
        write(&path.join(SCRATCH).join("history.redb"), b"half").unwrap();
        store_backup(&request(path, 5, good())).unwrap();
        assert_eq!(names(path).unwrap().len(), 3);
    }
}
