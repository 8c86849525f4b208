//! Endpoints of a fleet: proxies that share one table.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};

use super::{
    body::Body,
    caller::Caller,
    error::ApiError,
    json_response::json,
    problems::{conflict, refused},
    respond::run_detached,
    state::AdminState,
};
use crate::{
    api::{FleetKeepRequest, FleetOffer, FleetOfferAnswer, FleetStatus},
    control::Controller,
    model::{Actor, Author},
};

/// This node of the fleet, and what each node has taken up.
#[utoipa::path(get, path = "/v1/fleet", tag = "fleet",
    responses((status = 200, description = "the fleet, as this node knows it", body = FleetStatus)))]
pub(super) async fn read_fleet(State(admin): State<AdminState>) -> Response {
    json(&admin.controller.fleet_status())
}

/// Offers rollbacks of another node, which this one then makes as well: live at once, and durable when it answers.
///
/// The nodes of a fleet send it to each other while the store is away (`[fleet.peers]`). It is refused, with 200 and the reason,
/// where this node does not serve what they take back: then a person's rollback here is what is wanted. 409 on a proxy that is
/// no node of a fleet.
#[utoipa::path(post, path = "/v1/fleet/offers", tag = "fleet", request_body = FleetOffer,
    responses((status = 200, description = "what this node does with them", body = FleetOfferAnswer)))]
pub(super) async fn offer_to_fleet(
    State(admin): State<AdminState>,
    Body(offer): Body<FleetOffer>,
) -> Result<Response, ApiError> {
    let controller = node(&admin)?;
    if let Some(problem) = offer.problem() {
        return Err(ApiError::invalid(problem));
    }
    let work = async move { controller.take_offer(offer).await };
    let answer = run_detached(work).await?.map_err(refused)?;
    Ok(json(&answer))
}

/// The controller of a node of a fleet.
fn node(admin: &AdminState) -> Result<Arc<Controller>, ApiError> {
    if admin.controller.is_node() {
        return Ok(Arc::clone(&admin.controller));
    }
    let error = conflict("not-a-node", "this proxy is no node of a fleet");
    Err(error.hint("a `[fleet]` section in its configuration makes it one"))
}

/// Ends all disputes of this node: rollbacks that were made here without the store and that a change elsewhere contradicts.
///
/// It also ends the stop of a node whose store is not the one that it followed, or an older one. 503 if the store cannot be
/// reached: what is live stays. 409 on a proxy that is no node of a fleet.
#[utoipa::path(post, path = "/v1/fleet/keep", tag = "fleet", request_body = FleetKeepRequest,
    responses((status = 200, description = "the fleet afterwards", body = FleetStatus)))]
pub(super) async fn keep_in_fleet(
    State(admin): State<AdminState>,
    Extension(caller): Extension<Caller>,
    Body(FleetKeepRequest { keep }): Body<FleetKeepRequest>,
) -> Result<Response, ApiError> {
    let controller = node(&admin)?;
    let by = Author {
        actor: Actor::Api,
        name: caller.name.to_string(),
        message: None,
        idempotency_key: None,
        group: None,
    };
    let work = async move { controller.keep_in_fleet(keep, by).await };
    let status = run_detached(work).await?.map_err(refused)?;
    Ok(json(&status))
}
