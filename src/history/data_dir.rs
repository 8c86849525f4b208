//! Data directory of a history: its files, permissions and process lock.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::Path,
    time::{Duration, Instant},
};

use super::error::HistoryError;

/// File name of the store.
pub(super) const STORE: &str = "history.redb";
/// File name of the rollback journal.
pub(super) const SLOT_FILE: &str = "rollback.slot";
/// The high-water mark.
pub(super) const MARK: &str = "history.mark";

const LOCK: &str = "lock";
/// File name of the key for session ids, which the server keeps in the folder of the history.
pub const SEAL_KEY: &str = "seal.key";
/// The same for the keys that the nodes of a fleet share.
pub const FLEET_SEAL_KEYS: &str = "seal.fleet.json";
/// Files that the control plane keeps here, each with its name until it is durable, and where it could not be read.
const BESIDE: [&str; 15] = [
    "calibration.json",
    "calibration.json.damaged",
    "calibration.json.new",
    "drills.json",
    "drills.json.damaged",
    "drills.json.new",
    "quarantine.json",
    "quarantine.json.damaged",
    "quarantine.json.new",
    "rollouts.json",
    "rollouts.json.damaged",
    "rollouts.json.new",
    "verifications.json",
    "verifications.json.damaged",
    "verifications.json.new",
];
/// Folder of a history that is being restored.
pub(super) const RESTORE_NEW: &str = "restore.new";
/// The same once it is to replace the present one, whose files are put aside.
pub(super) const RESTORE_READY: &str = "restore.ready";
/// The same once its files are moved to their places.
pub(super) const RESTORE_MOVING: &str = "restore.moving";
/// Folder of the history that was replaced last.
pub(super) const BEFORE_RESTORE: &str = "before-restore";
/// File name of the socket at which a new process takes over.
pub const TAKEOVER_SOCKET: &str = "takeover.sock";
/// The same before it has its name.
pub const TAKEOVER_SOCKET_NEW: &str = "takeover.sock.new";
const FILES: [&str; 12] = [
    STORE,
    SLOT_FILE,
    MARK,
    LOCK,
    SEAL_KEY,
    FLEET_SEAL_KEYS,
    RESTORE_NEW,
    RESTORE_READY,
    RESTORE_MOVING,
    BEFORE_RESTORE,
    TAKEOVER_SOCKET,
    TAKEOVER_SOCKET_NEW,
];

/// Names of the files that the control plane keeps beside the history.
pub(super) fn beside_names() -> impl Iterator<Item = &'static str> {
    BESIDE.into_iter().filter(|name| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|extension| extension == "json")
    })
}

/// Names of all files that a restored history replaces.
pub(super) fn replaced_names() -> impl Iterator<Item = &'static str> {
    [STORE, SLOT_FILE, MARK].into_iter().chain(BESIDE)
}

/// Time that a start waits for the lock of a living process, which may be about to end.
const HANDOVER: Duration = Duration::from_secs(1);
/// Time that a start waits if that process has ended and only its writer process still writes.
const AFTER_A_KILL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Creates the folder, readable by its owner only, and makes its name durable.
pub(super) fn make(path: &Path) -> Result<(), HistoryError> {
    let unreadable = |source| HistoryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return narrow_folder(path).map_err(unreadable);
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(unreadable)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new("."))).map_err(unreadable)
}

/// Creates a folder for its owner only, if there is none.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// Restricts the folder of an earlier version to its owner. A folder with other content is left alone: its files are
/// private, and other users may need access to the rest.
fn narrow_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !FILES.iter().chain(&BESIDE).any(|file| name == *file) {
            return Ok(());
        }
    }
    narrow(path, &File::open(path)?)
}

/// Removes the permissions of others from a file or folder, and logs it.
fn narrow(path: &Path, file: &File) -> io::Result<()> {
    const OTHERS: u32 = 0o077;
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS == 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(mode & !OTHERS))?;
    tracing::warn!(
        path = %path.display(), before = format!("{mode:o}"), now = format!("{:o}", mode & !OTHERS),
        "the history was accessible to other users of this machine; now only its owner has access"
    );
    Ok(())
}

/// Opens a file for its owner only; created if there is none.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = options.open(path)?;
    narrow(path, &file)?;
    Ok(file)
}

/// Files of an earlier history that exist and are not empty.
pub(super) fn traces(folder: &Path) -> Vec<&'static str> {
    let is_there =
        |name: &&str| fs::metadata(folder.join(name)).is_ok_and(|metadata| metadata.len() > 0);
    [SLOT_FILE, MARK].into_iter().filter(is_there).collect()
}

/// Makes the names in a folder durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Takes the lock for a process. It is held until the file is closed.
pub(super) fn lock(path: &Path, owner: u32) -> Result<File, HistoryError> {
    let file = path.join(LOCK);
    let unreadable = |source| HistoryError::Unreadable {
        path: file.clone(),
        source,
    };
    let mut lock = open_private(&file).map_err(unreadable)?;
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(unreadable(source)),
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut lock);
                if begin.elapsed() >= patience(holder, owner) {
                    return Err(held(path, holder));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
    // Used only for the message; on a full disk the lock holds without it.
    let noted = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "process {owner}"));
    drop(noted);
    Ok(lock)
}

/// Process id that the holder of the lock has noted.
fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(64).read_to_string(&mut text).ok()?;
    text.trim().strip_prefix("process ")?.parse().ok()
}

/// Timeout for the lock. A holder with our own process id is an earlier process: in a container
/// every start has the same id.
fn patience(holder: Option<u32>, owner: u32) -> Duration {
    let before_us = |holder: &u32| *holder == owner && owner != std::process::id();
    match holder.filter(|holder| !before_us(holder)) {
        Some(holder) if is_alive(holder) => HANDOVER,
        _ => AFTER_A_KILL,
    }
}

fn is_alive(process: u32) -> bool {
    let process = i32::try_from(process).ok();
    let process = process.and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|process| {
        rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH)
    })
}

fn held(path: &Path, holder: Option<u32>) -> HistoryError {
    let path = path.to_owned();
    match holder {
        Some(ended) if !is_alive(ended) => HistoryError::StillWritten { path, ended },
        _ => HistoryError::Held {
            path,
            pid: holder.map(|holder| format!("process {holder}")),
        },
    }
}
