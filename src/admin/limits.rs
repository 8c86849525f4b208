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
    within(router, TIME)
}

fn within(router: Router, time: Duration) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(HandleErrorLayer::new(beyond))
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(CONCURRENCY))
            .layer(TimeoutLayer::new(time)),
    )
}

/// Puts the limit of time around rollbacks.
pub(super) fn around_rollbacks(router: Router) -> Router {
    rollbacks_within(router, TIME)
}

fn rollbacks_within(router: Router, time: Duration) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(HandleErrorLayer::new(beyond))
            .layer(TimeoutLayer::new(time)),
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

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, Bytes, to_bytes},
        http::{Request, header},
        response::Response,
        routing::{get, post},
    };
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    /// A handler that reads the body to its end, which may never come.
    fn slow() -> Router {
        Router::new()
            .route("/", get(async || "done"))
            .route("/", post(async |body: Bytes| body))
    }

    fn endless() -> Request<Body> {
        Request::post("/").body(Body::new(Never)).unwrap()
    }

    struct Never;

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    async fn refused(response: Response, kind: &str) {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], format!("urn:switchback:problem:{kind}"));
    }

    #[tokio::test]
    async fn who_takes_too_long_is_told_to_come_again() {
        let time = Duration::from_millis(30);
        for router in [within(slow(), time), rollbacks_within(slow(), time)] {
            let response = router.oneshot(endless()).await.unwrap();
            refused(response, "timeout").await;
        }
    }

    /// Lets every task have its turn: a runtime does not poll them all between two looks at its timers.
    async fn turn_often() {
        for _ in 0..4 * CONCURRENCY {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn beyond_the_limit_requests_are_refused_at_once_and_rollbacks_are_not() {
        let (router, rollbacks) = (around(slow()), around_rollbacks(slow()));
        let fill = |router: &Router| {
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..CONCURRENCY {
                waiting.spawn(router.clone().oneshot(endless()));
            }
            waiting
        };
        let ask = || Request::get("/").body(Body::empty()).unwrap();
        let (busy, _busy_too) = (fill(&router), fill(&rollbacks));
        turn_often().await;
        let response = router.clone().oneshot(ask()).await.unwrap();
        refused(response, "overloaded").await;
        let response = rollbacks.oneshot(ask()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        drop(busy);
        turn_often().await;
        let response = router.oneshot(ask()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
