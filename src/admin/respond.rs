//! From a request to the controller and back: a change becomes a receipt, a dry run or an error.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use tokio::{sync::oneshot, task::JoinError};

use super::{
    auth::changes,
    caller::Caller,
    error::ApiError,
    idempotency::{asks_only, keep},
    json_response::tagged,
    params::ChangeParams,
    problems::refused,
    state::AdminState,
    waits::Waits,
};
use crate::{
    api::{Receipt, WaitUntil},
    control::{ControlError, Controller, EarlyReceipt, KeyGuard, LeftReleases, RollbackTo},
    model::{Change, NameError},
};

/// Applies a change, or reports what it would do.
pub(super) async fn answer(
    admin: &AdminState,
    params: ChangeParams,
    change: Change,
) -> Result<Response, ApiError> {
    answer_over(admin, params, change, None).await
}

/// Applies a change, of which an abort may be spread over a time, or reports what it would do.
pub(super) async fn answer_over(
    admin: &AdminState,
    mut params: ChangeParams,
    change: Change,
    over: Option<Duration>,
) -> Result<Response, ApiError> {
    let controller = Arc::clone(&admin.controller);
    let expected = params.condition.expected()?;
    params.check_fleet(&controller)?;
    let scope = ErrorScope::of(&change);
    if params.dry_run {
        let consent = params.consent();
        let group = params.author().group;
        let looked = move || controller.dry_run_in(&change, expected, consent, group.as_deref());
        let dry_run = admin.pages.look(looked).await?;
        let dry_run = dry_run.map_err(|error| scope.refused(error))?;
        return Ok(tagged(dry_run.revision, &dry_run));
    }
    let (author, consent) = (params.author(), params.consent());
    let (until, waits) = (params.until, admin.waits.clone());
    let _changing = params.changing();
    let key_guard = params.take_key_guard();
    let work = async move |responder| {
        let early = match (over, change) {
            (Some(over), Change::Abort { route }) => {
                let made = controller.abort_over(route, over, author, expected, consent);
                made.await
            }
            (_, change) => {
                let made = controller.apply_early(change, author, expected, consent);
                made.await
            }
        };
        let is_recorded = early.as_ref().is_ok_and(|early| early.changed);
        let after = WaitAfter {
            controller: &controller,
            waits,
            until,
        };
        send_receipt(responder, early, (key_guard, is_recorded), after).await;
    };
    let done = respond_early(work).await?;
    receipt(done.map_err(|error| scope.refused(error)))
}

/// Restores an earlier revision, or reports what that would do.
pub(super) async fn roll_back(
    admin: &AdminState,
    params: ChangeParams,
    to: RollbackTo,
) -> Result<Response, ApiError> {
    let mut params = params.without_health_wait()?;
    let controller = Arc::clone(&admin.controller);
    let expected = params.condition.expected()?;
    params.check_fleet(&controller)?;
    if params.dry_run {
        let looked = move || controller.dry_run_rollback(&to, expected, params.force);
        let dry_run = admin.pages.look(looked).await?.map_err(refused)?;
        return Ok(tagged(dry_run.revision, &dry_run));
    }
    let (author, consent) = (params.author(), params.consent());
    let (until, waits) = (params.until, admin.waits.clone());
    let _changing = params.changing();
    let key_guard = params.take_key_guard();
    let work = async move |responder| {
        let early = controller.rollback_early(to, author, expected, consent);
        // A failing disk refuses no rollback, not even one that changes nothing.
        let after = WaitAfter {
            controller: &controller,
            waits,
            until,
        };
        send_receipt(responder, early.await, (key_guard, true), after).await;
    };
    let done = respond_early(work).await?;
    receipt(done.map_err(refused))
}

fn receipt(result: Result<Receipt, ApiError>) -> Result<Response, ApiError> {
    let receipt = result?;
    Ok(tagged(receipt.revision, &receipt))
}

/// Runs work to its end even if the client disconnects: that must not leave a change half-way. Every change has its own
/// time limit.
pub(super) async fn run_detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work)
        .await
        .map_err(|error| broken(Some(error)))
}

/// The sender of a response from work that goes on after it.
struct Responder<T>(oneshot::Sender<T>);

impl<T> Responder<T> {
    async fn send(self, response: T) {
        // The client may have disconnected.
        drop(self.0.send(response));
        // Lets the response be written.
        tokio::task::yield_now().await;
    }
}

/// Runs work to its end, and returns the response as soon as the work sends it.
///
/// The response has one way out, the channel. The task's own result is looked at only if the channel closes without a
/// response, which only a panic can cause. Waiting for both at once could discard a response that arrives between two
/// polls.
async fn respond_early<T: Send + 'static, W: Future<Output = ()> + Send + 'static>(
    work: impl FnOnce(Responder<T>) -> W,
) -> Result<T, ApiError> {
    let (sender, response) = oneshot::channel();
    let task = tokio::spawn(work(Responder(sender)));
    match response.await {
        Ok(response) => Ok(response),
        Err(_closed) => Err(broken(task.await.err())),
    }
}

/// Keeps a receipt under its key and sends it. The effects of its swap run afterwards.
async fn send_receipt(
    responder: Responder<Result<Receipt, ControlError>>,
    early: Result<EarlyReceipt<'_>, ControlError>,
    (key_guard, is_recorded): (Option<Arc<KeyGuard>>, bool),
    after: WaitAfter<'_>,
) {
    let (left, (mut receipt, mut effects)) = match early {
        Ok(early) => (early.left().cloned(), early.into_parts()),
        Err(error) => return responder.send(Err(error)).await,
    };
    let kept = keep(
        key_guard.as_deref(),
        &receipt,
        receipt.revision,
        is_recorded,
    )
    .await;
    // A repeat of the request need not wait for the effects.
    drop(key_guard);
    if after.until.is_some() {
        // They are not to wait with the client.
        drop(effects.take());
        after.wait(&mut receipt, left.as_ref()).await;
    }
    responder.send(kept.map(|()| receipt)).await;
    drop(effects);
}

/// The wait of a request after its change was made.
struct WaitAfter<'a> {
    controller: &'a Controller,
    waits: Waits,
    until: Option<(WaitUntil, Duration)>,
}

impl WaitAfter<'_> {
    /// Waits as the request says, and adds to the receipt what has come of it. The change is made, so a wait for which
    /// there is no place is no error: the receipt says how far the change has come.
    async fn wait(&self, receipt: &mut Receipt, left: Option<&LeftReleases>) {
        let Some((until, longest)) = self.until else {
            return;
        };
        let wait = async {
            match (until, left) {
                (WaitUntil::Drained, Some(left)) => {
                    self.controller.wait_left(receipt, left, longest).await;
                }
                (WaitUntil::Fleet, _) => self.controller.wait_fleet(receipt, longest).await,
                (WaitUntil::Converged, _) | (WaitUntil::Drained, None) => {
                    self.controller.wait_converged(receipt, longest).await;
                }
            }
        };
        let _has_waited = self.waits.run(wait).await;
    }
}

fn broken(error: Option<JoinError>) -> ApiError {
    let error = error.map(|error| error.to_string());
    tracing::error!(error, "a change did not complete");
    ApiError::internal()
}

/// Cause of an invalid table after a change: the request alone, which is 422, or the request together with what is
/// live, or one part of a document together with another, which is 409.
#[derive(Clone, Copy)]
enum ErrorScope {
    Alone,
    Together,
}

impl ErrorScope {
    fn of(change: &Change) -> Self {
        match change {
            Change::SetEndpoints { .. } | Change::SetPause { .. } | Change::SetSplit { .. } => {
                Self::Alone
            }
            Change::Abort { .. }
            | Change::Batch { .. }
            | Change::PatchFlag { .. }
            | Change::PatchSplit { .. }
            | Change::Promote { .. }
            | Change::PutFlag { .. }
            | Change::PutRelease { .. }
            | Change::PutRoute { .. }
            | Change::RemoveFlag { .. }
            | Change::RemoveRelease { .. }
            | Change::RemoveRoute { .. }
            | Change::Replace { .. }
            | Change::SetFlagState { .. }
            | Change::SetPercents { .. }
            | Change::Switch { .. } => Self::Together,
        }
    }

    fn refused(self, error: ControlError) -> ApiError {
        let mut refusal = refused(error);
        if matches!(self, Self::Alone) && refusal.document.word() == "invalid" {
            refusal.document.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
        }
        refusal
    }
}

/// Parses a name in a path; it may be a new one.
pub(super) fn named<T: FromStr<Err = NameError>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: NameError| ApiError::invalid(error.to_string()))
}

/// Logs every change with its author, even a failed one.
pub(super) async fn audit(request: Request, next: Next) -> Response {
    if !changes(request.method()) {
        return next.run(request).await;
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let method = request.method().clone();
    let target: String = request.uri().path().chars().take(200).collect();
    let dry_run = asks_only(request.uri().query());
    let response = next.run(request).await;
    let revision = response.headers().get(header::ETAG);
    tracing::info!(
        target: "audit",
        name = caller.as_ref().map(|caller| &*caller.name),
        role = ?caller.as_ref().map(|caller| caller.role),
        %method,
        path = target,
        dry_run,
        status = response.status().as_u16(),
        revision = revision.and_then(|tag| tag.to_str().ok()).map(|tag| tag.trim_matches('"')),
        "change requested"
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_there_after_its_task_has_ended() {
        let (rest, is_over) = oneshot::channel();
        let mut asked = std::pin::pin!(respond_early(async move |responder| {
            Responder::send(responder, 7).await;
            rest.send(()).unwrap();
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending());
        is_over.await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(asked.await.ok(), Some(7));
    }

    #[tokio::test]
    async fn what_panics_is_answered_and_what_follows_an_answer_does_not_take_it_back() {
        let lost = respond_early::<(), _>(async |_responder| assert_eq!(1, 2)).await;
        assert_eq!(
            lost.unwrap_err().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
        let kept = respond_early(async |responder| {
            Responder::send(responder, 7).await;
            assert_eq!(1, 2);
        })
        .await;
        assert_eq!(kept.ok(), Some(7));
    }
}
