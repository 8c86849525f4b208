//! Listening sockets of a process, by the part of the configuration that has their address: those that it holds, and
//! those that another process has bound for it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use serde::{Deserialize, Serialize};

use crate::net::TicketKey;

/// The section of the configuration that has the address of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Section {
    /// `[admin]`
    Admin,
    /// `[feedback]`
    Feedback,
    /// `[[listeners]]`
    Listeners,
    /// `[observe]`
    Observe,
    /// `[ofrep]`
    Ofrep,
}

/// The sockets of one listener.
#[derive(Debug)]
pub(super) struct ListenerSockets {
    /// Its section; `None` if whoever has bound it did not say.
    pub(super) section: Option<Section>,
    /// The address in the configuration, where the port may be 0.
    pub(super) configured: SocketAddr,
    /// The address that is bound.
    pub(super) address: SocketAddr,
    /// One for each worker of the process that has bound them, or one for all.
    pub(super) sockets: Vec<TcpListener>,
    /// Keys of the session tickets that a process handed out there.
    pub(super) tickets: Vec<TicketKey>,
}

/// The sockets that another process has bound for this one.
#[derive(Debug, Default)]
pub struct Inherited(Vec<ListenerSockets>);

impl ListenerSockets {
    /// The same sockets once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let sockets: io::Result<_> = self.sockets.iter().map(TcpListener::try_clone).collect();
        Ok(Self {
            sockets: sockets?,
            tickets: self.tickets.clone(),
            ..*self
        })
    }

    /// The sockets of each of so many workers: every socket has one, and every worker has one.
    pub(super) fn shared_out(&self, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
        let count = self.sockets.len();
        let of_worker = |slot: usize| {
            let mut own: Vec<usize> = (slot..count).step_by(workers.max(1)).collect();
            if own.is_empty() && count > 0 {
                own.push(slot % count);
            }
            own.into_iter()
                .map(|place| self.sockets[place].try_clone())
                .collect()
        };
        (0..workers).map(of_worker).collect()
    }
}

impl Inherited {
    pub(super) fn new(listeners: Vec<ListenerSockets>) -> Self {
        Self(listeners)
    }

    /// Takes the sockets of a listener: those of its section, or else of no section, with its address.
    pub(super) fn take(
        &mut self,
        section: Section,
        address: SocketAddr,
    ) -> Option<ListenerSockets> {
        let find = |section: Option<Section>| {
            self.0
                .iter()
                .position(|one| one.section == section && one.configured == address)
        };
        let place = find(Some(section)).or_else(|| find(None))?;
        Some(self.0.remove(place))
    }

    /// Addresses of the sockets that no listener has taken.
    pub(super) fn left(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|one| one.address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(section: Option<Section>, count: usize) -> ListenerSockets {
        let configured = "127.0.0.1:0".parse().unwrap();
        let sockets: Vec<_> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        ListenerSockets {
            section,
            configured,
            address: sockets[0].local_addr().unwrap(),
            sockets,
            tickets: Vec::new(),
        }
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for (sockets, workers, expected) in [
            (2, 2, vec![1, 1]),
            (4, 2, vec![2, 2]),
            (3, 2, vec![2, 1]),
            (1, 3, vec![1, 1, 1]),
            (2, 3, vec![1, 1, 1]),
        ] {
            let held = bound(None, sockets);
            let shared = held.shared_out(workers).unwrap();
            let counts: Vec<_> = shared.iter().map(Vec::len).collect();
            assert_eq!(counts, expected, "{sockets} sockets, {workers} workers");
            for socket in &held.sockets {
                let address = socket.local_addr().unwrap();
                let has = |one: &TcpListener| one.local_addr().unwrap() == address;
                assert!(shared.iter().flatten().any(has));
            }
        }
    }

    #[test]
    fn a_listener_gets_the_sockets_of_its_section_and_address() {
        let (admin, any) = (bound(Some(Section::Admin), 1), bound(None, 1));
        let (of_admin, of_any, configured) = (admin.address, any.address, any.configured);
        let mut inherited = Inherited::new(vec![admin, any]);
        assert_eq!(inherited.left(), [of_admin, of_any]);
        let taken = inherited.take(Section::Listeners, configured).unwrap();
        assert_eq!(taken.address, of_any);
        assert!(inherited.take(Section::Listeners, configured).is_none());
        let taken = inherited.take(Section::Admin, configured).unwrap();
        assert_eq!(taken.address, of_admin);
        assert!(inherited.left().is_empty());
    }
}
