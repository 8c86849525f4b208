//! Feedback of users, on the admin API and on a listener of its own.
//!
//! A user's application is no operator: it reaches the listener of `[feedback]`, where the stamp alone is the permission
//! unless the file says otherwise, and how often is limited. Such a listener says nothing of releases and routes.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRef, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::post,
};

use super::{
    body::{Body, announced},
    connections::Connection,
    error::{ApiError, no_such_method, no_such_path},
    feedback_desk::{FeedbackState, refused},
    json_response::json,
    state::AdminState,
    unread_body::close_if_unread,
};
use crate::{
    api::{FeedbackAnswer, FeedbackList, FeedbackReceipt, FeedbackRequest},
    config::{Feedback, Network},
    control::Answer,
    net::{RateLimit, Rates},
};

/// Longest body of feedback, in bytes.
const LONGEST_BODY: usize = 4 << 10;

/// Limits of the listener, and the proxies before it.
struct Gate {
    rates: Mutex<RateLimit>,
    start: Instant,
    trusted: Vec<Network>,
}

impl FromRef<AdminState> for FeedbackState {
    fn from_ref(state: &AdminState) -> Self {
        state.feedback.clone()
    }
}

/// Counts what a user says of an answer, once for each answer, at the release that gave it.
///
/// The stamp comes from the answer itself, on a route with `expose_release = "sealed"`. By the id of a request or by a
/// session, the answer is looked for in the memories of this instance's workers, on a route with `feedback_by`. This path
/// is also on the listener of `[feedback]`, without a token; the response does not name the release there.
#[utoipa::path(post, path = "/v1/feedback", tag = "feedback", request_body = FeedbackRequest,
    responses((status = 200, description = "it was counted, or one of this answer was before", body = FeedbackReceipt)))]
pub(super) async fn give_feedback(
    State(desk): State<FeedbackState>,
    Body(request): Body<FeedbackRequest>,
) -> Result<Response, ApiError> {
    let (counted, answer) = desk.take(&request).await?;
    let Answer {
        route,
        release,
        version,
        revision,
        ..
    } = answer;
    let answer = FeedbackAnswer {
        route,
        release,
        version,
        revision,
    };
    Ok(json(&FeedbackReceipt {
        counted,
        answer: Some(answer),
    }))
}

/// Opinions of each release on each route, since the start of this process.
#[utoipa::path(get, path = "/v1/feedback", tag = "feedback",
    responses((status = 200, description = "the opinions by release", body = FeedbackList)))]
pub(super) async fn list_feedback(State(admin): State<AdminState>) -> Response {
    json(&FeedbackList {
        feedback: admin.controller.feedback(),
    })
}

/// Router of the separate listener for feedback: this one path and nothing else.
pub fn feedback_router(desk: FeedbackState, settings: &Feedback, trusted: Vec<Network>) -> Router {
    let rates = Rates {
        per_client: settings.per_client,
        all: settings.rate,
    };
    let gate = Arc::new(Gate {
        rates: Mutex::new(RateLimit::new(rates)),
        start: Instant::now(),
        trusted,
    });
    Router::new()
        .route("/v1/feedback", post(give_hidden))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn_with_state(LONGEST_BODY, announced))
        .layer(from_fn_with_state(gate, within_rate))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(close_if_unread))
        .with_state(desk)
}

async fn give_hidden(
    State(desk): State<FeedbackState>,
    Body(request): Body<FeedbackRequest>,
) -> Result<Response, ApiError> {
    let counted = desk.take_of_user(&request).await?;
    Ok(json(&FeedbackReceipt {
        counted,
        answer: None,
    }))
}

async fn within_rate(
    State(gate): State<Arc<Gate>>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    if gate.takes(client(connection.peer(), &gate.trusted, request.headers())) {
        return next.run(request).await;
    }
    refused("rate");
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-much-feedback",
        "too much feedback",
    )
    .field(header::RETRY_AFTER, "1")
    .into_response()
}

impl Gate {
    fn takes(&self, client: IpAddr) -> bool {
        let now = self.start.elapsed().as_micros();
        // Safe to ignore poisoning: each field is right by itself.
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(client, u64::try_from(now).unwrap_or(u64::MAX))
    }
}

/// The client of a request: the peer, or the address that a trusted proxy gives.
fn client(peer: IpAddr, trusted: &[Network], fields: &HeaderMap) -> IpAddr {
    if !trusted.iter().any(|network| network.contains(peer)) {
        return peer;
    }
    let named = fields.get_all("x-forwarded-for").iter().next_back();
    let last = named
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next());
    last.and_then(|text| text.trim().parse().ok())
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_names_another_client() {
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut fields = HeaderMap::new();
        fields.append("x-forwarded-for", "192.0.2.9, 192.0.2.7".parse().unwrap());
        let seen = |peer: &str| client(peer.parse().unwrap(), &trusted, &fields).to_string();
        assert_eq!(seen("10.0.0.3"), "192.0.2.7");
        assert_eq!(seen("11.0.0.3"), "11.0.0.3");
        let none = client("10.0.0.3".parse().unwrap(), &trusted, &HeaderMap::new());
        assert_eq!(none.to_string(), "10.0.0.3");
    }
}
