//! Explains a 421 of an endpoint in the log: it refuses the `Host` that it got.

use std::net::SocketAddr;

use super::log_sampler::LogSampler;

/// Time between two explanations: one says what to change.
const WINDOW_MS: u64 = 10 * 60 * 1_000;

/// Limits the explanations.
#[derive(Debug, Default)]
pub(super) struct MisdirectedLog(LogSampler);

impl MisdirectedLog {
    /// Logs what to change, unless that was logged a moment ago.
    #[cold]
    pub(super) fn explain(&self, now_ms: u64, route: &str, release: &str, endpoint: SocketAddr) {
        if let Some(left_out) = self.0.take(now_ms, WINDOW_MS) {
            tracing::warn!(
                route,
                release,
                %endpoint,
                left_out,
                "the endpoint refuses the `Host` that it gets (421), as MCP servers on loopback do with every name \
                 but their own; `agent_protocol = \"mcp\"` or `host_header = \"endpoint\"` on the route sends the \
                 endpoint's",
            );
        }
    }
}
