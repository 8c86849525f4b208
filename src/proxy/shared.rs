//! State that all workers share; of it, workers write only counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fleet::{ConnectionBudget, LearnedPins, McpSessions, McpStreams};
use crate::table::LiveTable;
use crate::telemetry::AccessLog;

use super::card_log::CardLog;
use super::connection_refusal::RefusalLog;
use super::mirror::Outbox;
use super::misdirected::MisdirectedLog;
use super::settings::ProxySettings;
use super::upstream_tls::UpstreamTlsConfigs;

/// The end of a worker's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// Not begun.
    No,
    /// Clients are asked to go; idle connections stay.
    Leaving,
    /// Idle connections are closed as well.
    Closing,
}

/// State shared by all workers.
pub struct Shared {
    pub(super) settings: ProxySettings,
    pub(super) cell: Arc<LiveTable>,
    pub(super) workers: usize,
    pub(super) access_log: AccessLog,
    pub(super) tls: Arc<UpstreamTlsConfigs>,
    /// Copies of requests, on their way to mirrors.
    pub(super) mirrors: Outbox,
    // The one count that every request of every worker goes through, since the limit is global.
    pub(super) requests: CachePadded<AtomicUsize>,
    pub(super) epoch: Instant,
    pub(super) draining: watch::Sender<Drain>,
    /// Ids that agents handed out in the bodies of responses.
    pub(super) learned: LearnedPins,
    refusals: RefusalLog,
    /// The MCP sessions that began here.
    pub(super) mcp_sessions: McpSessions,
    /// Their streams that are open.
    pub(super) mcp_streams: Arc<McpStreams>,
    pub(super) misdirected: MisdirectedLog,
    pub(super) card_log: CardLog,
    /// Connections to endpoints, across all workers.
    pub(super) connections: Arc<ConnectionBudget>,
    pub(super) idle_wanted: watch::Sender<()>,
}

// === impl Shared ===

impl Shared {
    /// Creates the state shared by this many workers.
    #[must_use]
    pub fn new(
        settings: ProxySettings,
        cell: Arc<LiveTable>,
        workers: usize,
        access_log: AccessLog,
    ) -> Arc<Self> {
        let connections = ConnectionBudget::new(settings.limits.upstream_connections);
        let tls = Arc::<UpstreamTlsConfigs>::default();
        let learned = LearnedPins::new(settings.learned_ids, settings.learned_for);
        Arc::new(Self {
            mcp_sessions: McpSessions::new(settings.mcp_starts),
            mcp_streams: Arc::default(),
            settings,
            mirrors: Outbox::new(Arc::clone(&cell), Arc::clone(&tls)),
            cell,
            workers: workers.max(1),
            access_log,
            tls,
            requests: CachePadded::new(AtomicUsize::new(0)),
            epoch: Instant::now(),
            draining: watch::Sender::new(Drain::No),
            learned,
            refusals: RefusalLog::default(),
            misdirected: MisdirectedLog::default(),
            card_log: CardLog::default(),
            connections,
            idle_wanted: watch::Sender::new(()),
        })
    }

    /// Requests in flight, streams and tunnels included.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts a connection that was refused before it had a request.
    pub(super) fn note_refused(
        &self,
        listener: &str,
        client: std::net::SocketAddr,
        error: &std::io::Error,
    ) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.refusals.note(now, listener, client, error);
    }

    /// Asks every worker to close idle connections that others wait for.
    pub(super) fn want_idle(&self) {
        self.idle_wanted.send_replace(());
    }

    /// Makes new connections to endpoints reload the files of their TLS settings.
    pub fn reload_upstream_tls(&self) {
        self.tls.clear();
    }

    /// Makes every worker stop accepting connections and close idle ones.
    pub fn drain(&self) {
        self.draining.send_replace(Drain::Closing);
    }

    /// Makes every worker ask clients to go, with the next response or with GOAWAY. An idle connection over HTTP/1.1 stays
    /// until its client sends the last request or its time is over: a close could cross a request.
    pub fn leave(&self) {
        self.draining.send_replace(Drain::Leaving);
    }
}
