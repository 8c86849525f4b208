//! The wait of a request on a paused route.

use std::time::Duration;

use crate::table::Pause;

use super::error::ProxyError;
use super::guards::count_refusal;
use super::io::{ClientBody, RequestMeta};
use super::request_context::RequestContext;
use super::waiting::{WaitAborted, or_client_closed};

/// Waits until the table changes: the request is then selected for again, and waits on if its route is still paused. It is
/// sent nowhere, so it goes where the table says by then. The time of the wait is no time of the release that it goes to.
pub(super) async fn wait_for_resume<C: ClientBody>(
    context: &mut RequestContext,
    pause: &Pause,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let refused = || {
        count_refusal(pause.route(), &ProxyError::Paused);
        Err(WaitAborted::Error(ProxyError::Paused))
    };
    let Some(_place) = pause.enter() else {
        return refused();
    };
    let paused_for = context
        .guarded
        .get()
        .map(|guarded| guarded.paused_for.get());
    let paused_for = paused_for.unwrap_or_default();
    let most = pause.max_wait().min(meta.within.unwrap_or(Duration::MAX));
    let Some(left) = most.checked_sub(paused_for) else {
        return refused();
    };
    let begun = context.worker.timers.now();
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(left);
    let changed = async {
        tokio::select! {
            () = context.worker.table_changed.notified() => true,
            () = deadline.expired() => false,
        }
    };
    let changed = or_client_closed(context, meta, client, changed).await?;
    let waited = context.worker.timers.now().since(begun);
    context.started = context.started.later(waited);
    let guarded = context.guarded.get_or_init(Box::default);
    guarded.paused_for.set(paused_for + waited);
    if changed { Ok(()) } else { refused() }
}
