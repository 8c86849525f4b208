//! A sample agent's state, and the faults that it injects.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::json;

use super::faults::Behaviour;

/// A sample agent of one release.
pub(super) struct Agent {
    pub(super) release: String,
    pub(super) version: String,
    behaviour: Mutex<Behaviour>,
    answered: AtomicU64,
}

// === impl Agent ===

impl Agent {
    /// An agent without faults.
    pub(super) fn new(release: &str, version: &str) -> Self {
        Self {
            release: release.into(),
            version: version.into(),
            behaviour: Mutex::default(),
            answered: AtomicU64::new(0),
        }
    }

    /// The number of the next answer, counted from 1.
    pub(super) fn next_answer(&self) -> u64 {
        self.answered.fetch_add(1, Ordering::Relaxed) + 1
    }

    // A panic under the lock leaves a whole value, so poisoning is safe to ignore.
    pub(super) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Injects the configured faults; `None` when the request is to be served.
    pub(super) async fn inject_fault(&self) -> Option<Response> {
        let behaviour = self.behaviour().clone();
        if !behaviour.latency.0.is_zero() {
            tokio::time::sleep(behaviour.latency.0).await;
        }
        let failure = || {
            let body = json!({ "release": self.release, "version": self.version, "error": "injected fault" });
            (StatusCode::INTERNAL_SERVER_ERROR, line(&body)).into_response()
        };
        behaviour.fails(rand::random()).then(failure)
    }
}

/// A JSON response that ends its line, so that a shell prompt starts on a new one.
pub(super) fn line(value: &impl Serialize) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut text = serde_json::to_string(value).expect("what an agent says has string keys");
    text.push('\n');
    (json, text).into_response()
}
