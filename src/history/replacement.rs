//! Replacement of a history by a restored one, whole or not at all.
//!
//! What is restored is written beside the history, into a folder of its own. A rename of that folder is the decision;
//! from then on each step can be done again, and a start does those that a kill has left. The folder of the history
//! itself is never renamed: it may be a mount.

use std::{fs, io, path::Path};

use super::{
    data_dir::{self, BEFORE_RESTORE, RESTORE_MOVING, RESTORE_NEW, RESTORE_READY, SEAL_KEY},
    error::HistoryError,
};

/// Called before each step; an error ends the replacement there.
pub(super) type Step<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Decides for what was written into the folder `restore.new`, and moves it to its place. The lock is held.
pub(super) fn replace(folder: &Path, step: Step<'_>) -> io::Result<()> {
    step()?;
    remove(&folder.join(BEFORE_RESTORE))?;
    data_dir::sync(folder)?;
    step()?;
    rename(folder, RESTORE_NEW, RESTORE_READY)?;
    finish(folder, step)
}

/// Finishes at a start what a killed restore has left. The lock is held.
pub(super) fn go_on(folder: &Path) -> Result<(), HistoryError> {
    finish(folder, &mut || Ok(())).map_err(|source| HistoryError::Unreadable {
        path: folder.to_owned(),
        source,
    })
}

/// Finishes a replacement that was decided on, if there is one.
pub(super) fn finish(folder: &Path, step: Step<'_>) -> io::Result<()> {
    if folder.join(RESTORE_READY).is_dir() {
        put_aside(folder, step)?;
        step()?;
        rename(folder, RESTORE_READY, RESTORE_MOVING)?;
    }
    if folder.join(RESTORE_MOVING).is_dir() {
        put_in_place(folder, step)?;
    }
    Ok(())
}

/// Moves the files of the earlier history aside. Its key stays unless the backup has one.
fn put_aside(folder: &Path, step: Step<'_>) -> io::Result<()> {
    let aside = folder.join(BEFORE_RESTORE);
    let has_key = folder.join(RESTORE_READY).join(SEAL_KEY).exists();
    let key = has_key.then_some(SEAL_KEY);
    for name in data_dir::replaced_names().chain(key) {
        let file = folder.join(name);
        if !file.exists() {
            continue;
        }
        step()?;
        data_dir::make_private(&aside)?;
        fs::rename(file, aside.join(name))?;
    }
    if aside.is_dir() {
        data_dir::sync(&aside)?;
    }
    data_dir::sync(folder)
}

fn put_in_place(folder: &Path, step: Step<'_>) -> io::Result<()> {
    let from = folder.join(RESTORE_MOVING);
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        step()?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    data_dir::sync(folder)?;
    step()?;
    fs::remove_dir(from)?;
    data_dir::sync(folder)
}

fn rename(folder: &Path, from: &str, to: &str) -> io::Result<()> {
    fs::rename(folder.join(from), folder.join(to))?;
    data_dir::sync(folder)
}

/// Removes a folder with its content, if there is one.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
