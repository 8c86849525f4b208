//! switchback: a reverse proxy that decides, per request, which release of an agent fleet answers, and that lets its
//! operator change that decision, and take it back, in one atomic step.

pub mod acme;
pub mod admin;
pub mod analysis;
pub mod api;
pub mod backup;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod discovery;
pub mod fleet;
pub mod health;
pub mod history;
pub mod hooks;
pub mod http1;
pub mod http2;
pub mod message;
pub mod model;
pub mod net;
pub mod ofrep;
pub mod proxy;
pub mod rollout;
pub mod seal;
pub mod server;
pub mod stats;
pub mod table;
pub mod telemetry;
