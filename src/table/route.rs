//! A route in a compiled table.

use std::sync::Arc;

use super::{Split, hash};
use crate::model::{AffinitySource, AgentProtocol, Hashed, HostHeader, RequestView, RouteSpec};

/// A compiled route with its split.
#[derive(Debug)]
pub struct Route {
    spec: Arc<Hashed<RouteSpec>>,
    split: Split,
    host_header: HostHeader,
    agent_protocol: Option<AgentProtocol>,
}

impl Route {
    pub(super) fn new(spec: Arc<Hashed<RouteSpec>>, split: Split) -> Self {
        let host_header = spec.effective_host_header();
        let agent_protocol = spec.agent_protocol;
        Self {
            spec,
            split,
            host_header,
            agent_protocol,
        }
    }

    /// Its spec.
    pub fn spec(&self) -> &Arc<Hashed<RouteSpec>> {
        &self.spec
    }

    /// `Host` that endpoints get.
    pub fn host_header(&self) -> HostHeader {
        self.host_header
    }

    /// Protocol of the agents, if it is configured.
    pub fn agent_protocol(&self) -> Option<AgentProtocol> {
        self.agent_protocol
    }

    /// Its releases and their weights.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Split key of the request's session, from the first affinity source that is present. `None`: use a random key.
    pub fn affinity_key(&self, request: &impl RequestView) -> Option<u64> {
        let find = |source: &AffinitySource| match source {
            AffinitySource::Header(name) => request.header(name),
            AffinitySource::Cookie(name) => request.cookie(name),
        };
        // An empty value identifies no session: all clients that send one would get the same release.
        let is_empty = |value: &[u8]| value.is_empty() || value == b"\"\"";
        let key = |source| find(source).filter(|value| !is_empty(value));
        self.spec.affinity.iter().find_map(key).map(hash::key_of)
    }
}
