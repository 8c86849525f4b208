//! The wait of a request on a paused route.

use crate::table::Pause;

use super::error::ProxyError;
use super::guards::count_refusal;
use super::io::{ClientBody, RequestMeta};
use super::request_context::RequestContext;
use super::waiting::{WaitAborted, or_client_closed};

/// Waits until the table changes: the request is then selected for again, and waits on if its route is still paused. It is
/// sent nowhere, so it goes where the table says by then.
pub(super) async fn wait_for_resume<C: ClientBody>(
    context: &RequestContext,
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
    let waited = context.worker.timers.now().since(context.started);
    let Some(left) = pause.max_wait().checked_sub(waited) else {
        return refused();
    };
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(left);
    let changed = async {
        tokio::select! {
            () = context.worker.table_changed.notified() => true,
            () = deadline.expired() => false,
        }
    };
    if or_client_closed(context, meta, client, changed).await? {
        Ok(())
    } else {
        refused()
    }
}
