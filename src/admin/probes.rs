//! Public endpoints: liveness, readiness and metrics.
//!
//! These three are part of the admin API. Where `[observe]` is configured, a separate listener serves them and nothing
//! else, so that a kubelet and Prometheus can reach them from outside.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::{
    Router, extract::State, http::StatusCode, middleware::from_fn, response::Response, routing::get,
};

use super::{
    error::{ApiError, no_such_method, no_such_path},
    page::{Page, PageWriter},
    shared_page::SharedPage,
    unread_body::close_if_unread,
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

/// Router of the separate listener for probes and metrics.
pub fn observe_router(observed: ProbeState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(close_if_unread))
        .with_state(observed)
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
