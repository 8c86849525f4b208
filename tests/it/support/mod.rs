//! Shared parts of the tests: origins and clients over raw sockets, and a proxy between them.
//!
//! Everything blocks and has a timeout, so that a failing test ends. Nothing sleeps to wait for an event.

mod admin;
pub(crate) mod cli;
mod client;
pub(crate) mod h2;
mod log;
mod origin;
mod proxy;
pub(crate) mod random;
mod served;
pub(crate) mod signal;

pub(crate) use admin::{TABLE, TestAdmin};
pub(crate) use client::{Client, Response, exchange, read_response};
pub(crate) use origin::{Origin, Request, read_head, read_request};
pub(crate) use proxy::{SECRET, TestProxy, TestProxyBuilder};
pub(crate) use served::Served;

use std::time::{Duration, Instant};

/// Longest time that anything may take before a test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for something that another thread or process does.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}
