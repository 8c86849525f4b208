//! The one writer: whatever changes the live table goes through the [`Controller`].
//!
//! A publish queues behind other publishes, is written to the history and is live only then. A rollback waits for
//! nothing: it takes the cell's short lock, is live, and is written behind. Both keep the same books, so that what is
//! live, what is recorded and what can be undone never tell different stories.

mod answers;
mod book;
mod coming;
mod consent;
mod controller;
mod error;
mod guard;
mod import;
mod merge;
mod metrics;
mod prepare;
mod preview;
mod publish;
mod readiness;
mod recall;
mod receipt;
mod revisions;
mod rollback;
mod route_back;
mod status;
mod status_part;
mod tend;

pub use self::{
    answers::{AnsweredBefore, KeyTurn},
    consent::Consent,
    controller::{Controller, Settings},
    error::ControlError,
    guard::Expected,
    rollback::RollbackTo,
    status_part::StatusPart,
};
