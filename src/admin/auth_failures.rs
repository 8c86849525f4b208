//! Rejected requests: all are counted, some are logged.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{extract::Request, http::Method};

use super::connections::Connection;
use crate::telemetry::names;

/// Time window of the log limit.
const WINDOW: Duration = Duration::from_secs(10);

/// Log lines in that time.
const MOST: u32 = 10;

/// Reason for rejecting a request; the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthFailure {
    /// Read-only token.
    Forbidden,
    /// The credentials are not a bearer token.
    Malformed,
    /// No token.
    Missing,
    /// Unknown token.
    Unknown,
}

/// A rejected request.
pub(super) struct Rejected<'a> {
    pub(super) peer: Option<IpAddr>,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
}

/// Rate limit of the log.
#[derive(Debug, Default)]
pub(super) struct AuthFailures(Mutex<Sampling>);

#[derive(Debug, Default)]
struct Sampling {
    begun: Option<Instant>,
    logged: u32,
    left_out: u64,
}

// === impl AuthFailure ===

impl AuthFailure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

// === impl Rejected ===

impl<'a> Rejected<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        let connection = request.extensions().get::<Arc<Connection>>();
        Self {
            peer: connection.map(|connection| connection.peer()),
            method: request.method(),
            path: request.uri().path(),
        }
    }
}

// === impl AuthFailures ===

impl AuthFailures {
    /// Counts a failure, and logs it unless many were logged recently. The token itself is never logged.
    pub(super) fn note(&self, rejected: &Rejected<'_>, failure: AuthFailure) {
        metrics::counter!(names::ADMIN_AUTH_FAILURES.0, "reason" => failure.as_str()).increment(1);
        let mut sampling = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = sampling.take(Instant::now()) else {
            return;
        };
        drop(sampling);
        let path: String = rejected.path.chars().take(200).collect();
        tracing::warn!(
            target: "audit",
            reason = failure.as_str(),
            peer = rejected.peer.map(|peer| peer.to_string()),
            method = %rejected.method,
            path,
            left_out,
            "a request to the admin API was not authorized"
        );
    }
}

// === impl Sampling ===

impl Sampling {
    /// Number of suppressed failures since the last logged one; `None` if this one is suppressed too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let is_over = |begun: Instant| now.saturating_duration_since(begun) >= WINDOW;
        if self.begun.is_none_or(is_over) {
            self.begun = Some(now);
            self.logged = 0;
        }
        if self.logged >= MOST {
            self.left_out += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_the_next_one_says_how_many_were_left_out() {
        let (mut sampling, start) = (Sampling::default(), Instant::now());
        let logged = (0..1_000).filter(|_| sampling.take(start).is_some());
        assert_eq!(logged.count(), MOST as usize);
        assert_eq!(sampling.take(start + WINDOW), Some(990));
        assert_eq!(sampling.take(start + WINDOW), Some(0));
    }
}
