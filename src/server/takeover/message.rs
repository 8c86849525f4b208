//! Messages of a takeover. Both processes may be of different versions: the first message has the number of the protocol.

use std::{net::SocketAddr, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

use super::super::inherited::Section;
use crate::{
    control::FollowedTable,
    model::{ReleaseName, TableDocument, Version},
    net::TicketKey,
};

/// Number of the protocol. Another one is refused.
pub(super) const PROTOCOL: u32 = 2;

/// Messages of the new process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromNew {
    /// The first message.
    Hello {
        protocol: u32,
        version: String,
        history: FolderId,
    },
    /// It is still at it: sent again and again from the offer on, until it is prepared.
    Preparing,
    /// Its configuration, certificates and table are fine, and the first checks are answered.
    Prepared,
    /// It has the history, and has changed nothing in it.
    Opened,
    /// It serves from now on. What it does next is not taken back any more.
    Serving,
    /// A table that it made live.
    Live(Box<FollowedTable>),
}

/// Messages of the running process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromOld {
    /// There is no takeover.
    Refused { reason: String },
    /// Some sockets of a listener, which come with it.
    Sockets {
        section: Section,
        configured: SocketAddr,
        address: SocketAddr,
        tickets: Vec<TicketKey>,
    },
    /// All sockets were sent; the live table.
    Offer {
        version: String,
        table: Box<TableDocument>,
    },
    /// The history is free; changes have been waiting for so long.
    Free { waited_ms: u64 },
    /// The new process is to serve.
    Commit,
    /// Requests that are still in flight, by release.
    InFlight(Vec<(ReleaseName, Version, u64)>),
}

/// Identity of the folder of a history, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FolderId {
    device: u64,
    inode: u64,
}

impl FolderId {
    /// The identity of a folder; `None` if it cannot be read.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(folder).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}
