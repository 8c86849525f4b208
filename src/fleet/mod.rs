//! Facts, as opposed to decisions: the endpoints of a release, their health, requests in flight.
//!
//! Facts are kept beside the routing table and outlive every swap: after a rollback the current endpoints are used,
//! with their current health and counts.

mod concurrency_limit;
mod connection_budget;
mod endpoint;
mod pick;
mod registry;
mod roster;

pub use self::{
    concurrency_limit::{ConcurrencyLimit, Permit, QueueSlot},
    connection_budget::{ConnectionBudget, CountedConnection, WaitingForConnection},
    endpoint::{Endpoint, Health, InFlight},
    pick::Pick,
    registry::{CellKey, Fleet, RosterRole, WatchedRelease},
    roster::Roster,
};
