//! Another poll of a task, after the others.

use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

/// Has the task polled again after all tasks that are ready by then, sockets included. A plain wake would run it before
/// the sockets are polled.
pub(super) fn poll_again(cx: &mut Context<'_>) {
    // The first poll registers the waker with the runtime; nothing else is needed.
    let _ = pin!(yield_now()).poll(cx);
}
