//! The router: paths and guards.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};

use super::{
    cors::{Origins, cors},
    error::bare,
    evaluate, events,
    state::OfrepState,
};
use crate::config::Ofrep;

/// The listener's paths, for these settings.
pub fn router(state: OfrepState, settings: &Ofrep) -> Router {
    let origins = Arc::new(Origins(settings.origins.clone()));
    Router::new()
        .route("/ofrep/v1/evaluate/flags/{key}", post(evaluate::one))
        .route("/ofrep/v1/evaluate/flags", post(evaluate::all))
        .layer(from_fn_with_state(state.clone(), authenticate))
        .route("/ofrep/v1/events", get(events::events))
        .fallback(no_such_path)
        .layer(from_fn_with_state(origins, cors))
        .with_state(state)
}

/// Lets requests with a token pass.
async fn authenticate(State(state): State<OfrepState>, request: Request, next: Next) -> Response {
    if state.access().allows(request.headers()) {
        return next.run(request).await;
    }
    let mut response = bare(StatusCode::UNAUTHORIZED);
    let challenge = HeaderValue::from_static("Bearer realm=\"switchback flags\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

async fn no_such_path() -> Response {
    bare(StatusCode::NOT_FOUND)
}
