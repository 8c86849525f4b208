//! Limits that keep one caller from starving the others, and what is answered beyond them.
//!
//! A rollback is under none of them but the time: no flood of dashboards may stand between an operator and the way back.

use std::time::Duration;

use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    http::{StatusCode, header},
};
use tower::{
    ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_http::trace::TraceLayer;

use super::refusal::Refusal;

/// Requests that may be in work at a time.
const CONCURRENCY: usize = 64;

/// How long a request may take, reading its body included. A publish is bounded by itself, far below.
const TIME: Duration = Duration::from_secs(20);

/// Puts the limits around ordinary requests.
pub(super) fn around(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(HandleErrorLayer::new(beyond))
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(CONCURRENCY))
            .layer(TimeoutLayer::new(TIME)),
    )
}

/// Puts the limit of time around rollbacks.
pub(super) fn around_rollbacks(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(HandleErrorLayer::new(beyond))
            .layer(TimeoutLayer::new(TIME)),
    )
}

async fn beyond(error: BoxError) -> Refusal {
    let late = error.is::<tower::timeout::error::Elapsed>();
    let (kind, title) = if late {
        ("timeout", "the request took too long")
    } else {
        ("overloaded", "too many requests are in work")
    };
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, kind, title).field(header::RETRY_AFTER, "1")
}
