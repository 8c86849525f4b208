//! Watch of the `EndpointSlice` objects of one Service: a list, then the changes after it, over and over.
//!
//! What is known stays while the API server is away. A watch that breaks goes on from the last event; only if that is too
//! old, which the API server says with 410, everything is listed again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::{
    api_server::ApiServer,
    error::ApiError,
    known_slices::KnownSlices,
    service_port::ServiceName,
    slice_set::{SliceSet, TooMany},
};

/// Shortest time that a watch is asked to last, in seconds; it is up to twice as long, so that many do not end together.
const SHORTEST_WATCH: u64 = 300;
/// Time after which a watch is given up that the API server should have ended.
const SPARE: Duration = Duration::from_secs(15);
/// Time after which a watch that was opened counts as one that works.
const WORKS_AFTER: Duration = Duration::from_secs(5);
/// Pause after a first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause that an API server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(120);

/// Watch of one Service.
pub(super) struct Watcher {
    api: Arc<ApiServer>,
    service: ServiceName,
    known: Arc<KnownSlices>,
    set: SliceSet,
    /// True if everything has to be listed.
    is_new: bool,
    /// Failures in a row.
    failed: u32,
}

/// True for a watch that brought something.
type Progress = bool;

impl Watcher {
    pub(super) fn new(api: Arc<ApiServer>, service: ServiceName, known: Arc<KnownSlices>) -> Self {
        Self {
            api,
            service,
            known,
            set: SliceSet::default(),
            is_new: true,
            failed: 0,
        }
    }

    /// Watches until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let listed = if self.is_new {
                self.list().await
            } else {
                Ok(())
            };
            let (progress, ended) = match listed {
                Ok(()) => self.watch().await,
                Err(error) => (false, Err(error)),
            };
            if progress {
                self.failed = 0;
            }
            let asked = ended.as_ref().err().and_then(ApiError::retry_after);
            if let Err(error) = ended {
                self.note(&error);
            }
            sleep(pause(self.failed, asked, rand::random())).await;
            if !progress {
                self.failed = self.failed.saturating_add(1);
            }
        }
    }

    async fn list(&mut self) -> Result<(), ApiError> {
        self.set = self.api.list(&self.service).await?;
        self.is_new = false;
        self.publish();
        Ok(())
    }

    /// One watch, until it ends.
    async fn watch(&mut self) -> (Progress, Result<(), ApiError>) {
        let seconds = SHORTEST_WATCH + rand::random::<u64>() % SHORTEST_WATCH;
        let version = self.set.version().to_owned();
        let opened = self.api.watch(&self.service, &version, seconds).await;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return (false, Err(error)),
        };
        self.note_success();
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds) + SPARE;
        let mut events = 0_u64;
        let ended = loop {
            match timeout_at(end, stream.next()).await {
                Err(_) | Ok(Ok(None)) => break Ok(()),
                Ok(Err(error)) => break Err(error),
                Ok(Ok(Some(event))) => {
                    events += 1;
                    if let Err(TooMany) = self.set.apply(event) {
                        // What was left out comes back with a list, once it fits.
                        self.is_new = true;
                        break Err(ApiError::TooMany);
                    }
                    self.publish();
                }
            }
        };
        let works = events > 0 || begin.elapsed() >= WORKS_AFTER;
        (works && !matches!(ended, Err(ApiError::TooMany)), ended)
    }

    /// Gives the endpoints to those who look for them, if there are other ones.
    fn publish(&self) {
        let before = self.known.slices();
        let is_same = before.is_some_and(|before| before.has_endpoints_of(&self.set));
        if is_same {
            return;
        }
        let endpoints = self.set.endpoints();
        info!(service = %self.service, endpoints, "endpoints of a Service");
        let names: Vec<_> = self.set.slices_of_names().collect();
        if !names.is_empty() {
            warn!(service = %self.service, slices = ?names, "left out: slices of host names (addressType FQDN) are not used");
        }
        self.known.set(self.set.clone());
    }

    fn note_success(&self) {
        if self.known.watch().succeeded() {
            info!(service = %self.service, "the Service is watched again");
        }
    }

    fn note(&mut self, error: &ApiError) {
        if matches!(error, ApiError::Expired) {
            debug!(service = %self.service, "the watch is too old: all is listed again");
            self.is_new = true;
            return;
        }
        let text = error.to_string();
        let is_first = self.known.watch().failed(SystemTime::now(), &text);
        self.known.asked();
        if is_first {
            let kept = self.set.endpoints();
            warn!(service = %self.service, error = text, kept, "the Service cannot be watched");
        } else {
            debug!(service = %self.service, error = text, "the Service cannot be watched");
        }
    }
}

/// Time until the next attempt: between half and all of 100, 200, 400 … ms, or as long as the API server asks for.
fn pause(failed: u32, asked: Option<Duration>, random: f64) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(1 << failed.min(16))
        .min(LONGEST_PAUSE);
    let own = whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_further_and_further_apart() {
        let times: Vec<_> = (0..12).map(|failed| pause(failed, None, 1.0)).collect();
        assert_eq!(times[0], FIRST_PAUSE);
        assert_eq!(times[11], LONGEST_PAUSE);
        assert!(times.is_sorted());
        assert_eq!(pause(3, None, 0.0), times[3] / 2);
        assert_eq!(pause(u32::MAX, None, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn an_api_server_may_ask_for_time_and_not_for_all_of_it() {
        let asked = |seconds| pause(0, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(7), Duration::from_secs(7));
        assert_eq!(asked(u64::MAX), LONGEST_ASKED);
    }
}
