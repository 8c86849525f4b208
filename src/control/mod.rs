//! The one writer: whatever changes the live table goes through the [`Controller`].
//!
//! A publish queues behind other publishes, is written to the history and is live only then. A rollback waits for
//! nothing: it takes the cell's short lock, is live, and is written behind. Both keep the same books, so that what is
//! live, what is recorded and what can be undone never tell different stories.

mod consent;
mod controller;
mod drain_deadline;
mod error;
mod idempotency;
mod import;
mod merge;
mod metrics;
mod precondition;
mod preview;
mod publish;
mod readiness;
mod receipt;
mod reconcile;
mod revision_index;
mod revisions;
mod rollback;
mod route_rollback;
mod status;
mod status_part;
mod upcoming;
mod warmup;

pub use self::{
    consent::Consent,
    controller::{Controller, Settings},
    error::ControlError,
    idempotency::{KeyGuard, ReplayedResponse},
    precondition::Expected,
    rollback::RollbackTo,
    status_part::StatusPart,
};
