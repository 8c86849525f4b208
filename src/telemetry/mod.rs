//! Telemetry: metrics, the log, the access log.
//!
//! Per-request values are counted in [`stats`](crate::stats) and formatted only on a scrape; rare events go through
//! the `metrics` crate. Both go to a sink: the page for Prometheus
//! ([`Metrics::render`]) or an exporter.

mod access;
mod access_common;
mod access_record;
mod acme_names;
mod batched_writer;
mod compression_names;
mod endpoint_names;
mod error_chain;
mod escape;
mod export;
mod exposition;
mod flag_traffic;
mod fleet_names;
mod guard_names;
mod history_names;
mod log;
mod log_level;
mod metric;
mod metrics;
mod mirror_names;
mod mirrors;
pub mod names;
mod release_names;
mod sample;
mod service_names;
mod service_watches;
mod span;
mod text;
mod traffic;

pub use self::{
    access::{AccessFormat, AccessLog, AccessLogGuard},
    access_record::AccessRecord,
    error_chain::ErrorChain,
    escape::{Escaped, is_unprintable},
    export::{
        CloudwatchSettings, Collector, DatadogSettings, DatagramTarget, ExportSource, LineTarget,
        Notice, NoticeKind, NoticeLevel, OpentelemetrySettings, Temporality, run_cloudwatch,
        run_datadog, run_opentelemetry, run_opentelemetry_events, run_opentelemetry_traces,
    },
    log::start_log,
    log_level::{LogError, check_log_level},
    metrics::Metrics,
    span::{RequestSpan, SpanFeed, SpanQueue, span_queue},
};
