//! Explains a 421 of an endpoint in the log: it refuses the `Host` that it got.

use super::log_sampler::LogSampler;
use super::select::Selected;
use super::worker::Worker;

/// Time between two explanations: one says what to change.
const WINDOW_MS: u64 = 10 * 60 * 1_000;

/// Limits the explanations.
#[derive(Debug, Default)]
pub(super) struct MisdirectedLog(LogSampler);

/// Logs what to change, unless that was logged a moment ago.
#[cold]
pub(super) fn explain(worker: &Worker, selected: &Selected) {
    let sampler = &worker.shared.misdirected.0;
    if let Some(left_out) = sampler.take(worker.cached_now_ms(), WINDOW_MS) {
        tracing::warn!(
            route = selected.route().spec().name.as_str(),
            release = selected.release().name().as_str(),
            endpoint = %selected.in_flight.endpoint().address(),
            left_out,
            "the endpoint refuses the `Host` that it gets (421), as MCP servers on loopback do with every name but \
             their own; `agent_protocol = \"mcp\"` or `host_header = \"endpoint\"` on the route sends the endpoint's",
        );
    }
}
