//! Settings of a client.

use std::{fmt, time::Duration};

use crate::{model::HookUrl, net::ClientTlsSettings};

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// URLs of the members, each with the scheme, the host and the port for clients.
    pub members: Vec<HookUrl>,
    /// TLS of members with `https`; `None` for the machine's authorities.
    pub tls: Option<ClientTlsSettings>,
    /// User, if the store has any.
    pub user: Option<EtcdUser>,
    /// Timeout of each call.
    pub timeout: Duration,
    /// Pause before a second member is asked what may be asked twice.
    pub hedge_after: Duration,
    /// Silence after which a watch is begun again.
    pub silence: Duration,
    /// Most bytes of an answer, of all pages of a range and of a message of a watch.
    pub largest_answer: usize,
}

/// User with a password.
#[derive(Clone)]
pub struct EtcdUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl EtcdSettings {
    /// The defaults for these members.
    pub const fn new(members: Vec<HookUrl>) -> Self {
        Self {
            members,
            tls: None,
            user: None,
            timeout: Duration::from_secs(5),
            hedge_after: Duration::from_millis(500),
            silence: Duration::from_secs(10),
            largest_answer: 64 << 20,
        }
    }
}

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdUser");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}
