//! The new process: it asks the running one for its sockets, and then for its history.

use std::{
    collections::BTreeMap, io, net::TcpListener, os::unix::net::UnixStream, path::Path,
    time::Duration,
};

use super::{
    channel::Channel,
    entrance::short_path,
    error::TakeoverError,
    link::Predecessor,
    message::{FolderId, FromNew, FromOld, PROTOCOL},
};
use crate::{
    history::TAKEOVER_SOCKET,
    model::TableDocument,
    server::inherited::{Inherited, ListenerSockets, Section},
};

/// Timeout for an answer of the running process, which may be busy with another takeover.
const ANSWER: Duration = Duration::from_secs(30);

/// The answer of the running process.
pub(in crate::server) struct Asked {
    pub(in crate::server) predecessor: Predecessor,
    pub(in crate::server) inherited: Inherited,
    pub(in crate::server) table: TableDocument,
    /// Version of the running process.
    pub(in crate::server) version: String,
}

/// Asks the process that has the history of this folder.
///
/// # Errors
/// If there is none, or it refuses.
pub(in crate::server) fn ask(folder: &Path) -> Result<Asked, TakeoverError> {
    let predecessor = Predecessor::new(connect(folder)?);
    let broken = broken_off("the sockets were sent");
    let history = FolderId::of(folder).ok_or_else(|| broken(io::ErrorKind::NotFound.into()))?;
    let hello = FromNew::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        history,
    };
    predecessor.channel().send(&hello).map_err(&broken)?;
    let mut listeners = BTreeMap::new();
    loop {
        let (message, descriptors) = predecessor
            .channel()
            .receive(Some(ANSWER))
            .map_err(&broken)?;
        match message {
            FromOld::Sockets {
                section,
                configured,
                address,
                tickets,
            } => {
                let held = ListenerSockets {
                    section: Some(section),
                    configured,
                    address,
                    sockets: Vec::new(),
                    tickets,
                };
                let key = (key(section), address);
                let held: &mut ListenerSockets = listeners.entry(key).or_insert(held);
                held.sockets
                    .extend(descriptors.into_iter().map(TcpListener::from));
            }
            FromOld::Offer { version, table } => {
                return Ok(Asked {
                    predecessor,
                    inherited: Inherited::new(listeners.into_values().collect()),
                    table: *table,
                    version,
                });
            }
            other => return Err(unexpected(other, "the sockets were sent")),
        }
    }
}

impl Predecessor {
    /// Tells that this process is prepared, and waits for the history. Returns the time that changes have waited by then.
    pub(in crate::server) fn wait_for_history(&self) -> Result<Duration, TakeoverError> {
        let during = "the history was given up";
        match self.exchange(&FromNew::Prepared, during)? {
            FromOld::Free { waited_ms } => Ok(Duration::from_millis(waited_ms)),
            other => Err(unexpected(other, during)),
        }
    }

    /// Tells that this process has the history, and waits for the word to serve.
    pub(in crate::server) fn wait_for_commit(&self) -> Result<(), TakeoverError> {
        let during = "the history was open";
        match self.exchange(&FromNew::Opened, during)? {
            FromOld::Commit => Ok(()),
            other => Err(unexpected(other, during)),
        }
    }

    /// Tells that this process serves from now on.
    pub(in crate::server) fn serve(&self) -> Result<(), TakeoverError> {
        let told = self.channel().send(&FromNew::Serving);
        told.map_err(broken_off("this process began to serve"))
    }

    fn exchange(&self, message: &FromNew, during: &'static str) -> Result<FromOld, TakeoverError> {
        let broken = broken_off(during);
        self.channel().send(message).map_err(&broken)?;
        let (answer, _) = self.channel().receive(Some(ANSWER)).map_err(&broken)?;
        Ok(answer)
    }
}

fn connect(folder: &Path) -> Result<Channel, TakeoverError> {
    let nobody = |source| TakeoverError::NobodyThere {
        path: folder.join(TAKEOVER_SOCKET),
        source,
    };
    let handle = std::fs::File::open(folder).map_err(nobody)?;
    let stream = UnixStream::connect(short_path(&handle).join(TAKEOVER_SOCKET)).map_err(nobody)?;
    Channel::new(stream).map_err(nobody)
}

/// A place in the order of the sections.
fn key(section: Section) -> u8 {
    section as u8
}

fn broken_off(during: &'static str) -> impl Fn(io::Error) -> TakeoverError {
    move |source| TakeoverError::BrokenOff { during, source }
}

fn unexpected(message: FromOld, during: &'static str) -> TakeoverError {
    match message {
        FromOld::Refused { reason } => TakeoverError::Refused(reason),
        _ => TakeoverError::BrokenOff {
            during,
            source: io::ErrorKind::InvalidData.into(),
        },
    }
}
