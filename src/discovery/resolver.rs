//! One look-up of a host name: `/etc/hosts` first, then DNS as `/etc/resolv.conf` says.
//!
//! hickory's own cache is off: when to ask again is decided in one place, the book.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    system_conf::read_system_conf,
};
use thiserror::Error;
use tracing::warn;

/// Why a host name has no addresses.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// There was no answer, or a negative one.
    #[error(transparent)]
    Dns(#[from] NetError),
    /// The answer held no address.
    #[error("the answer holds no address")]
    NoAddress,
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// What DNS said of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

/// Looks names up. Clones share their sockets.
#[derive(Debug, Clone)]
pub struct Resolver {
    inner: TokioResolver,
    timeout: Duration,
}

// === impl Resolver ===

impl Resolver {
    /// A resolver as the system is set up. Without a readable `/etc/resolv.conf` only `/etc/hosts` answers.
    ///
    /// # Errors
    /// When the resolver cannot be built.
    pub fn of_system(timeout: Duration) -> Result<Self, DiscoveryError> {
        let (config, options) = read_system_conf().unwrap_or_else(|error| {
            warn!(%error, "the system's DNS settings cannot be read: only /etc/hosts answers");
            Default::default()
        });
        Self::build(config, options, timeout)
    }

    /// A resolver that asks one server, over UDP and, for long answers, TCP.
    ///
    /// # Errors
    /// When the resolver cannot be built.
    pub fn of_server(server: SocketAddr, timeout: Duration) -> Result<Self, DiscoveryError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Self::build(config, ResolverOpts::default(), timeout)
    }

    fn build(
        config: ResolverConfig,
        mut options: ResolverOpts,
        timeout: Duration,
    ) -> Result<Self, DiscoveryError> {
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = options.timeout.min(timeout / 2);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let inner = builder.with_options(options).build()?;
        Ok(Self { inner, timeout })
    }

    /// Looks one name up, both kinds of addresses.
    pub(super) async fn lookup(&self, host: &str) -> Result<Answer, DiscoveryError> {
        let mut resolver = self.inner.clone();
        // The file is small, and whoever edits it expects it to count.
        if let Ok(Ok(hosts)) = tokio::task::spawn_blocking(Hosts::from_system).await {
            resolver.set_hosts(Arc::new(hosts));
        }
        let found = tokio::time::timeout(self.timeout, resolver.lookup_ip(host))
            .await
            .map_err(|_| DiscoveryError::TimedOut(self.timeout))??;
        let addresses: Vec<_> = found.iter().collect();
        if addresses.is_empty() {
            return Err(DiscoveryError::NoAddress);
        }
        let ttl = found.as_lookup().answers().iter().map(|record| record.ttl);
        let ttl = Duration::from_secs(u64::from(ttl.min().unwrap_or_default()));
        Ok(Answer { addresses, ttl })
    }
}
