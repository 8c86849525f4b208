//! A collector of OpenTelemetry, and the delivery of requests to it: with back-off, for a limited time, in order.

use std::{fmt, sync::Arc, time::Duration};

use prost::Message as _;
use tokio::time::{Instant, sleep, timeout};

use super::{
    otlp::{ExportResponse, PartialSuccess},
    outbox::{Batch, Outbox},
};
use crate::{
    model::HookUrl,
    net::{self, ClientTls, HttpError, Post, post},
    telemetry::names,
};

/// Type of a request and of its answer.
const PROTOBUF: &str = "application/x-protobuf";
/// Largest answer that is read.
const LARGEST: usize = 64 * 1024;
/// Time until the second attempt, at most.
const FIRST: Duration = Duration::from_secs(1);
/// Longest own time between two attempts, and the longest that a collector may ask for.
const LONGEST: Duration = Duration::from_secs(60);
/// Time after which a request is dropped.
const GIVE_UP: Duration = Duration::from_secs(300);
/// Longest text of a collector in the log.
const LONGEST_TEXT: usize = 200;

/// A collector.
#[derive(Clone)]
pub struct Collector {
    /// Its URL, without the path of a signal.
    pub endpoint: HookUrl,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<Arc<ClientTls>>,
    /// Fields of each request: names and values.
    pub fields: Vec<(String, String)>,
    /// Timeout for one request.
    pub timeout: Duration,
}

/// Kind of what is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Metrics,
    Traces,
    Logs,
}

/// Delivery of the requests of one kind.
pub(super) struct Delivery<'a> {
    signal: Signal,
    collector: &'a Collector,
    url: HookUrl,
    outbox: &'a Outbox,
    is_taken: bool,
}

/// End of an attempt.
#[derive(Debug)]
enum Attempt {
    /// The request was taken; what was not is in the answer.
    Taken(PartialSuccess),
    /// It may be sent again.
    Failed {
        error: String,
        retry_after: Option<Duration>,
    },
    /// It will never be taken.
    Refused(String),
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl<'a> Delivery<'a> {
    /// Delivery of what is in the outbox.
    pub(super) fn new(signal: Signal, collector: &'a Collector, outbox: &'a Outbox) -> Self {
        Self {
            signal,
            collector,
            url: collector.endpoint.under(signal.path()),
            outbox,
            is_taken: true,
        }
    }

    /// Delivers until the outbox is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.outbox.next().await {
            self.deliver(batch).await;
        }
    }

    /// Sends a request until it is taken or refused, or too old. Once the outbox is closed there is one
    /// attempt.
    async fn deliver(&mut self, batch: Batch) {
        let begin = Instant::now();
        for failed in 1_u32.. {
            let is_last = self.outbox.is_closed();
            let (error, retry_after) = match self.attempt(&batch).await {
                Attempt::Taken(partial) => return self.taken(&batch, &partial),
                Attempt::Refused(error) => return self.refused(&batch, &error),
                Attempt::Failed { error, retry_after } => (error, retry_after),
            };
            let delay = pause(failed, retry_after, rand::random());
            if is_last || begin.elapsed() + delay > GIVE_UP {
                return self.lost(&batch, &error);
            }
            self.note_failure(&error);
            tokio::select! {
                () = sleep(delay) => {}
                () = self.outbox.closed() => {}
            }
        }
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let collector = self.collector;
        let field = |(name, value): &'a (String, String)| (name.as_str(), value.clone());
        let request = Post {
            url: &self.url,
            tls: collector.tls.as_ref(),
            content_type: PROTOBUF,
            accept: PROTOBUF,
            fields: collector.fields.iter().map(field).collect(),
            body: batch.body.clone(),
        };
        match timeout(collector.timeout, post(request, LARGEST)).await {
            Ok(answer) => read(answer),
            Err(_) => Attempt::Failed {
                error: format!(
                    "there was no answer within {}",
                    humantime::format_duration(collector.timeout)
                ),
                retry_after: None,
            },
        }
    }

    fn taken(&mut self, batch: &Batch, partial: &PartialSuccess) {
        let rejected = u64::try_from(partial.rejected).unwrap_or_default();
        let rejected = rejected.min(batch.values);
        self.signal.count("sent", batch.values - rejected);
        self.signal.count("dropped", rejected);
        if rejected > 0 || !partial.error_message.is_empty() {
            let text = one_line(&partial.error_message);
            tracing::warn!(collector = ?self.collector.endpoint, rejected, text, "the collector did not take everything");
        }
        if !self.is_taken {
            tracing::info!(collector = ?self.collector.endpoint, "the collector takes requests again");
        }
        self.is_taken = true;
    }

    fn refused(&mut self, batch: &Batch, error: &str) {
        self.signal.count("dropped", batch.values);
        if std::mem::replace(&mut self.is_taken, false) {
            let error = one_line(error);
            tracing::warn!(collector = ?self.collector.endpoint, error, "the collector refuses requests; what it refuses is dropped and counted");
        }
    }

    fn lost(&mut self, batch: &Batch, error: &str) {
        self.signal.count("dropped", batch.values);
        self.note_failure(error);
    }

    /// Logs when the collector begins to take nothing.
    fn note_failure(&mut self, error: &str) {
        if std::mem::replace(&mut self.is_taken, false) {
            let error = one_line(error);
            tracing::warn!(collector = ?self.collector.endpoint, error, "the collector takes nothing; requests are kept for a while, then dropped and counted");
        }
    }
}

impl Signal {
    /// Path below that of the collector.
    const fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    /// Counts values that were sent or dropped.
    pub(super) fn count(self, result: &'static str, values: u64) {
        let exporter = match self {
            Self::Metrics => "opentelemetry",
            Self::Traces => "opentelemetry_traces",
            Self::Logs => "opentelemetry_logs",
        };
        let labels = [("exporter", exporter), ("result", result)];
        metrics::counter!(names::EXPORTED.0, &labels).increment(values);
    }
}

/// Meaning of an answer.
fn read(answer: Result<Vec<u8>, HttpError>) -> Attempt {
    match answer {
        // An answer that is none of the protocol says nothing of a part that was not taken.
        Ok(body) => {
            let response = ExportResponse::decode(body.as_slice()).unwrap_or_default();
            Attempt::Taken(response.partial_success.unwrap_or_default())
        }
        Err(HttpError::Large(_)) => Attempt::Taken(PartialSuccess::default()),
        Err(HttpError::Connect(error) | HttpError::Exchange(error)) => Attempt::Failed {
            error,
            retry_after: None,
        },
        Err(HttpError::Status {
            status: status @ (429 | 502 | 503 | 504),
            retry_after,
        }) => Attempt::Failed {
            error: format!("it answered {status}"),
            retry_after,
        },
        Err(error @ HttpError::Status { .. }) => Attempt::Refused(error.to_string()),
    }
}

/// Time until the attempt after `failed` failed ones: between half and all of 1, 2, 4 … seconds, at most a minute.
/// `random` is from 0 to 1; `asked` is a `Retry-After`, which is kept, as long as the request is.
fn pause(failed: u32, asked: Option<Duration>, random: f64) -> Duration {
    let own = net::backoff(FIRST, LONGEST, failed, random);
    asked.map_or(own, |asked| asked.min(GIVE_UP))
}

fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Attempt {
        let retry_after = Some(Duration::from_secs(7));
        read(Err(HttpError::Status {
            status,
            retry_after,
        }))
    }

    #[test]
    fn only_what_is_over_soon_is_sent_again() {
        for again in [429, 502, 503, 504] {
            let is_kept = |asked: Option<Duration>| asked == Some(Duration::from_secs(7));
            assert!(
                matches!(status(again), Attempt::Failed { retry_after, .. } if is_kept(retry_after)),
                "{again}"
            );
        }
        for never in [301, 400, 401, 403, 404, 413, 500, 501] {
            assert!(matches!(status(never), Attempt::Refused(_)), "{never}");
        }
        let broken = read(Err(HttpError::Exchange(String::new())));
        assert!(matches!(broken, Attempt::Failed { .. }));
    }

    #[test]
    fn an_answer_says_what_was_not_taken_and_any_other_text_nothing() {
        let partial = PartialSuccess {
            rejected: 3,
            error_message: "too old".to_owned(),
        };
        let answer = ExportResponse {
            partial_success: Some(partial.clone()),
        };
        for (body, expected) in [
            (answer.encode_to_vec(), partial),
            (Vec::new(), PartialSuccess::default()),
            (b"{}".to_vec(), PartialSuccess::default()),
            (b"<html>".to_vec(), PartialSuccess::default()),
        ] {
            let Attempt::Taken(found) = read(Ok(body)) else {
                panic!("an answer is a success");
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn attempts_are_further_and_further_apart_unless_the_collector_says_when() {
        let times: Vec<_> = (1..=8)
            .map(|failed| pause(failed, None, 1.0).as_secs())
            .collect();
        assert_eq!(times, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(1, None, 0.0), Duration::from_millis(500));
        let asked = |seconds| pause(5, Some(Duration::from_secs(seconds)), 1.0);
        assert_eq!(asked(1), Duration::from_secs(1));
        assert_eq!(asked(u64::MAX), GIVE_UP);
    }
}
