//! The record of one request in a trace, and the bounded queue through which workers hand it to the exporter.
//!
//! A worker never waits and wakes nobody: the exporter looks once a second.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime},
};

/// Most requests that wait for the exporter.
const MOST_WAITING: usize = 8_192;

/// A request in a trace: a span towards its client and, if it was sent to an endpoint, one towards that.
#[derive(Debug, Clone)]
pub struct RequestSpan {
    /// The trace.
    pub trace: u128,
    /// Span of the client, if it has one.
    pub parent: Option<u64>,
    /// Span towards the client.
    pub server: u64,
    /// Span towards the endpoint.
    pub client: u64,
    /// True if the trace is sampled, and not only this request because it failed.
    pub is_sampled: bool,
    /// `tracestate` of the client; may be empty.
    pub tracestate: Box<str>,
    /// Time of the first byte of the request.
    pub started_at: SystemTime,
    /// Time from there to its last attempt.
    pub sent_after: Option<Duration>,
    /// Time from the first byte to the last one of the response.
    pub duration: Duration,
    /// Request id.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The requested host, with its port.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    /// Version of HTTP.
    pub protocol: &'static str,
    /// Address of the client.
    pub client_address: IpAddr,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// Status sent to the client, if one was.
    pub status: Option<u16>,
    /// True if the response is that of an endpoint.
    pub is_answered: bool,
    /// Kind of the failure.
    pub error: Option<&'static str>,
    /// The route.
    pub route: Option<String>,
    /// The release.
    pub release: Option<String>,
    /// Version of the release.
    pub version: Option<String>,
    /// Revision that selected the release.
    pub revision: u64,
    /// Reason for the choice of the release.
    pub reason: Option<&'static str>,
    /// The endpoint.
    pub endpoint: Option<SocketAddr>,
    /// `http` or `https` towards the endpoint.
    pub endpoint_scheme: &'static str,
    /// Number of attempts.
    pub attempts: u32,
}

/// Entrance of the queue, one for all workers.
#[derive(Debug, Clone)]
pub struct SpanQueue {
    sender: SyncSender<Box<RequestSpan>>,
    lost: Arc<AtomicU64>,
}

/// Exit of the queue.
#[derive(Debug)]
pub struct SpanFeed {
    receiver: Receiver<Box<RequestSpan>>,
    lost: Arc<AtomicU64>,
}

/// A queue.
pub fn span_queue() -> (SpanQueue, SpanFeed) {
    let (sender, receiver) = sync_channel(MOST_WAITING);
    let lost = Arc::<AtomicU64>::default();
    let queue = SpanQueue {
        sender,
        lost: Arc::clone(&lost),
    };
    (queue, SpanFeed { receiver, lost })
}

impl SpanQueue {
    /// Adds a request; without room it is counted as lost.
    pub fn push(&self, span: Box<RequestSpan>) {
        if self.sender.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl SpanFeed {
    /// The requests that wait.
    pub(super) fn take(&self) -> Vec<RequestSpan> {
        let waiting = self.receiver.try_iter().take(MOST_WAITING);
        waiting.map(|span| *span).collect()
    }

    /// Number of requests that were lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::telemetry) fn span() -> RequestSpan {
        RequestSpan {
            trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            parent: Some(0xb7ad_6b71_6920_3331),
            server: 1,
            client: 2,
            is_sampled: true,
            tracestate: "a=b".into(),
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
            sent_after: Some(Duration::from_millis(1)),
            duration: Duration::from_millis(20),
            request_id: "r1".to_owned(),
            method: "GET".to_owned(),
            scheme: "https",
            host: "a.example:8443".to_owned(),
            path: "/x".to_owned(),
            protocol: "1.1",
            client_address: [192, 0, 2, 1].into(),
            user_agent: Some("curl/8".into()),
            status: Some(200),
            is_answered: true,
            error: None,
            route: Some("chat".to_owned()),
            release: Some("blue".to_owned()),
            version: Some("1.0.0".to_owned()),
            revision: 7,
            reason: Some("split"),
            endpoint: Some(([127, 0, 0, 1], 9001).into()),
            endpoint_scheme: "https",
            attempts: 1,
        }
    }

    #[test]
    fn a_full_queue_counts_what_it_does_not_take() {
        let (queue, feed) = span_queue();
        for _ in 0..MOST_WAITING + 3 {
            queue.push(Box::new(span()));
        }
        assert_eq!(feed.take().len(), MOST_WAITING);
        assert_eq!((feed.take_lost(), feed.take_lost()), (3, 0));
        queue.push(Box::new(span()));
        assert_eq!(feed.take().len(), 1);
    }
}
