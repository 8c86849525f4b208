//! A sample agent: its endpoints and its fault injection.
//!
//! - any path: JSON that names the release
//! - `GET /stream?tokens=20&every=100ms`: tokens as server-sent events
//! - `GET /ws`: a WebSocket that echoes
//! - `GET /healthz`: 200
//! - `GET /behave`, `POST /behave` with `{"error_rate":0.3,"latency":"200ms","cut_streams":true}`: the injected faults;
//!   a key that is left out means no fault

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;

use super::{
    faults::Behaviour,
    stream::{Asked, stream},
    websocket,
};

/// State of an agent.
pub(super) struct Agent {
    pub(super) release: String,
    pub(super) version: String,
    behaviour: Mutex<Behaviour>,
    answered: AtomicU64,
}

/// Serves as a sample agent for as long as it is polled.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_agent(
    release: &str,
    version: &str,
    listener: TcpListener,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let agent = Arc::new(Agent {
        release: release.into(),
        version: version.into(),
        behaviour: Mutex::default(),
        answered: AtomicU64::new(0),
    });
    let app = Router::new()
        .route("/stream", get(tokens))
        .route("/ws", get(websocket::echo))
        .route("/healthz", get(|| async { "well\n" }))
        .route("/behave", get(behaviour).post(behave))
        .fallback(answer)
        .with_state(agent);
    axum::serve(listener, app).await
}

async fn answer(State(agent): State<Arc<Agent>>, request: Request) -> Response {
    if let Some(failure) = agent.inject_fault().await {
        return failure;
    }
    let number = agent.answered.fetch_add(1, Ordering::Relaxed) + 1;
    line(&json!({
        "release": agent.release,
        "version": agent.version,
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "answer": number,
    }))
}

/// A JSON response that ends its line, so that a shell prompt starts on a new one.
fn line(value: &impl Serialize) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut text = serde_json::to_string(value).expect("what an agent says has string keys");
    text.push('\n');
    (json, text).into_response()
}

async fn tokens(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>) -> Response {
    match agent.inject_fault().await {
        Some(failure) => failure,
        None => stream(&agent, &asked, agent.behaviour().cut_streams),
    }
}

async fn behaviour(State(agent): State<Arc<Agent>>) -> Response {
    line(&*agent.behaviour())
}

async fn behave(State(agent): State<Arc<Agent>>, Json(wanted): Json<Behaviour>) -> Response {
    if let Some(wrong) = wanted.wrong() {
        return (StatusCode::UNPROCESSABLE_ENTITY, format!("{wrong}\n")).into_response();
    }
    let told = line(&wanted);
    *agent.behaviour() = wanted;
    told
}

// === impl Agent ===

impl Agent {
    // A panic under the lock leaves a whole value, so poisoning is safe to ignore.
    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Injects the configured faults; `None` when the request is to be served.
    async fn inject_fault(&self) -> Option<Response> {
        let behaviour = self.behaviour().clone();
        if !behaviour.latency.0.is_zero() {
            tokio::time::sleep(behaviour.latency.0).await;
        }
        let failure = || {
            let body = json!({ "release": self.release, "version": self.version, "error": "out of sorts" });
            (StatusCode::INTERNAL_SERVER_ERROR, line(&body)).into_response()
        };
        behaviour.fails(rand::random()).then(failure)
    }
}
