//! Options of a run.

use std::path::PathBuf;

use super::takeover::Service;
use crate::api::ConflictPolicy;

/// Options of a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration file, to be reloaded on SIGHUP.
    pub file: Option<PathBuf>,
    /// Side that wins where the file and the live table changed the same entry.
    pub wins: Option<ConflictPolicy>,
    /// Do not start when the file's table cannot be imported. Otherwise the durable table is served, with a warning.
    pub strict: bool,
    /// The program that writes the history's disk, in a process of its own (see
    /// [`crate::history::History::open_apart`]); without one this process writes it.
    pub writer_program: Option<PathBuf>,
    /// Set if the process is a service: it has a supervisor, and a new process may take over.
    pub service: Option<Service>,
    /// True to take over from a running process.
    pub takeover: bool,
}
