//! The small files beside the history, written by a process of their own.
//!
//! A file system that hangs blocks its writer in the kernel, beyond the reach of signals; so the program does not write
//! them itself. The process is started with the first write, and ends with this one. It is sent a file at a time: while
//! one is late, further ones are refused.

use std::{
    collections::BTreeMap,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{
    backup_folder::{StoreBackup, StoredBackup, store_backup},
    beside::{read_beside, write_beside},
    data_dir,
    ipc::{self, BESIDE, HISTORY_WRITER, Message},
    messages::BesideRequest,
};

/// Timeout for sending: the process reads its input unless it is late.
const SEND: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// The files in the folder of a history.
#[derive(Debug)]
pub struct BesideFiles {
    folder: PathBuf,
    /// The program that writes; without one, this process does.
    program: Option<PathBuf>,
    process: Mutex<Option<Process>>,
    /// Files that could not be read, by the names under which they are kept.
    damaged: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    channel: UnixStream,
    /// True while the reply to an earlier write is waited for.
    is_late: bool,
}

impl BesideFiles {
    pub(super) fn new(folder: &Path, program: Option<&Path>) -> Self {
        Self {
            folder: folder.to_owned(),
            program: program.map(Path::to_owned),
            process: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    /// The files of a folder, written by this process.
    pub fn here(folder: &Path) -> Self {
        Self::new(folder, None)
    }

    /// The text of a file, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        read_beside(&self.folder, name)
    }

    /// The texts of all files that there are, and that can be read, by name. Blocks.
    ///
    /// # Errors
    /// If one is there and cannot be read.
    pub fn all(&self) -> io::Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        for name in data_dir::beside_names() {
            if let Some(text) = self.read(name)? {
                texts.insert(name.to_owned(), text);
            }
        }
        Ok(texts)
    }

    /// Keeps a file that cannot be read under another name, so that the next write does not replace it.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn keep_aside(&self, name: &str) -> io::Result<String> {
        let kept = format!("{name}.damaged");
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.push(kept.clone());
        std::fs::rename(self.folder.join(name), self.folder.join(&kept)).map(|()| kept)
    }

    /// The files that could not be read at this start, by the names under which they are kept.
    pub fn damaged(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.clone()
    }

    /// Files of the same folder, written by a process of their own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(&self.folder, self.program.as_deref())
    }

    /// Replaces a file by JSON. Blocks, where another process writes at most so long.
    ///
    /// # Errors
    /// If it is not known to be written: one that is late may be written all the same.
    pub fn write(&self, name: &str, json: &str, within: Duration) -> io::Result<()> {
        if self.program.is_none() {
            return write_beside(&self.folder, name, json);
        }
        let request = BesideRequest::Write {
            folder: self.folder.clone(),
            name: name.to_owned(),
            json: json.to_owned(),
        };
        self.call(&request, within)
    }

    /// Keeps a backup in a folder once it is verified. Blocks, where another process writes at most so long.
    ///
    /// # Errors
    /// If it is not known to be kept. Those that were there before are kept then.
    pub fn store_backup(&self, request: StoreBackup, within: Duration) -> io::Result<StoredBackup> {
        if self.program.is_none() {
            let stored = store_backup(&request);
            return stored.map_err(|error| io::Error::other(error.in_full()));
        }
        self.call(&BesideRequest::Backup(request), within)
    }

    /// Ends the process that writes, once it has written what it was sent; `false` if it still writes at the deadline. The
    /// next write starts another one.
    pub(super) fn settle(&self, deadline: Instant) -> bool {
        let mut place = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut process) = place.take() else {
            return true;
        };
        // Its end comes after all that was sent.
        drop(process.channel.shutdown(std::net::Shutdown::Write));
        while matches!(process.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    fn call<T: DeserializeOwned>(
        &self,
        request: &BesideRequest,
        within: Duration,
    ) -> io::Result<T> {
        let program = self.program.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let mut place = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let mut process = match place.take() {
            Some(process) => process,
            None => Process::start(program)?,
        };
        let reply = process.call(&Message::of(request), within);
        // Of one that is gone another is started with the next call.
        let is_gone = matches!(&reply, Err(error) if !is_refusal(error));
        if !is_gone || process.is_late {
            *place = Some(process);
        }
        reply
    }
}

/// True for an error that the process has replied with.
fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other
}

impl Process {
    fn start(program: &Path) -> io::Result<Self> {
        let (channel, end) = UnixStream::pair()?;
        channel.set_write_timeout(Some(SEND))?;
        // In its own process group: Ctrl-C in a terminal is for the proxy.
        let child = Command::new(program)
            .arg0("switchback")
            .args([HISTORY_WRITER, BESIDE])
            .stdin(OwnedFd::from(end))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            child,
            channel,
            is_late: false,
        })
    }

    fn call<T: DeserializeOwned>(&mut self, request: &Message, within: Duration) -> io::Result<T> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer in time");
        if self.is_late {
            if !ipc::is_readable(&self.channel, Duration::ZERO)? {
                return Err(late());
            }
            ipc::receive(&self.channel)?;
            self.is_late = false;
        }
        ipc::send(&self.channel, request)?;
        if !ipc::is_readable(&self.channel, within)? {
            self.is_late = true;
            return Err(late());
        }
        let reply = ipc::receive(&self.channel)?;
        ipc::decode::<Result<T, String>>(&reply)?.map_err(io::Error::other)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends by itself once it has written what it was sent; one that has ended leaves no zombie.
        drop(self.channel.shutdown(std::net::Shutdown::Both));
        drop(self.child.try_wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_writes_nothing_is_an_error_and_nothing_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let files = BesideFiles::new(folder.path(), Some(Path::new("/bin/true")));
        assert!(
            files
                .write("a.json", "[1]", Duration::from_secs(10))
                .is_err()
        );
        assert_eq!(files.read("a.json").unwrap(), None);
    }
}
