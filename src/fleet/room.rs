//! Picking where endpoints have a limit of requests in flight, and the queue of a release for an endpoint with room.

use std::{net::SocketAddr, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{
    Roster,
    balance::BalancePolicy,
    choice::Choice,
    endpoint::{Endpoint, Health},
    endpoint_queue::{EndpointTicket, FreePlace},
    in_flight::{InFlight, WorkerCounters},
    pick::PickError,
};

impl Roster {
    /// Picks an endpoint with room. A request whose turn it is not lets those in the queue go first.
    pub(super) fn pick_limited(
        &self,
        choice: &Choice<'_>,
        counters: &Arc<CachePadded<WorkerCounters>>,
    ) -> Result<InFlight, PickError> {
        let pick = choice.pick;
        if !pick.is_called && self.load.queue.waiting() > 0 {
            return Err(PickError::Full(choice.wanted()));
        }
        let limit = pick.policy.in_flight_per_endpoint;
        // Another worker may take the last place meanwhile; each further look is for one that it has not taken.
        for _ in 0..=choice.endpoints.len() {
            let index = choice.index()?;
            let at = (pick.slot, pick.now_ms);
            if let Some(in_flight) = InFlight::limited(counters, index, at, limit) {
                return Ok(in_flight);
            }
        }
        Err(PickError::Full(None))
    }

    /// Joins the queue for an endpoint with room, or for one endpoint, unless `most` requests wait for the same already.
    pub fn wait_for_room(
        &self,
        policy: &BalancePolicy,
        most: u32,
        wanted: Option<SocketAddr>,
    ) -> Option<EndpointTicket> {
        let ticket = self.load.queue.join(most, wanted)?;
        // A place may have become free since the caller looked.
        self.call_if_room(policy);
        Some(ticket)
    }

    /// Leaves the queue with a place, or keeps the position for the next one.
    pub fn end_turn(
        &self,
        policy: &BalancePolicy,
        ticket: EndpointTicket,
        has_place: bool,
    ) -> Option<EndpointTicket> {
        if !has_place {
            ticket.missed();
            return Some(ticket);
        }
        ticket.leave();
        self.call_if_room(policy);
        None
    }

    /// True if the ticket is in the queue of this release.
    pub fn has_issued(&self, ticket: &EndpointTicket) -> bool {
        ticket.is_of(&self.load.queue)
    }

    /// True if the request is counted on a member of this release.
    pub fn holds(&self, in_flight: &InFlight) -> bool {
        let endpoints = self.endpoints();
        let is_member = |member: &Arc<Endpoint>| Arc::ptr_eq(member, in_flight.endpoint());
        in_flight.is_of(&self.load) && endpoints.iter().any(is_member)
    }

    /// Number of requests that wait for an endpoint with room.
    pub fn waiting_for_room(&self) -> u32 {
        self.load.queue.waiting()
    }

    /// Number of requests that wait for any endpoint with room: those that are pinned to one are not among them.
    pub fn waiting_for_any(&self) -> u32 {
        self.load.queue.waiting_for_any()
    }

    fn call_if_room(&self, policy: &BalancePolicy) {
        let queue = &self.load.queue;
        if queue.waiting() == 0 {
            return;
        }
        let is_fit = |endpoint: &&Arc<Endpoint>| endpoint.health() != Health::Unhealthy;
        for endpoint in self.endpoints().iter().filter(is_fit) {
            let places = endpoint.room(policy.in_flight_per_endpoint);
            queue.call_for_any_of(FreePlace::on(endpoint), places);
        }
    }
}
