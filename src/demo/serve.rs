//! A sample agent: its endpoints and its fault injection.
//!
//! - any path: JSON that names the release
//! - `GET /stream?tokens=20&every=100ms`: tokens as server-sent events
//! - `GET /ws`: a WebSocket that echoes
//! - `GET /healthz`: 200
//! - `GET /behave`, `POST /behave` with `{"error_rate":0.3,"latency":"200ms","cut_streams":true}`: the injected faults;
//!   a key that is left out means no fault

use std::{net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use super::{
    agent::{Agent, line},
    faults::Behaviour,
    stream::{Asked, stream},
    websocket,
};

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
    let agent = Arc::new(Agent::new(release, version));
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
    line(&json!({
        "release": agent.release,
        "version": agent.version,
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "answer": agent.next_answer(),
    }))
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
