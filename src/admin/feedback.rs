//! Feedback of users, on the admin API and on a listener of its own.
//!
//! A user's application is no operator: it reaches the listener of `[feedback]`, where the stamp alone is the permission,
//! and how often is limited. Such a listener says nothing of releases.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
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
    feedback_rate::{RateLimit, Rates},
    json_response::json,
    state::AdminState,
    unread_body::close_if_unread,
};
use crate::{
    api::{FeedbackAnswer, FeedbackList, FeedbackReceipt, FeedbackRequest, LONGEST_LABEL},
    config::{Feedback, Network},
    control::{Answer, Controller},
    model::{Opinion, OpinionSign, Revision, Version},
    seal::{Content, KeyRing, Stamp},
    telemetry::names,
};

/// Longest body of feedback, in bytes.
const LONGEST_BODY: usize = 4 << 10;

/// The desk that takes feedback.
#[derive(Clone)]
pub struct FeedbackState {
    controller: Arc<Controller>,
    seal: Arc<KeyRing>,
    valid_seconds: u64,
    labels: Arc<BTreeMap<String, OpinionSign>>,
}

/// Limits of the listener, and the proxies before it.
struct Gate {
    rates: Mutex<RateLimit>,
    start: Instant,
    trusted: Vec<Network>,
}

impl FeedbackState {
    /// The desk of a controller.
    pub fn new(controller: Arc<Controller>, seal: Arc<KeyRing>, settings: &Feedback) -> Self {
        Self {
            controller,
            seal,
            valid_seconds: settings.valid_for.0.as_secs(),
            labels: Arc::new(settings.labels.clone()),
        }
    }

    /// Counts an opinion; returns if it was counted, and the answer.
    fn take(&self, request: &FeedbackRequest) -> Result<(bool, Answer), ApiError> {
        let opinion = self.opinion(request)?;
        let answer = self.answer(&request.stamp)?;
        let counted = self.controller.take_feedback(&answer, opinion);
        if !counted {
            refused("repeated");
        }
        Ok((counted, answer))
    }

    fn opinion(&self, request: &FeedbackRequest) -> Result<Opinion, ApiError> {
        let wrong = |detail: String| {
            refused("invalid");
            Err(ApiError::invalid(detail))
        };
        match (request.score, request.thumb, &request.label) {
            (Some(score), None, None) => {
                Opinion::of_score(score).map_or_else(|| wrong("`score` is -1 to 1".into()), Ok)
            }
            (None, Some(thumb), None) => Ok(Opinion::of_thumb(thumb)),
            (None, None, Some(label)) => match self.labels.get(label) {
                Some(sign) => Ok(Opinion::of_sign(*sign)),
                None => wrong(unknown_label(label)),
            },
            _ => wrong("exactly one of `score`, `thumb` and `label` is needed".into()),
        }
    }

    /// The answer of a stamp that is ours and holds.
    fn answer(&self, text: &str) -> Result<Answer, ApiError> {
        let mut content = Content::default();
        let forged = || {
            refused("forged");
            ApiError::new(
                StatusCode::FORBIDDEN,
                "forged-stamp",
                "the stamp is not one of ours",
            )
            .hint("send the field `x-switchback-stamp` of the answer, unchanged")
        };
        let stamp = Stamp::open(&self.seal, text.as_bytes(), &mut content).map_err(|_| forged())?;
        if stamp.age(now_seconds()) > self.valid_seconds {
            refused("expired");
            return Err(
                ApiError::new(StatusCode::GONE, "expired-stamp", "the stamp has expired")
                    .detail(format!("a stamp holds for {} s", self.valid_seconds)),
            );
        }
        answer_of(&stamp).ok_or_else(forged)
    }
}

fn answer_of(stamp: &Stamp<'_>) -> Option<Answer> {
    Some(Answer {
        route: stamp.route.parse().ok()?,
        release: stamp.release.parse().ok()?,
        version: Version::new(stamp.version).ok()?,
        revision: Revision(stamp.revision),
        number: stamp.number,
        session: stamp.session,
    })
}

fn unknown_label(label: &str) -> String {
    if label.chars().count() > LONGEST_LABEL {
        return format!("a label has at most {LONGEST_LABEL} characters");
    }
    "the label is none of `[feedback.labels]`".to_owned()
}

fn refused(reason: &'static str) {
    metrics::counter!(names::FEEDBACK_REFUSED.0, "reason" => reason).increment(1);
}

fn now_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl FromRef<AdminState> for FeedbackState {
    fn from_ref(state: &AdminState) -> Self {
        state.feedback.clone()
    }
}

/// Counts what a user says of an answer, once for each answer, at the release that gave it.
///
/// The stamp comes from the answer itself, on a route with `expose_release = "sealed"`. This path is also on the listener
/// of `[feedback]`, without a token; the response does not name the release there.
#[utoipa::path(post, path = "/v1/feedback", tag = "feedback", request_body = FeedbackRequest,
    responses((status = 200, description = "it was counted, or one of this answer was before", body = FeedbackReceipt)))]
pub(super) async fn give_feedback(
    State(desk): State<FeedbackState>,
    Body(request): Body<FeedbackRequest>,
) -> Result<Response, ApiError> {
    let (counted, answer) = desk.take(&request)?;
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

/// What was said of each release on each route, since the start of this process.
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
    let (counted, _) = desk.take(&request)?;
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
