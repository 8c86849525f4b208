//! Public endpoints: liveness, readiness and metrics.
//!
//! These three are part of the admin API, and where `[observe]` is configured, of a separate listener.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    error::ApiError,
    page::{Page, PageWriter},
    shared_page::SharedPage,
};

/// Media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Readiness for traffic: starts once everything listens, ends with the shutdown.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Marks the process as ready: everything listens, and a table is live.
    pub fn set_ready(&self) {
        // Draining is final.
        let _ = self
            .0
            .compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Marks the process as shutting down.
    pub fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// True if traffic should be sent here.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }
}

/// State of the three endpoints.
#[derive(Clone)]
pub struct ProbeState {
    metrics: Arc<SharedPage>,
    readiness: Arc<Readiness>,
}

impl ProbeState {
    /// `render` makes the Prometheus text, on a thread that may block.
    ///
    /// # Panics
    /// Never: memory takes every byte.
    pub fn new(
        render: impl Fn() -> String + Send + Sync + 'static,
        readiness: Arc<Readiness>,
    ) -> Self {
        let page = move || {
            let mut writer = PageWriter::default();
            writer
                .write_all(render().as_bytes())
                .expect("memory takes every byte");
            Page::new(PROMETHEUS, None, writer)
        };
        Self {
            metrics: Arc::new(SharedPage::of_now(page)),
            readiness,
        }
    }
}

/// All metrics.
#[utoipa::path(get, path = "/metrics", tag = "observe",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(observed): State<ProbeState>) -> Result<Response, ApiError> {
    Ok(observed.metrics.get().await?.response())
}

/// Liveness: a process that responds is alive.
#[utoipa::path(get, path = "/livez", tag = "observe",
    responses((status = 200, description = "the process is alive", body = String, content_type = "text/plain")))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Readiness for traffic.
#[utoipa::path(get, path = "/readyz", tag = "observe",
    responses((status = 200, description = "the process is ready", body = String, content_type = "text/plain")))]
pub(super) async fn readyz(State(observed): State<ProbeState>) -> Result<&'static str, ApiError> {
    if observed.readiness.is_ready() {
        return Ok("ok\n");
    }
    let draining = observed.readiness.0.load(Ordering::Acquire) == DRAINING;
    let detail = if draining {
        "the process is shutting down"
    } else {
        "the process is starting"
    };
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        "not ready for traffic",
    )
    .detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_drains_does_not_become_ready_again() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.set_ready();
        assert!(readiness.is_ready());
        readiness.set_draining();
        readiness.set_ready();
        assert!(!readiness.is_ready());
    }
}
