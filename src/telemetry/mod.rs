//! What switchback tells about itself: metrics, the log, the access log.
//!
//! What happens per request is counted in cells of [`stats`](crate::stats) and only formatted when somebody scrapes;
//! what happens rarely goes through the `metrics` crate. Both come out of one [`Metrics::render`].

mod access;
mod escape;
mod log;
mod log_level;
mod metrics;
pub mod names;
mod text;
mod traffic;

pub use self::{
    access::{AccessFormat, AccessLog, AccessLogGuard, AccessRecord},
    escape::{Escaped, is_unprintable},
    log::start_log,
    log_level::{LogError, check_log_level},
    metrics::Metrics,
};
