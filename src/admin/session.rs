//! Endpoints of browser sessions. They need no token: they tell what a caller may do, and take the token.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    auth::{Authenticator, unauthorized},
    auth_failures::Rejected,
    body::{Body, NoBody},
    browser_sessions::LIFETIME,
    caller::Caller,
    connections::Connection,
    error::ApiError,
    json_response::json,
};
use crate::{
    api::{LoginRequest, Session, Timestamp},
    config::TokenRole,
};

/// Path of these endpoints.
const PATH: &str = "/v1/session";
/// Longest token, in characters.
const LONGEST_TOKEN: usize = 4096;

/// The caller, by token or cookie.
#[utoipa::path(get, path = "/v1/session", tag = "observe", security(()),
    responses((status = 200, description = "the caller, if there is one", body = Session)))]
pub(super) async fn read_session(
    State(authenticator): State<Arc<Authenticator>>,
    headers: HeaderMap,
) -> Response {
    let now = Instant::now();
    let caller = authenticator.caller(&headers, now).ok();
    let left = authenticator.session(&headers, now).map(|session| {
        let left = session.ends.saturating_duration_since(now);
        Timestamp::of(SystemTime::now() + left)
    });
    let ends_at = left.filter(|_| authenticator.asks() && caller.is_some());
    json(&session(&authenticator, caller.as_ref(), ends_at))
}

/// Exchanges a token for a cookie, for browsers.
#[utoipa::path(post, path = "/v1/session", tag = "observe", security(()), request_body = LoginRequest,
    responses((status = 200, description = "the caller; the cookie is in `set-cookie` if the API asks for a token", body = Session),
        (status = 401, description = "the token is unknown", body = crate::api::ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn log_in(
    State(authenticator): State<Arc<Authenticator>>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    if request.token.chars().count() > LONGEST_TOKEN {
        let message = format!("`token` has at most {LONGEST_TOKEN} characters");
        return Err(ApiError::invalid(message));
    }
    if !authenticator.asks() {
        return Ok(json(&session(&authenticator, Some(&Caller::local()), None)));
    }
    let peer = connection.map(|Extension(connection)| connection.peer());
    let caller = authenticator.known(&request.token).map_err(|failure| {
        let rejected = Rejected {
            peer,
            method: &Method::POST,
            path: PATH,
        };
        authenticator.note(&rejected, failure);
        unauthorized(failure)
    })?;
    let cookie = authenticator.begin(caller.clone(), &headers, Instant::now());
    let cookie = cookie.ok_or_else(ApiError::internal)?;
    let peer = peer.map(|peer| peer.to_string());
    tracing::info!(target: "audit", name = &*caller.name, peer, "a browser has logged in");
    let ends_at = Timestamp::of(SystemTime::now() + LIFETIME);
    let mut response = json(&session(&authenticator, Some(&caller), Some(ends_at)));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Ends the session of the cookie.
#[utoipa::path(delete, path = "/v1/session", tag = "observe", security(()),
    responses((status = 204, description = "the session has ended, if there was one")))]
pub(super) async fn log_out(
    State(authenticator): State<Arc<Authenticator>>,
    headers: HeaderMap,
    _: NoBody,
) -> Response {
    let cookie = authenticator.end(&headers);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

fn session(
    authenticator: &Authenticator,
    caller: Option<&Caller>,
    ends_at: Option<Timestamp>,
) -> Session {
    Session {
        token_required: authenticator.asks(),
        caller: caller.map(|caller| caller.name.to_string()),
        may_change: caller.is_some_and(|caller| caller.role == TokenRole::Operator),
        ends_at,
    }
}
