//! Limits that keep one caller from starving the others, and the responses beyond them.
//!
//! Reads and changes have separate limits, so that no flood of dashboards can block a change. Rollbacks and probes have
//! none. Each wait of a request has its own time limit: for its body, for the disk, for a rendering.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::trace::TraceLayer;

use super::{auth::changes, error::ApiError};

/// Concurrent requests of a kind; a read counts until its response is written.
const CONCURRENCY: usize = 64;

/// Limits on concurrent requests.
#[derive(Clone)]
struct Concurrency {
    reads: Arc<Semaphore>,
    changes: Arc<Semaphore>,
}

/// Adds the limits to ordinary requests.
pub(super) fn around(router: Router) -> Router {
    let limits = Concurrency {
        reads: Arc::new(Semaphore::new(CONCURRENCY)),
        changes: Arc::new(Semaphore::new(CONCURRENCY)),
    };
    router
        .layer(from_fn_with_state(limits, within))
        .layer(TraceLayer::new_for_http())
}

async fn within(State(limits): State<Concurrency>, request: Request, next: Next) -> Response {
    let is_change = changes(request.method());
    let limit = if is_change {
        limits.changes
    } else {
        limits.reads
    };
    let Ok(permit) = limit.try_acquire_owned() else {
        return overloaded().into_response();
    };
    let response = next.run(request).await;
    if is_change {
        return response;
    }
    response.map(|inner| {
        Body::new(Counted {
            inner,
            _permit: permit,
        })
    })
}

fn overloaded() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests in progress",
    )
    .field(header::RETRY_AFTER, "1")
}

/// A body that counts as a request until it is written.
struct Counted {
    inner: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::to_bytes,
        routing::{get, put},
    };
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    fn router() -> Router {
        around(
            Router::new()
                .route("/", get(async || "done"))
                .route("/", put(async || "done")),
        )
    }

    async fn params(router: &Router, method: &str) -> Response {
        let request = Request::builder().method(method).uri("/");
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_count_and_stand_in_no_changes_way() {
        let router = router();
        let mut unread = Vec::new();
        for _ in 0..CONCURRENCY {
            unread.push(params(&router, "GET").await);
        }
        let refused = params(&router, "GET").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        let body = to_bytes(refused.into_body(), 4096).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "urn:switchback:problem:overloaded");
        assert_eq!(params(&router, "PUT").await.status(), StatusCode::OK);
        unread.pop();
        assert_eq!(params(&router, "GET").await.status(), StatusCode::OK);
    }
}
