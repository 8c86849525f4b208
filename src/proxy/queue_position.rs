//! The position of a request in the queues of its release, kept while it is selected for again.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{
    ConcurrencyLimit, EndpointTicket, InFlight, Permit, Pick, PickError, QueueSlot,
};
use crate::table::Release;

use super::worker::Worker;

/// Time after which a request that waits for an endpoint with room looks again without being called.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Permit and places of a request that is selected for again, so that it does not queue anew.
#[derive(Default)]
pub(super) struct QueuePosition {
    /// Permit of its release.
    pub(super) permit: Option<Permit>,
    /// Place in the queue for one.
    pub(super) slot: Option<QueueSlot>,
    /// Place on an endpoint, where endpoints have a limit.
    pub(super) in_flight: Option<InFlight>,
    /// Wait for an endpoint with room.
    pub(super) room: Option<RoomWait>,
}

/// Wait for an endpoint with room.
pub(super) struct RoomWait {
    /// The endpoint that the session is pinned to, if not any.
    wanted: Option<SocketAddr>,
    ticket: Option<EndpointTicket>,
}

impl QueuePosition {
    /// The permit of a release, or the place in its queue if none is free.
    pub(super) fn take_permit(
        &mut self,
        requests: &Arc<ConcurrencyLimit>,
        limit: u32,
    ) -> Result<Permit, Option<QueueSlot>> {
        let permit = self.permit.take().filter(|permit| permit.is_of(requests));
        let slot = self.slot.take().filter(|slot| slot.is_for(requests));
        match (permit, slot) {
            (Some(permit), _) => Ok(permit),
            (None, Some(slot)) => slot.place(limit).map_err(Some),
            (None, None) => requests.acquire(limit).ok_or(None),
        }
    }

    /// Picks an endpoint with room. Without one, the request keeps its place in the queue for one.
    pub(super) fn pick(
        &mut self,
        release: &Release,
        pick: &Pick<'_>,
    ) -> Result<InFlight, PickError> {
        let (roster, limit) = (
            release.roster(),
            release.spec().limits.in_flight_per_endpoint,
        );
        let keeps = |held: &InFlight| {
            let endpoint = held.endpoint();
            roster.holds(held)
                && limit.is_none_or(|limit| endpoint.in_flight() <= limit)
                && !pick.tried.contains(&endpoint.address())
                && pick
                    .preferred
                    .is_none_or(|preferred| preferred == endpoint.address())
        };
        if let Some(held) = self.in_flight.take().filter(keeps) {
            return Ok(held);
        }
        let ticket = self.room.take().and_then(|room| room.ticket);
        let ticket = ticket.filter(|ticket| roster.has_issued(ticket));
        let is_called = ticket.as_ref().is_some_and(EndpointTicket::is_called);
        let picked = roster.pick(&Pick { is_called, ..*pick });
        let ticket =
            ticket.and_then(|ticket| roster.end_turn(release.balance(), ticket, picked.is_ok()));
        if let Err(PickError::Full(wanted)) = picked {
            let ticket = ticket.filter(|ticket| ticket.wanted() == wanted);
            self.room = Some(RoomWait { wanted, ticket });
        }
        picked
    }

    /// Joins the queue that it has to wait in, unless it is in it already; false if the queue is full.
    pub(super) fn join(&mut self, release: &Release, worker: &Worker) -> bool {
        let (limits, roster) = (&release.spec().limits, release.roster());
        // Both queues together hold as many as one may; those who wait for the endpoint of their pin count for it alone.
        let most = limits.queue.unwrap_or(0);
        let requests = roster.concurrency_limit();
        if let Some(room) = &mut self.room {
            let most = most.saturating_sub(requests.waiting());
            let join = || roster.wait_for_room(release.balance(), most, room.wanted);
            room.ticket = room.ticket.take().or_else(join);
            return room.ticket.is_some();
        }
        let most = most.saturating_sub(roster.waiting_for_any());
        let limit = limits.concurrency.unwrap_or(u32::MAX);
        let join = || requests.queue(limit, most, worker.slot);
        self.slot = self.slot.take().or_else(join);
        self.slot.is_some()
    }

    /// Returns once the request is to be selected for again. Cancel-safe.
    pub(super) async fn granted(&self, worker: &Worker) {
        let ticket = self.room.as_ref().and_then(|room| room.ticket.as_ref());
        match (ticket, &self.slot) {
            (Some(ticket), _) => {
                let again = worker.timers.deadline();
                again.set_from_now(LOOK_AGAIN);
                tokio::select! {
                    () = ticket.called() => {}
                    () = again.expired() => ticket.look(),
                }
            }
            (None, Some(slot)) => slot.granted().await,
            (None, None) => pending().await,
        }
    }
}
