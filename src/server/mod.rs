//! Wires up and runs the process: listeners, workers, the control plane, signals, shutdown.
//!
//! The order of the start matters. The history is opened, and locked, before anything listens, so that a second process
//! on the same history stops before it accepts a connection. The configuration file is imported before the workers
//! start, so that the first request already sees it. `listening` is logged last.

mod collector;
mod config_reload;
mod control;
mod error;
mod exporters;
mod flag_tokens;
mod hooks;
mod lifecycle;
mod listeners;
mod logs;
mod notices;
mod options;
mod preflight;
mod seal_keys;
mod signals;
mod synthetic;
mod worker;

pub use self::{
    error::ServerError,
    lifecycle::{Running, run, start},
    options::Options,
    preflight::load,
};
/// Subcommand and entry point of the process that writes the history's disk for another.
pub use crate::history::{BESIDE, HISTORY_WRITER, run_beside_process, run_writer_process};
