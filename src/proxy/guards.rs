//! The checks that a request has to pass on a route with guards, before a release is chosen for it.

use std::sync::Arc;

use crate::message::{KnownField, Reason, Rejection, RequestFraming};
use crate::model::{RequestView, RouteName};
use crate::table::{AccessError, AccessGuard, Cors, Guards, Route};
use crate::telemetry::names;

use super::answer_coding::AnswerCoding;
use super::decide::DecisionInput;
use super::error::ProxyError;
use super::guarded::Guarded;
use super::io::RequestParts;
use super::session::ClientView;
use super::worker::Worker;

/// Lets a request pass the guards of its route.
///
/// # Errors
/// The answer of a guard.
#[cold]
#[inline(never)]
pub(super) fn pass(
    worker: &Worker,
    (route, guards): (&Route, &Guards),
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<(), ProxyError> {
    let guarded = input.guarded.get_or_init(Box::default);
    guarded.reset();
    let passed = pass_all(worker, guards, (request, guarded), input);
    passed.inspect_err(|error| count_refusal(&route.spec().name, error))
}

fn pass_all(
    worker: &Worker,
    guards: &Guards,
    (request, guarded): (&RequestParts<'_>, &Guarded),
    input: &DecisionInput<'_>,
) -> Result<(), ProxyError> {
    if let Some(cors) = guards.cors() {
        // A preflight has no credentials, so it comes before what asks for them.
        check_origin(cors, request, guarded)?;
    }
    if let Some(rules) = guards.compression() {
        guarded.note_coding(AnswerCoding::of(rules, request));
    }
    if input.peer.is_own {
        return Ok(());
    }
    let now = worker.shared.epoch.elapsed();
    let client = ClientView::of_network(request, input.peer, &worker.shared.settings);
    if let Some(access) = guards.access() {
        let credentials = credentials(request);
        access
            .check(credentials, client.network(), now)
            .map_err(|error| refused(access, error))?;
        guarded.hides_authorization.set(!access.forwards());
    }
    check_length(guards, request, guarded)?;
    if guarded.is_metered.replace(true) {
        return Ok(());
    }
    guards.take(&client, now).map_err(ProxyError::RateLimited)
}

/// Notes the origin of the page that a request comes from, and answers its preflight.
fn check_origin(
    cors: &Arc<Cors>,
    request: &RequestParts<'_>,
    guarded: &Guarded,
) -> Result<(), ProxyError> {
    let origin = request.header("origin");
    let allowed = origin.filter(|origin| cors.allows(origin));
    guarded.note_origin(cors, allowed);
    let is_preflight = request.method == b"OPTIONS"
        && origin.is_some()
        && request.header("access-control-request-method").is_some();
    match allowed {
        _ if !is_preflight => Ok(()),
        Some(_) => Err(ProxyError::Preflight),
        None => Err(ProxyError::OriginRefused),
    }
}

/// The value of `Authorization`. Of several ones it is not clear which is meant, so they are none that can be right.
fn credentials<'h>(request: &RequestParts<'h>) -> Option<&'h [u8]> {
    let fields = request.fields.clone();
    let mut fields = fields.filter(|field| field.known == KnownField::Authorization);
    let first = fields.next()?;
    Some(if fields.next().is_some() {
        b""
    } else {
        first.value
    })
}

fn refused(access: &Arc<AccessGuard>, error: AccessError) -> ProxyError {
    match error {
        AccessError::Unauthorized => ProxyError::Unauthorized(Arc::clone(access)),
        AccessError::Wait(wait) => ProxyError::RateLimited(wait),
    }
}

/// Refuses a body that says that it is too long. One that says nothing is cut where it is.
fn check_length(
    guards: &Guards,
    request: &RequestParts<'_>,
    guarded: &Guarded,
) -> Result<(), ProxyError> {
    match (request.facts.framing, guards.max_body()) {
        (RequestFraming::Chunked, most) => {
            guarded.longest_body.set(most);
            Ok(())
        }
        (RequestFraming::Length(length), Some(most)) if length > most => {
            Err(Rejection::request(Reason::BodyTooLarge).into())
        }
        _ => Ok(()),
    }
}

/// Counts a request that its route refused. It is apart from what releases answered, and no evidence about any of them.
pub(super) fn count_refusal(route: &RouteName, error: &ProxyError) {
    if matches!(error, ProxyError::Preflight) {
        return;
    }
    let (route, reason) = (route.to_string(), error.reason().as_str());
    metrics::counter!(names::ROUTE_REFUSALS.0, "route" => route, "reason" => reason).increment(1);
}
