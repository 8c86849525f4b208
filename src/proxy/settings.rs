//! Settings of the data plane: limits, timeouts, trusted peers, and the properties of listeners and connections.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Network, ResourceLimits, Timeouts, Traceparent, Underscores};
use crate::message;
use crate::model::{Percent, TimeoutsSpec};
use crate::net::{HttpChallenges, ServerTls};
use crate::seal::KeyRing;
use crate::telemetry::SpanQueue;

/// The part of the configuration that all workers share.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Limits on sizes and numbers.
    pub limits: ResourceLimits,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits on messages, in the form that the codec uses.
    pub message: message::Limits,
    /// Peers whose forwarding fields are trusted.
    pub trusted: Vec<Network>,
    /// The proxy's name in `Via`.
    pub via: String,
    /// True if `Via` is sent.
    pub sends_via: bool,
    /// Memory for the starts of MCP sessions, in bytes.
    pub mcp_starts: usize,
    /// True if a request without a trace starts one.
    pub makes_traces: bool,
    /// Sampling of traces; `None` to record none.
    pub traces: Option<TraceSampling>,
    /// Queue for the spans of requests.
    pub spans: Option<SpanQueue>,
    /// Keys for session ids; without them no route has pins.
    pub seal: Option<Arc<KeyRing>>,
    /// Answers to certificate authorities on listeners without TLS, if a listener has certificates of that kind.
    pub acme: Option<Arc<HttpChallenges>>,
    /// Age from which a pin is not followed.
    pub session_max_age: Duration,
    /// Number of ids that are learned from responses.
    pub learned_ids: usize,
    /// Seconds that each of them is remembered at most.
    pub learned_for: u32,
}

/// Sampling of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSampling {
    /// Part of the requests without a trace that are recorded.
    pub share: Percent,
    /// True if failures are recorded, sampled or not.
    pub failures: bool,
}

/// Settings of one listener, shared by its connections.
#[derive(Default)]
pub struct ListenerSettings {
    /// TLS; cleartext without it.
    pub tls: Option<Arc<ServerTls>>,
    /// True if a request may select its release itself.
    pub preview: bool,
    /// Allowed senders of the PROXY protocol header that starts each connection; `None` if there is no such header.
    pub proxy_senders: Option<Vec<Network>>,
    /// True if the proxy itself sends the requests: the guards of routes let them pass.
    pub is_own: bool,
    /// Its address, as the name in metrics and logs.
    pub name: String,
}

/// The origin of a connection.
#[derive(Debug, Clone, Copy)]
pub struct PeerInfo {
    /// Address of the client: the other side of the socket, or the one given by the PROXY protocol.
    pub client: SocketAddr,
    /// True if its forwarding fields are trusted.
    pub is_trusted: bool,
    /// True if it came over TLS.
    pub is_secure: bool,
    /// True if it is the proxy itself, which the guards of routes let pass.
    pub is_own: bool,
}

/// Timeouts of one request: those of its route override those of the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTimeouts {
    pub(super) connect: Duration,
    pub(super) silence: Duration,
    pub(super) websocket_idle: Duration,
    pub(super) request: Option<Duration>,
}

impl ProxySettings {
    /// Derives the settings from a configuration, without the keys.
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
            mcp_starts: config.sessions.mcp_starts.0,
            makes_traces: config.headers.traceparent == Traceparent::Create,
            traces: sampling(config),
            spans: None,
            seal: None,
            acme: None,
            session_max_age: config.sessions.max_age.0,
            learned_ids: config.sessions.learned_ids,
            learned_for: u32::try_from(config.sessions.learned_for.0.as_secs()).unwrap_or(u32::MAX),
        }
    }

    /// True if forwarding fields from this address are trusted.
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

impl TraceSampling {
    /// True if a random number is within the share.
    pub(super) fn draws(self, random: u64) -> bool {
        let whole = u128::from(Percent::ALL.parts());
        (u128::from(random) * whole) >> 64 < u128::from(self.share.parts())
    }
}

fn sampling(config: &Config) -> Option<TraceSampling> {
    let traces = config.opentelemetry.as_ref()?.traces.as_ref()?;
    Some(TraceSampling {
        share: traces.sample,
        failures: traces.failures,
    })
}

/// A name unique to this instance: otherwise two proxies in a row would take each other's requests for loops.
fn unique_name() -> String {
    format!(
        "switchback-{:016x}",
        RandomState::new().hash_one(std::process::id())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_part_of_all_random_numbers() {
        let sampling = |percents| TraceSampling {
            share: Percent::of(percents),
            failures: false,
        };
        assert!(!sampling(0).draws(0));
        assert!(sampling(100).draws(u64::MAX));
        let one = u64::MAX / 100;
        assert!(sampling(1).draws(one - 1));
        assert!(!sampling(1).draws(one + 2));
    }
}
