//! Socket activation: sockets that a supervisor has bound, by systemd's protocol (`LISTEN_FDS`).

use std::{env, io, net::SocketAddr};

use listenfd::ListenFd;

use super::inherited::{Inherited, ListenerSockets, Section};
use crate::net::adopt_listener;

/// Error of a socket that was inherited.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// It is not a listening TCP socket.
    #[error("the inherited socket {number} (`{name}`) cannot be used")]
    Unusable {
        /// Its number, from 0.
        number: usize,
        /// Its name in `LISTEN_FDNAMES`.
        name: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// No listener of the configuration has its address.
    #[error(
        "no listener of the configuration has the address of the inherited socket {address}\n  hint: set `address` of a \
         listener, or of [admin], [observe], [feedback] or [ofrep], to it, or leave it out of the `.socket` unit"
    )]
    Unknown {
        /// Its address.
        address: SocketAddr,
    },
}

/// Takes the sockets that were inherited, if there are any. Called before there is a second thread: it changes the
/// environment, so that no other process takes them for its own.
///
/// # Errors
/// If one is no listening TCP socket.
pub fn inherited_sockets() -> Result<Inherited, ActivationError> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut given = ListenFd::from_env();
    let taken = (0..given.len()).map(|number| {
        let name = names.get(number).copied().unwrap_or_default();
        taken(&mut given, number, name).map_err(|source| ActivationError::Unusable {
            number,
            name: name.to_owned(),
            source,
        })
    });
    let sockets: Result<Vec<_>, _> = taken.collect();
    Ok(Inherited::new(sockets?))
}

fn taken(given: &mut ListenFd, number: usize, name: &str) -> io::Result<ListenerSockets> {
    let socket = given.take_tcp_listener(number)?;
    let socket = socket.ok_or(io::ErrorKind::NotFound)?;
    adopt_listener(&socket)?;
    let address = socket.local_addr()?;
    Ok(ListenerSockets {
        section: section(name),
        configured: address,
        address,
        sockets: vec![socket],
        tickets: Vec::new(),
    })
}

/// The section that a name stands for; any other name says nothing, and the address decides.
fn section(name: &str) -> Option<Section> {
    match name {
        "admin" => Some(Section::Admin),
        "feedback" => Some(Section::Feedback),
        "listeners" => Some(Section::Listeners),
        "observe" => Some(Section::Observe),
        "ofrep" => Some(Section::Ofrep),
        _ => None,
    }
}

/// Checks that each socket has a listener.
pub(super) fn all_taken(inherited: &Inherited) -> Result<(), ActivationError> {
    match inherited.left().first() {
        None => Ok(()),
        Some(&address) => Err(ActivationError::Unknown { address }),
    }
}
