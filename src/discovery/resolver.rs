//! Resolver for one address family of one host name: `/etc/hosts` first, then DNS as in `/etc/resolv.conf`.
//!
//! hickory's own cache is disabled, and so are its retries beyond retransmissions of one query: `dns_cache` alone
//! decides when to query again. One query has the whole timeout, so that a slow server gets through.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use thiserror::Error;
use tracing::warn;

use super::dns_cache::{Family, Outcome, Question};

/// Reason why a host name has no addresses.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// No response, or a negative one.
    #[error(transparent)]
    Dns(#[from] NetError),
    /// The response has no address.
    #[error("the response has no address")]
    NoAddress,
    /// No response in time.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
}

/// DNS resolver. Clones share their sockets.
#[derive(Debug, Clone)]
pub struct Resolver {
    plain: TokioResolver,
    /// For responses too long for plain UDP when TCP is blocked.
    edns: TokioResolver,
    timeout: Duration,
}

// === impl Resolver ===

impl Resolver {
    /// Creates a resolver with the system's settings. Without a readable `/etc/resolv.conf` only `/etc/hosts` is used.
    ///
    /// # Errors
    /// If the resolver cannot be built.
    pub fn of_system(timeout: Duration) -> Result<Self, DiscoveryError> {
        let (config, options) = read_system_conf().unwrap_or_else(|error| {
            warn!(%error, "the system's DNS settings cannot be read: only /etc/hosts is used");
            Default::default()
        });
        Self::build(&config, options, timeout)
    }

    /// Creates a resolver for one server, over UDP and, for long responses, TCP.
    ///
    /// # Errors
    /// If the resolver cannot be built.
    pub fn of_server(server: SocketAddr, timeout: Duration) -> Result<Self, DiscoveryError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Self::build(&config, ResolverOpts::default(), timeout)
    }

    fn build(
        config: &ResolverConfig,
        mut options: ResolverOpts,
        timeout: Duration,
    ) -> Result<Self, DiscoveryError> {
        options.cache_size = 0;
        options.attempts = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // Slightly less than our own timeout, so that the resolver learns which servers do not respond.
        options.timeout = timeout.mul_f64(0.9);
        let build = |options: ResolverOpts| {
            let provider = TokioRuntimeProvider::default();
            TokioResolver::builder_with_config(config.clone(), provider)
                .with_options(options)
                .build()
        };
        let mut with_edns = options.clone();
        with_edns.edns0 = true;
        Ok(Self {
            plain: build(options)?,
            edns: build(with_edns)?,
            timeout,
        })
    }

    /// Sends one query.
    pub(super) async fn lookup(&self, question: &Question) -> Result<Outcome, DiscoveryError> {
        // The file is small, and operators expect an edit to take effect at once.
        if let Ok(Ok(hosts)) = tokio::task::spawn_blocking(Hosts::from_system).await
            && let Some(outcome) = in_hosts_file(&hosts, question)?
        {
            return Ok(outcome);
        }
        let resolver = if question.edns {
            &self.edns
        } else {
            &self.plain
        };
        let asked = resolver.lookup(&*question.host, record_type(question.family));
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(found)) => Ok(outcome(&found)),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) if is_negative(&none) => {
                let ttl = none.negative_ttl.unwrap_or_default();
                Ok(Outcome::Absent(Duration::from_secs(ttl.into())))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(DiscoveryError::TimedOut(self.timeout)),
        }
    }
}

/// Result from the hosts file. A name in it is not queried elsewhere, whichever family it has there.
fn in_hosts_file(hosts: &Hosts, question: &Question) -> Result<Option<Outcome>, DiscoveryError> {
    let name = Name::from_utf8(&*question.host).map_err(NetError::from)?;
    let of = |family| hosts.lookup_static_host(&Query::query(name.clone(), record_type(family)));
    if let Some(found) = of(question.family) {
        return Ok(Some(outcome(&found)));
    }
    let has_other = Family::BOTH.into_iter().any(|family| of(family).is_some());
    Ok(has_other.then_some(Outcome::Absent(Duration::ZERO)))
}

/// True if a response without addresses means that there are none, not that the server failed.
fn is_negative(none: &NoRecords) -> bool {
    matches!(
        none.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    )
}

const fn record_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

fn outcome(found: &Lookup) -> Outcome {
    let answers = found.answers();
    let ttl = answers.iter().map(|record| record.ttl).min();
    let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
    let addresses: Vec<_> = answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect();
    if addresses.is_empty() {
        Outcome::Absent(ttl)
    } else {
        Outcome::Addresses(addresses, ttl)
    }
}
