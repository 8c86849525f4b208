//! Facts, as opposed to decisions: the endpoints of a release, their health, requests in flight.
//!
//! Facts are kept beside the routing table and outlive every swap: after a rollback the current endpoints are used,
//! with their current health and counts.

mod ack_stalls;
mod answer_memory;
mod balance;
mod choice;
mod concurrency_limit;
mod connection_budget;
mod ejection;
mod endpoint;
mod endpoint_flags;
mod endpoint_queue;
mod flag_cells;
mod found_answer;
mod idle_limit;
mod in_flight;
mod keyed_hash;
mod learned_pins;
mod mcp_sessions;
mod mcp_streams;
mod observe;
mod paused_requests;
mod peak_ewma;
mod pick;
mod rate_buckets;
mod rate_limits;
mod registry;
mod room;
mod roster;
mod service_watch;
mod slow_start;
#[cfg(test)]
mod tests;

pub use self::{
    ack_stalls::AckStalls,
    answer_memory::{AnswerId, AnswerMemory, GivenAnswer},
    balance::BalancePolicy,
    concurrency_limit::{ConcurrencyLimit, Permit, QueueSlot},
    connection_budget::{ConnectionBudget, CountedConnection, WaitingForConnection},
    ejection::EjectionReason,
    endpoint::{Endpoint, Health},
    endpoint_queue::EndpointTicket,
    flag_cells::FlagCellKey,
    found_answer::{AnswerKey, AnswerOrigin, Found, FoundAnswer},
    idle_limit::IdleLimit,
    in_flight::InFlight,
    learned_pins::{LearnedPin, LearnedPins},
    mcp_sessions::{McpMove, McpMoveGuard, McpMoving, McpSession, McpSessions},
    mcp_streams::{McpStream, McpStreams},
    paused_requests::{PausedRequest, PausedRequests},
    pick::{Pick, PickError},
    rate_buckets::RateBuckets,
    rate_limits::RateLimitOf,
    registry::{CellKey, Fleet, RosterRole, WatchedRelease},
    roster::Roster,
    service_watch::{ServiceWatch, ServiceWatchState, WatchFailure},
};
