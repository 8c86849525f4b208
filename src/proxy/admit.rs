//! The step before a release is chosen: the guards of the route, and its own answers.

use std::rc::Rc;
use std::sync::Arc;

use crate::message::Rejection;
use crate::table::{Answers, Guards, Pause, Route};

use super::decide::{DecisionInput, is_override};
use super::error::ProxyError;
use super::guards;
use super::io::RequestParts;
use super::route_answer::RouteAnswer;
use super::route_cache::CachedRoute;
use super::worker::Worker;

/// A request for which its route lets no release be chosen, or not yet.
pub(super) struct NotAdmitted {
    pub(super) route: Rc<CachedRoute>,
    pub(super) reason: NotAdmittedReason,
}

/// The reason for that.
pub(super) enum NotAdmittedReason {
    /// The route gives the response itself, or refuses the request.
    Answered(ProxyError),
    /// The route is paused.
    Paused(Arc<Pause>),
}

/// Lets a request pass what its route asks of it. A redirect comes first, so that no credentials are asked for where they
/// could be read; what the route answers itself is behind its guards.
#[cold]
#[inline(never)]
pub(super) fn admit(
    worker: &Worker,
    route: &Arc<Route>,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<(), NotAdmitted> {
    pass(worker, route, request, input).map_err(|reason| NotAdmitted {
        route: worker.cached_route(route),
        reason,
    })
}

fn pass(
    worker: &Worker,
    route: &Route,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<(), NotAdmittedReason> {
    let answers = route.answers();
    let answer = answers.and_then(|answers| answered(worker, (route, answers), request, input));
    let is_redirect = answer.as_ref().is_some_and(ProxyError::is_redirect);
    if let Some(guards) = route.guards().filter(|_| !is_redirect) {
        guards::pass(worker, (route, guards), request, input)
            .map_err(NotAdmittedReason::Answered)?;
    }
    if let Some(answer) = answer {
        return Err(NotAdmittedReason::Answered(answer));
    }
    let pause = route.guards().and_then(Guards::pause);
    match pause.filter(|_| !input.peer.is_own) {
        Some(pause) => Err(NotAdmittedReason::Paused(Arc::clone(pause))),
        None => Ok(()),
    }
}

/// The response of the route itself, if it gives one to the request.
fn answered(
    worker: &Worker,
    (route, answers): (&Route, &Answers),
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Option<ProxyError> {
    let is_override = || is_override(&worker.shared.settings, route, request, input);
    match RouteAnswer::of(answers, request, input.peer, is_override) {
        Ok(answer) => answer.map(|answer| ProxyError::ByRoute(Box::new(answer))),
        Err(reason) => Some(Rejection::request(reason).into()),
    }
}
