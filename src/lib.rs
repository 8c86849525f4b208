//! switchback: a reverse proxy that decides, per request, which release of an agent fleet answers, and that lets its
//! operator change that decision, and take it back, in one atomic step.
//!
//! What a request passes through is a crate of its own, whose modules are modules here as well.

pub use switchback_data_plane::{
    config, fleet, http1, http2, message, model, net, proxy, seal, stats, table, telemetry,
};

pub mod acme;
pub mod admin;
pub mod analysis;
pub mod api;
pub mod backup;
pub mod cli;
pub mod control;
pub mod demo;
pub mod discovery;
pub mod etcd;
pub mod health;
pub mod history;
pub mod hooks;
pub mod ofrep;
pub mod rollout;
pub mod server;
pub mod shared_table;
