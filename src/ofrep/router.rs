//! The router: paths and guards.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, uri::Authority},
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
use crate::{config::Ofrep, net::Hosts};

/// The listener's paths, for these settings.
pub fn router(state: OfrepState, settings: &Ofrep, bound: SocketAddr) -> Router {
    let origins = Arc::new(Origins(settings.origins.clone()));
    let router = Router::new()
        .route("/ofrep/v1/evaluate/flags/{key}", post(evaluate::one))
        .route("/ofrep/v1/evaluate/flags", post(evaluate::all))
        .layer(from_fn_with_state(state.clone(), authenticate))
        .route("/ofrep/v1/events", get(events::events))
        .fallback(no_such_path)
        .layer(from_fn_with_state(origins, cors));
    if state.access().asks() {
        return router.with_state(state);
    }
    // A page has no token, so it is kept out by its name.
    let hosts = Arc::new(Hosts::new(bound, &[]));
    router
        .layer(from_fn_with_state(hosts, by_own_name))
        .with_state(state)
}

/// Refuses a page whose own name was made to resolve to our address (DNS rebinding).
async fn by_own_name(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let field = request.headers().get(header::HOST);
    let host = field.and_then(|field| field.to_str().ok()?.parse::<Authority>().ok());
    if host.is_some_and(|host| hosts.is_own(host.host())) {
        return next.run(request).await;
    }
    bare(StatusCode::MISDIRECTED_REQUEST)
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
