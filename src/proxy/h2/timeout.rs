//! Timeouts for one step of a body, and for the end of a connection.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::net::Deadline;

/// Timeout for the end of a connection.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for `step`, up to `timeout`. A step that is ready at once does not touch the deadline.
pub(super) async fn with_timeout<T>(
    deadline: &Deadline,
    patience: Duration,
    step: impl Future<Output = T>,
) -> Option<T> {
    let mut step = std::pin::pin!(step);
    let mut is_armed = false;
    poll_fn(|cx| {
        if let Poll::Ready(done) = step.as_mut().poll(cx) {
            if is_armed {
                deadline.clear();
            }
            return Poll::Ready(Some(done));
        }
        if !is_armed {
            deadline.set_from_now(patience);
            is_armed = true;
        }
        deadline.poll_expired(cx).map(|()| None)
    })
    .await
}
