//! What is, as opposed to what was decided: which endpoints a release has now, their health, what is in flight.
//!
//! Facts live beside the routing table and outlive every swap: a rollback meets the endpoints that exist now, with the
//! health and the counts that they have now.

mod concurrency_limit;
mod connection_budget;
mod endpoint;
mod registry;
mod roster;

pub use self::{
    concurrency_limit::{ConcurrencyLimit, Permit, QueueSlot},
    connection_budget::{ConnectionBudget, CountedConnection, WaitingForConnection},
    endpoint::{Endpoint, Health, InFlight},
    registry::{CellKey, Fleet, Role, WatchedRelease},
    roster::Roster,
};
