//! What is, as opposed to what was decided: which endpoints a release has now, their health, what is in flight.
//!
//! Facts live beside the routing table and outlive every swap: a rollback meets the endpoints that exist now, with the
//! health and the counts that they have now.

mod connection_budget;
mod endpoint;
mod place;
mod registry;
mod roster;

pub use self::{
    connection_budget::{ConnectionBudget, CountedConnection, WaitingForConnection},
    endpoint::{Endpoint, Health, InFlight},
    place::{Place, Places, Waiting},
    registry::{CellKey, Fleet, Role, Watched},
    roster::Roster,
};
