//! Errors of a start, and their exit statuses.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use super::{activation::ActivationError, seal_keys::SealKeyError, takeover::TakeoverError};
use crate::{
    acme::KeeperError, admin::AccessError, config::ConfigError, control::ControlError,
    discovery::DiscoveryError, history::HistoryError, model::Problem, net::NetError,
};

/// Error of a start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The tokens of the admin API cannot be used.
    #[error("the admin API cannot be protected as configured")]
    Access(#[from] AccessError),
    /// The access log cannot be written.
    #[error("the access log `{}` cannot be opened", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The API server of a cluster cannot be asked.
    #[error("Services cannot be watched: {0}")]
    ApiServer(Problem),
    /// The address cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The configuration key, or the flag, that changes it.
        key: String,
        /// The reason.
        #[source]
        source: NetError,
    },
    /// The collector of OpenTelemetry cannot be used.
    #[error("the collector cannot be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Collector(Vec<Problem>),
    /// The configuration file has problems.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The table cannot be made live.
    #[error("the table cannot be made live")]
    Control(#[source] ControlError),
    /// Names cannot be resolved.
    #[error("the resolver of host names cannot be set up")]
    Discovery(#[from] DiscoveryError),
    /// The store of the fleet cannot be used.
    #[error("the fleet cannot be joined: {0}")]
    Fleet(Problem),
    /// Hooks cannot be used.
    #[error("the hooks cannot be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Hooks(Vec<Problem>),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The file and the live table changed the same entries.
    #[error("{0}")]
    Import(String),
    /// The tokens of the listener for flags cannot be used.
    #[error("the tokens for flags cannot be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    FlagTokens(Vec<Problem>),
    /// A key for session ids cannot be used.
    #[error("the keys for session ids cannot be used")]
    Seal(#[from] SealKeyError),
    /// Inherited sockets cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// Another process does not hand over.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// A thread or a runtime cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    /// Certificates of an authority cannot be kept.
    #[error(transparent)]
    Acme(#[from] KeeperError),
    /// A certificate cannot be used.
    #[error("TLS of the listener on {address} cannot be set up")]
    Tls {
        /// The listener.
        address: SocketAddr,
        /// The reason.
        #[source]
        source: NetError,
    },
}

impl ServerError {
    /// True if the store of the fleet is the reason: the same start may succeed once it answers.
    pub const fn is_of_the_store(&self) -> bool {
        matches!(
            self,
            Self::Control(ControlError::NotShared { .. } | ControlError::Overtaken)
        )
    }
}
