//! Writer process: a small process that writes the history's disk, and does nothing else.
//!
//! A file system that hangs blocks its writer in the kernel, beyond the reach of signals; so the proxy does not write.
//! Two channels come in, on standard input for the store and on standard output for the rollback journal, each with
//! its own thread. When the peer closes, the process finishes what was sent and ends. It holds the lock on the folder
//! until then, so that a start never opens a store that an earlier process still writes. Termination signals are for
//! the proxy; this process outlives it until the remaining writes are done.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread,
};

use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    backup_folder::store_backup,
    batch::Batch,
    beside::write_beside,
    data_dir,
    error::{HistoryError, WriteError},
    guarded,
    ipc::{self, Message},
    messages::{BesideRequest, JournalContents, JournalRequest, StoreRequest},
    record, replacement,
    rollback_journal::JournalFile,
    store::Store,
};

/// Folder that both channels work on, once set.
type Place = Arc<OnceLock<PathBuf>>;

/// Serves both channels until the proxy is gone and all that it sent is written.
///
/// # Errors
/// If the process was not started as a writer process, or cannot start a thread.
pub fn run_writer_process() -> io::Result<()> {
    ignore_signals()?;
    guarded::quiet();
    let (store, slots) = (
        lane_of(io::stdin().as_fd())?,
        lane_of(io::stdout().as_fd())?,
    );
    let place = Place::default();
    let mut journal_handler = JournalHandler {
        place: Arc::clone(&place),
        file: None,
    };
    let slots = thread::Builder::new()
        .name("slots".to_owned())
        .spawn(move || serve(&slots, |ask| Ok(journal_handler.answer(ask))))?;
    let mut store_desk = StoreHandler {
        place,
        lock: None,
        store: None,
    };
    serve(&store, |ask| store_desk.answer(ask));
    drop(store_desk.store.take());
    slots
        .join()
        .map_err(|_| io::Error::other("the journal thread panicked"))
}

/// Writes the files beside a history until the proxy is gone and all that it sent is written.
///
/// # Errors
/// If the process was not started for that.
pub fn run_beside_process() -> io::Result<()> {
    ignore_signals()?;
    guarded::quiet();
    let channel = lane_of(io::stdin().as_fd())?;
    serve(&channel, |ask: BesideRequest| {
        Ok(match ask {
            BesideRequest::Write { folder, name, json } => {
                Message::of(&worded(write_beside(&folder, &name, &json)))
            }
            BesideRequest::Backup(request) => {
                let stored = store_backup(&request);
                Message::of(&stored.map_err(|error| error.in_full()))
            }
        })
    });
    Ok(())
}

/// Installs handlers that do nothing. The first one stays for the life of the process.
fn ignore_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _entered = runtime.enter();
    for kind in [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::user_defined2(),
    ] {
        drop(signal(kind)?);
    }
    Ok(())
}

fn lane_of(stream: BorrowedFd<'_>) -> io::Result<UnixStream> {
    let channel = UnixStream::from(stream.try_clone_to_owned()?);
    channel.peer_addr()?;
    Ok(channel)
}

fn serve<A: DeserializeOwned>(
    channel: &UnixStream,
    mut answer: impl FnMut(A) -> io::Result<Message>,
) {
    while let Ok(message) = ipc::receive(channel) {
        let Ok(said) = ipc::decode(&message).and_then(&mut answer) else {
            return;
        };
        // The caller may be gone. The remaining messages are processed all the same.
        drop(ipc::send(channel, &said));
    }
}

fn no_folder() -> io::Error {
    io::Error::other("nothing is written before the folder is locked")
}

struct StoreHandler {
    place: Place,
    lock: Option<File>,
    store: Option<Store>,
}

impl StoreHandler {
    fn answer(&mut self, ask: StoreRequest) -> io::Result<Message> {
        Ok(match ask {
            StoreRequest::Lock { folder, owner } => Message::of(&self.take_lock(folder, owner)),
            StoreRequest::Open => Message::of(&self.open()?.and_then(Store::read)),
            StoreRequest::Write(batch) => Message::of(&self.write(&batch)?),
            StoreRequest::Last => {
                let last = self.store.as_ref().map(Store::last);
                Message::of(&last.unwrap_or_default())
            }
        })
    }

    fn take_lock(&mut self, folder: PathBuf, owner: u32) -> Result<(), HistoryError> {
        data_dir::make(&folder)?;
        self.lock = Some(data_dir::lock(&folder, owner)?);
        replacement::go_on(&folder)?;
        // The folder is set once.
        let _first = self.place.set(folder);
        Ok(())
    }

    fn open(&mut self) -> io::Result<Result<&Store, HistoryError>> {
        let folder = self.place.get().ok_or_else(no_folder)?;
        if self.store.is_none() {
            match Store::open_first(folder) {
                Ok(store) => self.store = Some(store),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(self.store.as_ref().expect("opened above")))
    }

    fn write(&mut self, batch: &Batch) -> io::Result<Result<(), WriteError>> {
        let written = match self.open()? {
            Ok(store) => store.write(batch, || Ok(())),
            Err(error) => Err(WriteError {
                reason: error.to_string(),
                begun: false,
                gone: false,
            }),
        };
        if written.is_err() {
            // After an error the database rejects all calls, so it is reopened.
            self.store = None;
        }
        Ok(written)
    }
}

struct JournalHandler {
    place: Place,
    file: Option<JournalFile>,
}

impl JournalHandler {
    fn answer(&mut self, ask: JournalRequest) -> Message {
        match ask {
            JournalRequest::Open => Message::of(&worded(self.file().map(|file| contents(file)))),
            JournalRequest::Write { stored, write } => {
                let file = self.file();
                Message::of(&worded(
                    file.and_then(|file| file.write(&write, stored, None)),
                ))
            }
        }
    }

    fn file(&mut self) -> io::Result<&mut JournalFile> {
        let folder = self.place.get().ok_or_else(no_folder)?;
        if self.file.is_none() {
            self.file = Some(JournalFile::open(folder)?);
        }
        Ok(self.file.as_mut().expect("opened above"))
    }
}

fn contents(file: &JournalFile) -> JournalContents {
    JournalContents {
        reserved: file.reserved(),
        entries: file
            .read()
            .iter()
            .map(|entry| record::encode(entry).into())
            .collect(),
    }
}

fn worded<T>(done: io::Result<T>) -> Result<T, String> {
    done.map_err(|error| error.to_string())
}
