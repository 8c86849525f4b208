//! What tests are made of: origins over raw sockets, clients over raw sockets, and a proxy between them.
//!
//! Everything blocks and has a time limit, so that a test that goes wrong ends. Nothing sleeps to wait for something.

mod admin;
mod client;
pub(crate) mod h2;
mod log;
mod origin;
mod proxy;
pub(crate) mod signal;

pub(crate) use admin::{TABLE, TestAdmin};
pub(crate) use client::{Client, Response};
pub(crate) use origin::{Origin, Request, read_request};
pub(crate) use proxy::{TestProxy, TestProxyBuilder};

use std::time::Duration;

/// How long anything may take before a test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
