//! The control plane: every change of the live table goes through the [`Controller`], the one writer.
//!
//! A publish queues behind other publishes, is written to the history and is live only then (`publish.rs`: start there).
//! A rollback waits for nothing: it takes the live table's short lock, is live, and is written behind (`rollback.rs`).
//! Both enter their revision in one index under its lock, so that the live table, the records and the undo stack always
//! agree. What follows a swap runs once its receipt is dropped (`swap.rs`).

mod candidates;
mod clock;
mod consent;
mod controller;
mod convergence;
mod drain_deadline;
mod draining;
mod drift;
mod error;
mod health_gate;
mod idempotency;
mod import;
mod merge;
mod metrics;
mod precondition;
mod preview;
mod proposal;
mod publish;
mod queries;
mod readiness;
mod receipt;
mod recompile;
mod reconcile;
mod removal;
mod resolve;
mod restore;
mod retention;
mod revision_index;
mod revision_log;
mod revisions;
mod rollback;
mod route_index;
mod route_rollback;
mod settings;
mod statistics_retention;
mod status;
mod status_part;
mod swap;
mod upcoming;
mod warm_levels;
mod watch_set;

pub use self::{
    consent::Consent,
    controller::Controller,
    error::ControlError,
    idempotency::{KeyGuard, ReplayedResponse},
    precondition::Expected,
    receipt::EarlyReceipt,
    rollback::RollbackTo,
    settings::Settings,
    status_part::StatusPart,
    swap::PendingEffects,
};
