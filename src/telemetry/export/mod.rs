//! Exporters: they send what the page for Prometheus shows to other monitoring tools.
//!
//! Each is a task of its own in the control plane. It reads a snapshot of all metrics on a thread that may block and
//! sends it without holding anything; what its tool does not take in time is dropped and counted. Start at `datadog`,
//! under which are `dogstatsd` (the format), `datagrams` (the sockets), `deltas` and `durations`.

mod datadog;
mod datagrams;
mod deltas;
mod dogstatsd;
mod durations;
mod notice;
mod payloads;
mod source;

pub use self::{
    datadog::{DatadogSettings, run_datadog},
    datagrams::DatagramTarget,
    notice::{Notice, NoticeLevel},
    source::ExportSource,
};
