//! A stream in somebody's hands, and the way out of it.

use std::cell::{Cell, RefMut};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::head::trailers;
use super::link::Link;
use crate::http2::{Code, Connection, Gone, Key};
use crate::net::Deadline;
use crate::proxy::seam::Piece;

/// A stream. It is let go when this is dropped.
pub(in crate::proxy) struct Hold {
    link: Rc<Link>,
    key: Key,
    /// How far our direction is.
    sending: Cell<Sending>,
}

/// Why a piece did not leave.
pub(super) enum Unsent {
    /// The stream is gone.
    Gone(Gone),
    /// The peer takes no trailers of that length. The stream was broken off.
    TrailersTooLarge,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// A piece is on its way.
    Within,
    Over,
}

// === impl Hold ===

impl Hold {
    /// Takes a stream in hand; `is_over` if its head was all that we send on it.
    pub(super) fn new(link: Rc<Link>, key: Key, is_over: bool) -> Self {
        let sending = if is_over {
            Sending::Over
        } else {
            Sending::Open
        };
        Self {
            link,
            key,
            sending: Cell::new(sending),
        }
    }

    pub(in crate::proxy) fn engine(&self) -> RefMut<'_, Connection> {
        self.link.engine()
    }

    pub(in crate::proxy) fn key(&self) -> Key {
        self.key
    }

    /// Whether our direction came to its end.
    pub(super) fn is_over(&self) -> bool {
        self.sending.get() == Sending::Over
    }

    /// Ready once the peer has broken the stream off, or is gone.
    pub(in crate::proxy) fn poll_broken(&self, cx: &Context<'_>) -> Poll<()> {
        self.engine().poll_broken(self.key, cx)
    }

    /// Whether the connection ended, between two frames and without a word about the stream.
    pub(super) fn is_lost(&self) -> bool {
        !self.link.is_within_frame() && self.engine().is_lost(self.key)
    }

    /// Breaks the stream off.
    pub(in crate::proxy) fn reset(&self, code: Code) {
        self.engine().reset(self.key, code);
    }

    /// Sends a head or trailers.
    pub(super) fn send_head(&self, block: &[u8], is_over: bool) -> Result<(), Gone> {
        self.engine().send_head(self.key, block, is_over)?;
        if is_over {
            self.sending.set(Sending::Over);
        }
        Ok(())
    }

    /// Sends a piece of a body, as fast as the peer takes it; nothing if it takes none of it for `patience`.
    pub(super) async fn send(
        &self,
        piece: Piece<'_>,
        (progress, patience): (&Deadline, Duration),
    ) -> Option<Result<(), Unsent>> {
        if self.is_over() {
            return Some(Ok(()));
        }
        let trailers = trailers(&piece);
        if let Some((_, list)) = &trailers
            && *list > self.engine().longest_list()
        {
            // The peer may end the connection of all others for them.
            self.reset(Code::CANCEL);
            return Some(Err(Unsent::TrailersTooLarge));
        }
        let is_last = piece.last && trailers.is_none();
        let mut data = piece.data;
        if !data.is_empty() || is_last {
            self.sending.set(Sending::Within);
            let mut is_armed = false;
            let leaving = poll_fn(|cx| {
                let before = data.len();
                let polled = self.engine().poll_send(self.key, cx, &mut data, is_last);
                if let Poll::Ready(sent) = polled {
                    return Poll::Ready(Some(sent));
                }
                if !is_armed || data.len() < before {
                    is_armed = true;
                    progress.set_from_now(patience);
                }
                progress.poll_expired(cx).map(|()| None)
            });
            let sent = leaving.await?;
            if is_armed {
                progress.clear();
            }
            if let Err(gone) = sent {
                return Some(Err(Unsent::Gone(gone)));
            }
            self.sending.set(if is_last {
                Sending::Over
            } else {
                Sending::Open
            });
        }
        let sent = trailers.map_or(Ok(()), |(block, _)| self.send_head(&block, true));
        Some(sent.map_err(Unsent::Gone))
    }

    /// Writes data of a tunnel, which is advanced; ready once all of it was handed over.
    pub(in crate::proxy) fn poll_write(
        &self,
        cx: &Context<'_>,
        data: &mut &[u8],
    ) -> Poll<Result<(), Gone>> {
        self.engine().poll_send(self.key, cx, data, false)
    }

    /// Ends our direction.
    pub(in crate::proxy) fn finish(&self) {
        if self.is_over() {
            return;
        }
        let mut nothing: &[u8] = &[];
        let cx = Context::from_waker(Waker::noop());
        // An end without data passes any window; an error means that the stream is gone.
        let _ended = self.engine().poll_send(self.key, &cx, &mut nothing, true);
        self.sending.set(Sending::Over);
    }

    /// Ends our direction with these trailers, unless a piece is on its way.
    pub(super) fn end_with(&self, trailers: &[u8]) {
        if self.sending.get() == Sending::Open {
            // An error means that the stream is gone.
            let _ = self.send_head(trailers, true);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let code = if self.is_over() {
            Code::NO_ERROR
        } else {
            Code::CANCEL
        };
        self.link.engine().release(self.key, code);
    }
}
