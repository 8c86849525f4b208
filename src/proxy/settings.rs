//! What the data plane is told: limits, time limits, whom to believe, and what a listener and a connection are.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Limits, Network, Timeouts, Traceparent, Underscores};
use crate::message;
use crate::model::TimeoutsSpec;
use crate::net::ServerTls;

/// What all workers share of the configuration.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Limits on amounts.
    pub limits: Limits,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// Limits on messages, as the codec takes them.
    pub message: message::Limits,
    /// Peers whose forwarding fields are believed.
    pub trusted: Vec<Network>,
    /// Our name in `Via`.
    pub via: String,
    /// Whether it is written there.
    pub sends_via: bool,
    /// Whether a request that belongs to no trace starts one.
    pub makes_traces: bool,
}

/// One listener, as its connections know it.
#[derive(Default)]
pub struct ListenerSettings {
    /// TLS; cleartext without it.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether a request may name its release itself.
    pub preview: bool,
    /// The senders of the PROXY protocol header that each connection begins with; none begins with one when absent.
    pub proxy_senders: Option<Vec<Network>>,
    /// Its address, as metrics and logs name it.
    pub name: String,
}

/// Whom a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct PeerInfo {
    /// The client: the other side of the socket, or who the PROXY protocol says it is.
    pub client: SocketAddr,
    /// Whether its forwarding fields are believed.
    pub is_trusted: bool,
    /// Whether it came over TLS.
    pub is_secure: bool,
}

/// The time limits of one request: those of its route over those of the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTimeouts {
    pub(super) connect: Duration,
    pub(super) silence: Duration,
    pub(super) websocket_idle: Duration,
    pub(super) request: Option<Duration>,
}

impl ProxySettings {
    /// What a configuration says to the data plane.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        let message = message::Limits {
            request_head: limits.head.0,
            response_head: limits.response_head.0,
            fields: limits.head_fields,
            response_fields: limits.response_head_fields,
            target: limits.target.0,
            method: limits.method.0,
            trailers: limits.trailers.0,
            chunk_extensions: limits.chunk_extensions.0,
            informational: limits.interim_responses,
            underscores: match config.headers.underscores {
                Underscores::Pass => message::Underscores::Pass,
                Underscores::Refuse => message::Underscores::Refuse,
            },
        };
        Self {
            limits: limits.clone(),
            timeouts: config.timeouts.clone(),
            message,
            trusted: config.trusted_proxies.clone(),
            via: config.headers.via.clone().unwrap_or_else(unique_name),
            sends_via: config.headers.send_via,
            makes_traces: config.headers.traceparent == Traceparent::Create,
        }
    }

    /// Whether forwarding fields from this address are believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    pub(super) fn for_route(&self, route: &TimeoutsSpec) -> RequestTimeouts {
        let own = &self.timeouts;
        RequestTimeouts {
            connect: route.connect.unwrap_or(own.connect).0,
            silence: route.silence.unwrap_or(own.silence).0,
            websocket_idle: route.websocket_idle.unwrap_or(own.websocket_idle).0,
            request: route.request.or(own.request).map(|span| span.0),
        }
    }
}

/// A name that no other instance has: two in a row must not take each other's requests for their own.
fn unique_name() -> String {
    format!(
        "switchback-{:016x}",
        RandomState::new().hash_one(std::process::id())
    )
}
