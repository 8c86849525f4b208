//! Shared parts of the tests: origins and clients over raw sockets, and a proxy between them.
//!
//! Everything blocks and has a timeout, so that a failing test ends. Nothing sleeps in the hope that an event has come.

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
pub(crate) use origin::{
    Origin, Request, ReservedPort, closed_address, read_head, read_request, reply,
};
pub(crate) use proxy::{SECRET, TestProxy, TestProxyBuilder};
pub(crate) use served::Served;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A request for a WebSocket.
pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The response that accepts it.
pub(crate) const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Longest time that anything may take before a test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Writes a whole file.
pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes.as_ref()).unwrap();
}

/// Waits for something that another thread or process does.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    let mut looks = 0_u32;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        // It is there at once, mostly; many who look without a pause keep it from getting there.
        if looks < 100 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
        looks += 1;
    }
}
