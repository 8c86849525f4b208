//! Accept loop of a listener, which survives every error, and the limits on the number of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

const MIN_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_millis(100);

/// Limit on open connections, with counters. Each listener has one, below the global one.
#[derive(Debug)]
pub struct ConnectionLimits {
    limit: usize,
    open: AtomicUsize,
    refused: AtomicU64,
    // One log entry each time the limit is reached, not one per refused client.
    full: AtomicBool,
    parent: Option<Arc<ConnectionLimits>>,
}

/// Counts a connection until dropped.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<ConnectionLimits>);

/// An accepted connection that is counted.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub tcp: TcpStream,
    /// Address of the other side.
    pub peer: SocketAddr,
    /// Counts the connection until dropped.
    pub permit: ConnectionPermit,
}

/// Listening socket of one worker, with its limits.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    limits: Arc<ConnectionLimits>,
}

// === impl ConnectionLimits ===

impl ConnectionLimits {
    /// At most `limit` connections here, and no more than `parent` allows in total.
    #[must_use]
    pub fn new(limit: usize, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            full: AtomicBool::new(false),
            parent,
        })
    }

    /// Number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Number of connections that were refused because of this limit or the parent's.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts one more connection; `None` at the limit.
    #[must_use]
    pub fn acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        if !self.count() {
            return None;
        }
        Some(ConnectionPermit(Arc::clone(self)))
    }

    fn count(&self) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            if !self.full.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    limit = self.limit,
                    "connection limit reached, refusing new ones"
                );
            }
            return false;
        }
        if self.parent.as_ref().is_none_or(|parent| parent.count()) {
            return true;
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.note_refused();
        }
    }

    fn release(&self) {
        let before = self.open.fetch_sub(1, Ordering::Relaxed);
        if before < self.limit - self.limit / 10 && self.full.load(Ordering::Relaxed) {
            self.full.store(false, Ordering::Relaxed);
        }
        if let Some(parent) = &self.parent {
            parent.release();
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.release();
    }
}

// === impl Acceptor ===

impl Acceptor {
    /// Registers `socket` with the runtime of this thread.
    ///
    /// # Errors
    /// When the runtime cannot register it.
    pub fn new(socket: std::net::TcpListener, limits: Arc<ConnectionLimits>) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(socket)?,
            limits,
        })
    }

    /// The next connection within the limits; those beyond are closed. Cancellation safe.
    pub async fn accept(&self) -> Accepted {
        let mut backoff = MIN_BACKOFF;
        loop {
            match self.listener.accept().await {
                Ok((tcp, peer)) => {
                    backoff = MIN_BACKOFF;
                    if let Some(permit) = self.limits.acquire() {
                        return Accepted { tcp, peer, permit };
                    }
                    self.limits.note_refused();
                }
                Err(error) if is_per_connection(&error) => {}
                Err(error) => {
                    if backoff == MIN_BACKOFF {
                        tracing::warn!(%error, "cannot accept connections for the moment");
                    }
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }
}

/// True if the client left before it was accepted; the next connection may be fine.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_counts_in_both_limits_until_it_is_dropped() {
        let all = ConnectionLimits::new(3, None);
        let (a, b) = (
            ConnectionLimits::new(2, Some(Arc::clone(&all))),
            ConnectionLimits::new(2, Some(Arc::clone(&all))),
        );
        let permits = [
            a.acquire().unwrap(),
            a.acquire().unwrap(),
            b.acquire().unwrap(),
        ];
        assert!(a.acquire().is_none(), "the listener is full");
        assert!(b.acquire().is_none(), "all of them together are full");
        assert_eq!((a.open(), b.open(), all.open()), (2, 1, 3));
        drop(permits);
        assert_eq!((a.open(), b.open(), all.open()), (0, 0, 0));
    }
}
