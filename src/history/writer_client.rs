//! Client of the writer process: starts the process that writes the history's disk, and calls it over two channels.
//!
//! A call that cannot be sent was not executed; one that was sent and got no reply may have been. The
//! store's thread restarts a writer process that is gone, and retries until it can write; the journal's
//! thread waits a moment for that.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{
    batch::Batch,
    call::{Ahead, Channel, End, NoReply, nothing_ahead},
    error::{HistoryError, WriteError},
    ipc::{self, HISTORY_WRITER, Message},
    messages::{JournalContents, JournalRequest, StoreRequest},
    record::{self, Entry},
    rollback_journal::JournalWrite,
};
use crate::model::Revision;
use bytes::Bytes;

/// Timeout for replies at a start: the lock may take seconds, and a large store some more.
const START: Duration = Duration::from_secs(15);
/// Timeout for sending. A writer process reads its input unless it is busy, and then nothing is sent.
const SEND: Duration = Duration::from_secs(2);
/// Time that the journal waits for a restart of the writer process.
const AGAIN: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

/// Client of a writer process, which is restarted as often as needed.
#[derive(Debug)]
pub(super) struct WriterClient {
    folder: PathBuf,
    program: PathBuf,
    process: Mutex<Option<Child>>,
    // No writer process is started once the last one was left alone.
    left: AtomicBool,
    store: Channel,
    slots: Channel,
}

impl WriterClient {
    /// Starts a writer process for a folder, and returns once it holds the lock.
    pub(super) fn start(folder: &Path, program: &Path) -> Result<Self, HistoryError> {
        let client = Self {
            folder: folder.to_owned(),
            program: program.to_owned(),
            process: Mutex::default(),
            left: AtomicBool::new(false),
            store: Channel::default(),
            slots: Channel::default(),
        };
        client.launch(Some(START))?;
        Ok(client)
    }

    /// Starts another writer process if this one is gone.
    pub(super) fn start_again(&self) -> Result<(), HistoryError> {
        if self.store.is_open() {
            return Ok(());
        }
        if self.left.load(Ordering::Relaxed) {
            let source = io::Error::other("the process is shutting down");
            let path = self.folder.clone();
            return Err(HistoryError::Writer { path, source });
        }
        tracing::warn!(folder = %self.folder.display(), "the history writer process has ended; another one is started");
        self.shutdown(Instant::now() + AGAIN);
        self.launch(None)
    }

    fn launch(&self, limit: Option<Duration>) -> Result<(), HistoryError> {
        let slots = self.spawn().map_err(|source| HistoryError::Writer {
            path: self.folder.clone(),
            source,
        })?;
        self.store.wait_at_most(limit);
        self.call_at_start::<()>(&StoreRequest::Lock {
            folder: self.folder.clone(),
            owner: std::process::id(),
        })?;
        self.slots.set(slots);
        Ok(())
    }

    /// Starts the process. The journal's channel is opened later, when the process holds the lock.
    fn spawn(&self) -> io::Result<UnixStream> {
        let (store, stores_end) = UnixStream::pair()?;
        let (slots, slots_end) = UnixStream::pair()?;
        store.set_write_timeout(Some(SEND))?;
        slots.set_write_timeout(Some(SEND))?;
        // In its own process group: Ctrl-C in a terminal is for the proxy.
        let child = Command::new(&self.program)
            .arg0("switchback")
            .arg(HISTORY_WRITER)
            .stdin(OwnedFd::from(stores_end))
            .stdout(OwnedFd::from(slots_end))
            .process_group(0)
            .spawn()?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        self.store.set(store);
        Ok(slots)
    }

    fn call_at_start<T: DeserializeOwned>(&self, ask: &StoreRequest) -> Result<T, HistoryError> {
        let answer = self
            .store
            .call(&Message::of(ask), &mut nothing_ahead)
            .map_err(|error| self.unanswered(error))?;
        self.store.wait_at_most(None);
        let unreadable = |source| HistoryError::Writer {
            path: self.folder.clone(),
            source,
        };
        ipc::decode::<Result<T, _>>(&answer).map_err(unreadable)?
    }

    fn unanswered(&self, error: NoReply) -> HistoryError {
        let (NoReply::Lost(source) | NoReply::NotSent(source)) = error;
        let path = self.folder.clone();
        match source.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => HistoryError::NotWritable {
                path,
                reason: "its disk does not respond".to_owned(),
            },
            _ => HistoryError::Writer { path, source },
        }
    }

    /// Opens the store and reads it.
    pub(super) fn read_store(&self) -> Result<Batch, HistoryError> {
        self.store.wait_at_most(Some(START));
        self.call_at_start(&StoreRequest::Open)
    }

    /// Writes a batch. While that takes long, the batches of `ahead` are sent after it.
    pub(super) fn write_store(
        &self,
        batch: &Batch,
        mut ahead: impl FnMut(&mut dyn FnMut(&Batch) -> bool),
    ) -> Result<(), WriteError> {
        let answer = self.store.call(&write_message(batch), &mut |send| {
            ahead(&mut |batch| send(&write_message(batch)));
        });
        let answer = answer.map_err(|error| match error {
            NoReply::Lost(error) => WriteError {
                reason: format!("the writer process has ended ({error})"),
                begun: true,
                gone: true,
            },
            NoReply::NotSent(error) => WriteError {
                reason: format!("the writer process has ended ({error})"),
                begun: false,
                gone: true,
            },
        })?;
        ipc::decode(&answer).unwrap_or_else(|error| {
            Err(WriteError {
                reason: error.to_string(),
                begun: true,
                gone: false,
            })
        })
    }

    pub(super) fn last_stored(&self) -> Revision {
        let ask = Message::of(&StoreRequest::<Batch>::Last);
        let answer = self.store.call(&ask, &mut nothing_ahead).ok();
        let last = answer.and_then(|answer| ipc::decode(&answer).ok());
        last.unwrap_or_default()
    }

    /// Opens the journal and reads its records and the upper end of the reserved numbers.
    pub(super) fn read_journal(&self) -> io::Result<(Vec<Entry>, u64)> {
        self.slots.wait_at_most(Some(START));
        let ask = Message::of(&JournalRequest::<JournalWrite>::Open);
        let contents: JournalContents = self.call_journal(&ask, &mut nothing_ahead)?;
        self.slots.wait_at_most(None);
        let decode = |bytes: Bytes| record::decode(&bytes);
        let entries: Result<_, _> = contents.entries.into_iter().map(decode).collect();
        let entries = entries.map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok((entries, contents.reserved))
    }

    /// Writes a journal entry. While that takes long, the entries of `ahead` are sent after it.
    pub(super) fn write_journal(
        &self,
        write: &JournalWrite,
        stored: Revision,
        mut ahead: impl FnMut(&mut dyn FnMut(&JournalWrite) -> bool),
    ) -> io::Result<()> {
        self.slots.wait_open(AGAIN);
        let ask = |write: &JournalWrite| Message::of(&JournalRequest::Write { stored, write });
        self.call_journal(&ask(write), &mut |send| {
            ahead(&mut |write| send(&ask(write)));
        })
    }

    fn call_journal<T: DeserializeOwned>(&self, ask: &Message, ahead: Ahead<'_>) -> io::Result<T> {
        let answer = self.slots.call(ask, ahead);
        let answer = answer.map_err(|(NoReply::Lost(error) | NoReply::NotSent(error))| error)?;
        ipc::decode::<Result<T, String>>(&answer)?.map_err(io::Error::other)
    }

    /// Sends batches without waiting for replies, and leaves the writer process to write them.
    pub(super) fn transfer(&self, batches: &[Batch]) -> bool {
        self.left.store(true, Ordering::Relaxed);
        let place = self.store.end();
        let Some(End { stream, .. }) = place.as_ref() else {
            return false;
        };
        let mut messages = batches.iter().map(write_message);
        let sent = messages.all(|message| ipc::send(stream, &message).is_ok());
        drop(place);
        self.store.close();
        sent
    }

    /// Ends the writer process, so that another proxy can take the lock; `false` if it still writes at the deadline.
    pub(super) fn release(&self, deadline: Instant) -> bool {
        self.left.store(true, Ordering::Relaxed);
        self.shutdown(deadline)
    }

    /// Starts a writer process again after [`WriterClient::release`].
    pub(super) fn retake(&self) -> Result<(), HistoryError> {
        self.left.store(false, Ordering::Relaxed);
        if self.store.is_open() {
            return Ok(());
        }
        self.launch(Some(START))
    }

    /// Closes the channels, and waits for the process until the deadline; one that hangs in its disk is abandoned.
    pub(super) fn shutdown(&self, deadline: Instant) -> bool {
        drop((self.store.close(), self.slots.close()));
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = process.as_mut() else {
            return true;
        };
        let mut has_ended = true;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                tracing::warn!(
                    process = child.id(),
                    "the history writer process is still writing; it ends by itself"
                );
                has_ended = false;
                break;
            }
            std::thread::sleep(PAUSE);
        }
        *process = None;
        has_ended
    }
}

impl Drop for WriterClient {
    fn drop(&mut self) {
        self.shutdown(Instant::now() + AGAIN);
    }
}

fn write_message(batch: &Batch) -> Message {
    Message::of(&StoreRequest::Write(batch))
}
