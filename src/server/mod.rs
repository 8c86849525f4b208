//! Wires up and runs the process: listeners, workers, the control plane, signals, shutdown.
//!
//! The order of the start matters. The history is opened, and locked, before anything listens, so that a second process
//! on the same history stops before it accepts a connection. The configuration file is imported before the workers
//! start, so that the first request already sees it. `listening` is logged last.

mod activation;
mod certificates;
mod collector;
mod config_reload;
mod control;
mod crew;
mod error;
mod etcd_documents;
mod etcd_store;
mod etcd_user;
mod exporters;
mod flag_tokens;
mod fleet_entry;
mod fleet_keys;
mod fleet_peers;
mod fleet_tasks;
mod hooks;
mod host_name;
mod inherited;
mod lifecycle;
mod listeners;
mod logs;
mod notices;
mod options;
mod preflight;
mod seal_keys;
mod services;
mod signals;
mod start;
mod supervisor;
mod synthetic;
mod takeover;
mod token_file;
mod worker;

pub use self::{
    activation::{ActivationError, inherited_sockets},
    error::ServerError,
    fleet_keys::FleetKeys,
    inherited::Inherited,
    lifecycle::Running,
    options::Options,
    preflight::load,
    signals::Signals,
    start::{run, start},
    takeover::{Service, TakeoverError},
};
/// Subcommand and entry point of the process that writes the history's disk for another.
pub use crate::history::{BESIDE, HISTORY_WRITER, run_beside_process, run_writer_process};
