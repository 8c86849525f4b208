//! A file for its owner only, written whole or not at all. What is no file, such as a pipe, is written into.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Most links in a row that are followed, as in Linux.
const MOST_LINKS: usize = 40;

/// Replaces a file. It has its name once it is durable: after a kill there is the earlier one or the new one.
///
/// # Errors
/// If it cannot be written. What was written of it is removed.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Behind a link, so that the link stays one.
    let path = &target(path)?;
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let new = beside(path);
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        drop(fs::remove_file(&new));
        return Err(error);
    }
    File::open(folder(path))?.sync_all()
}

/// The place that a path leads to, which need not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(next) => place = folder(&place).join(next),
            // It is no link, or not there.
            Err(_) => return Ok(place),
        }
    }
    Err(io::Error::other("too many links"))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that was left by a kill may have other permissions.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_nothing_is_left_of_one_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.backup");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"three").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_stays_one_and_a_pipe_is_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        for text in ["one", "two"] {
            replace(&at("link"), text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("real")).unwrap(), text);
            assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        }
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert!(replace(&at("loop"), b"x").is_err());
        replace(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
