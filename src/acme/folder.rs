//! The folder of account and certificates: its lock, its rights, and writes that are whole or not there.
//!
//! Below the folder each directory (an authority's URL) has a folder of its own, so that nothing of a test directory is
//! ever taken for a certificate of the real one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

const LOCK: &str = "lock";
const ACCOUNT: &str = "account.json";
/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The folder of one directory.
#[derive(Debug)]
pub(super) struct AcmeFolder {
    lock: PathBuf,
    own: PathBuf,
}

/// The right to order certificates for a folder, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "it is held, and nothing else")] File);

impl AcmeFolder {
    /// Creates the folder if it is not there, and lets nobody else in.
    pub(super) fn open(path: &Path, directory: &str) -> io::Result<Self> {
        let own = path.join(name_of(directory));
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        fs::set_permissions(&own, Permissions::from_mode(0o700))?;
        Ok(Self {
            lock: path.join(LOCK),
            own,
        })
    }

    /// The path, for people.
    pub(super) fn path(&self) -> &Path {
        &self.own
    }

    /// Name of the directory's folder below the whole one.
    pub(super) fn name(&self) -> String {
        let name = self.own.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Takes the lock, unless another process has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<FolderLock>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(&self.lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The account at the directory, if there is one.
    pub(super) fn account(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.own.join(ACCOUNT))
    }

    pub(super) fn save_account(&self, account: &[u8]) -> io::Result<()> {
        self.write(ACCOUNT, account)
    }

    /// Keeps an account that the directory does not know, for whoever wants to look, and has none from then on.
    pub(super) fn set_account_aside(&self) -> io::Result<()> {
        let lost = self.own.join("account.lost.json");
        fs::rename(self.own.join(ACCOUNT), lost)
    }

    /// Key and chain of a domain, PEM, if there are any.
    pub(super) fn certificate(&self, domain: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.certificate_path(domain))
    }

    pub(super) fn save_certificate(&self, domain: &str, pem: &[u8]) -> io::Result<()> {
        self.write(&format!("{domain}.pem"), pem)
    }

    /// Time of the last write of a certificate.
    pub(super) fn modified(&self, domain: &str) -> Option<SystemTime> {
        let found = fs::metadata(self.certificate_path(domain)).ok()?;
        found.modified().ok()
    }

    fn certificate_path(&self, domain: &str) -> PathBuf {
        self.own.join(format!("{domain}.pem"))
    }

    /// Writes a file beside its place and puts it there: a reader, and a process after a crash, finds the old or the new.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let beside = self.own.join(format!(".{name}.new"));
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, self.own.join(name))?;
        File::open(&self.own)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if found.len() > LARGEST => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Name of a directory's folder: its URL without the scheme, each other character as `-`.
fn name_of(directory: &str) -> String {
    let bare = directory.strip_prefix("https://").unwrap_or(directory);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    bare.trim_end_matches('/')
        .chars()
        .map(plain)
        .take(128)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: &str = "https://acme.example:14000/dir";

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let acme = AcmeFolder::open(&path, DIRECTORY).unwrap();
        acme.save_account(b"{}").unwrap();
        acme.save_certificate("a.test", b"pem").unwrap();
        let _lock = acme.try_lock().unwrap().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let own = path.join("acme.example-14000-dir");
        assert_eq!([mode(&path), mode(&own)], [0o700; 2]);
        for file in [
            path.join("lock"),
            own.join("account.json"),
            own.join("a.test.pem"),
        ] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        assert_eq!(
            fs::read_dir(&own).unwrap().count(),
            2,
            "nothing is left beside them"
        );
    }

    #[test]
    fn one_lock_is_held_at_a_time_whatever_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let one = AcmeFolder::open(folder.path(), DIRECTORY).unwrap();
        let other = AcmeFolder::open(folder.path(), "https://other.example").unwrap();
        let lock = one.try_lock().unwrap();
        assert!(lock.is_some() && other.try_lock().unwrap().is_none());
        drop(lock);
        assert!(other.try_lock().unwrap().is_some());
    }

    #[test]
    fn each_directory_has_what_it_gave_and_a_lost_account_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let one = AcmeFolder::open(folder.path(), DIRECTORY).unwrap();
        one.save_certificate("a.test", b"one").unwrap();
        one.save_certificate("a.test", b"two").unwrap();
        one.save_account(b"{}").unwrap();
        assert_eq!(one.certificate("a.test").unwrap().unwrap(), b"two");
        assert!(one.modified("a.test").is_some() && one.modified("b.test").is_none());
        let other = AcmeFolder::open(folder.path(), "https://other.example").unwrap();
        assert_eq!(other.certificate("a.test").unwrap(), None);
        one.set_account_aside().unwrap();
        assert_eq!(one.account().unwrap(), None);
    }
}
