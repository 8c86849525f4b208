//! Wires the house together and runs it: listeners, workers, the control plane, signals, the end.
//!
//! The order of the start matters. The history is opened, and locked, before anything listens, so that a second process
//! on the same history stops before it takes a connection; the configuration file is taken over before the workers
//! start, so that the first request already sees it; `listening` is said last.

mod config_reload;
mod control;
mod error;
mod lifecycle;
mod listeners;
mod logs;
mod preflight;
mod signals;
mod worker;

pub use self::{
    error::ServerError,
    lifecycle::{Options, Running, run, start},
    preflight::load,
};
/// What a process does that was started to write the history's disk for another.
pub use crate::history::{SUBCOMMAND, run_writer_process as keep_history};
