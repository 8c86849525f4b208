//! The relay of one body, frame by frame, and the yield before a head is written.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::task::yield_now;

use super::budget::Budget;
use super::event_stream::EventBoundary;
use super::fair_queue::FairQueue;
use super::io::{BodySink, BodySource, RelayError};
use super::request_context::RequestContext;
use super::taken_fields::TakenFields;

/// Yields once to the other ready tasks. Data written after it leaves in one burst with that of other tasks: a sleeping
/// reader is woken by the first write and is awake for the rest. It does not wait for data that has yet to arrive.
/// Sets `yielding` so that the caller polls nothing else meanwhile.
pub(super) async fn yield_once(yielding: &Cell<bool>) {
    let mut was_polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        yielding.set(true);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Account of a body that is relayed: one reference, so that a request stays small.
pub(super) trait BodyAccount {
    /// Counts bytes that have come.
    fn add(&self, bytes: u64);

    /// Notes data of a stream of events: when the first of them came. Its head is often sent at once, and says nothing
    /// about when an answer begins.
    fn note_event(&self, data: &[u8]);
}

impl BodyAccount for RequestContext {
    #[inline]
    fn add(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
    }

    #[inline]
    fn note_event(&self, data: &[u8]) {
        if self.first_byte.get().is_none() && !data.is_empty() {
            self.first_byte.set(Some(self.worker.timers.now()));
        }
    }
}

/// Moves a body from source to sink. A pending head leaves with the first frame, or at once if none is ready.
/// `events` follows the boundaries of server-sent events, and when the first one comes.
/// A trailer field of those that `taken` returns is dropped.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn relay_body<'e, S: BodySource, K: BodySink>(
    source: &mut S,
    sink: &mut K,
    taken: impl Fn() -> TakenFields<'e>,
    (account, events): (&impl BodyAccount, Option<&EventBoundary>),
    queue: &FairQueue,
) -> impl Future<Output = Result<(), RelayError<S::Error, K::Error>>> {
    async move {
        if !source.is_ready() {
            sink.flush().await.map_err(RelayError::Sink)?;
        }
        let mut budget = Budget::new(queue);
        loop {
            let frame = if budget.is_greedy() {
                let mut next = pin!(source.next_frame());
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            } else {
                source.next_frame().await
            };
            let mut frame = frame.map_err(RelayError::Source)?;
            if let Some(trailers) = &mut frame.trailers {
                trailers.taken = taken();
            }
            let (last, length) = (frame.last, frame.data.len());
            account.add(length as u64);
            let end = events.map(|events| {
                account.note_event(frame.data);
                (events, events.begin(frame.data))
            });
            sink.send(frame).await.map_err(RelayError::Sink)?;
            if let Some((events, last)) = end {
                events.sent(last);
            }
            if last {
                return Ok(());
            }
            if budget.spend(length) {
                yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::proxy::io::BodyFrame;

    impl BodyAccount for Cell<u64> {
        fn add(&self, bytes: u64) {
            self.set(self.get() + bytes);
        }

        fn note_event(&self, _data: &[u8]) {}
    }

    /// A body whose next frame is always ready, and a sink that always accepts it.
    struct Endless([u8; 16 * 1024]);

    impl BodySource for Endless {
        type Error = Infallible;

        async fn next_frame(&mut self) -> Result<BodyFrame<'_>, Infallible> {
            Ok(BodyFrame {
                data: &self.0,
                last: false,
                trailers: None,
            })
        }

        fn is_ready(&mut self) -> bool {
            true
        }
    }

    struct Greedy;

    impl BodySink for Greedy {
        type Error = Infallible;

        async fn send(&mut self, _piece: BodyFrame<'_>) -> Result<(), Infallible> {
            Ok(())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    fn poll(relay: Pin<&mut impl Future>) {
        let polled = relay.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }

    #[test]
    fn a_body_without_end_lets_the_others_have_their_turn() {
        let (moved, turns) = (Cell::new(0), FairQueue::new());
        let (mut source, mut sink) = (Endless([0; 16 * 1024]), Greedy);
        let mut relay = pin!(relay_body(
            &mut source,
            &mut sink,
            TakenFields::default,
            (&moved, None),
            &turns
        ));
        for _ in 0..10 {
            let before = moved.get();
            poll(relay.as_mut());
            assert!((1..=2 * 64 * 1024).contains(&(moved.get() - before)));
        }
    }

    #[test]
    fn many_bodies_without_end_move_together_what_one_may() {
        let (moved, turns) = (Cell::new(0), FairQueue::new());
        let mut relays: Vec<_> = (0..16)
            .map(|_| {
                let (moved, turns) = (&moved, &turns);
                Box::pin(async move {
                    let (mut source, mut sink) = (Endless([0; 16 * 1024]), Greedy);
                    relay_body(
                        &mut source,
                        &mut sink,
                        TakenFields::default,
                        (moved, None),
                        turns,
                    )
                    .await
                })
            })
            .collect();
        // The first two rounds only mark them as greedy.
        let mut polled = |_| {
            let before = moved.get();
            for relay in &mut relays {
                poll(relay.as_mut());
            }
            moved.get() - before
        };
        let _ = (polled(0), polled(1));
        let most = (0..50).map(polled).max();
        assert!(
            most <= Some(3 * 64 * 1024),
            "{most:?} between two looks at the sockets"
        );
    }
}
