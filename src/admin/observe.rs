//! Router of the observe listener: probes and metrics, and on request the dashboard, which only reads there.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};

use super::{
    browser_guard::{OwnPages, guard},
    content_negotiation::negotiate,
    dashboard, drills, effects,
    error::{no_such_method, no_such_path},
    events, flags,
    json_response::json,
    kpis, limits,
    probes::{self, ProbeState},
    quarantine,
    recent_answers::{RecentAnswers, share},
    revisions, rollouts,
    state::AdminState,
    status,
    unread_body::close_if_unread,
    verifications, work,
};
use crate::{api::Session, config::Admin};

/// Probes and metrics, and nothing else, so that a kubelet and Prometheus can reach them from outside.
pub fn observe_router(observed: ProbeState) -> Router {
    around(probes(observed))
}

/// The same with the dashboard and what it reads. Everyone who reaches the listener sees it.
pub fn observe_router_with_dashboard(
    state: AdminState,
    settings: &Admin,
    bound: SocketAddr,
) -> Router {
    let observed = state.probes();
    let own = Arc::new(OwnPages::without_tls(bound, &settings.hosts));
    let events = Router::new()
        .route("/v1/events", get(events::stream_events))
        .layer(Extension(events::Seats::new()))
        .with_state(state.clone());
    let recent = RecentAnswers::of(&state.controller);
    let guarded = limits::around(reads(state))
        .layer(from_fn_with_state(recent, share))
        .merge(events)
        .layer(from_fn(negotiate))
        .merge(dashboard::pages())
        .layer(from_fn_with_state(own, guard));
    around(guarded.merge(probes(observed)))
}

fn around(router: Router) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(close_if_unread))
}

fn probes(observed: ProbeState) -> Router {
    Router::new()
        .route("/metrics", get(probes::metrics))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .with_state(observed)
}

/// The part of the API that the dashboard reads.
fn reads(state: AdminState) -> Router {
    Router::new()
        .route("/v1/session", get(read_session))
        .route("/v1/status", get(status::status))
        .route("/v1/kpis", get(kpis::read_kpis))
        .route("/v1/releases/{release}/work", get(work::work))
        .route("/v1/revisions", get(revisions::list_revisions))
        .route("/v1/revisions/{n}", get(revisions::read_revision))
        .route("/v1/revisions/{n}/effect", get(effects::read_effect))
        .route("/v1/rollouts", get(rollouts::list_rollouts))
        .route("/v1/drills", get(drills::list_drills))
        .route("/v1/flags", get(flags::list_flags))
        .route("/v1/flags/{flag}/evaluate", get(flags::evaluate_flag))
        .route("/v1/verifications", get(verifications::list_verifications))
        .route("/v1/quarantine", get(quarantine::list_quarantine))
        .with_state(state)
}

/// The caller of this listener: anyone, without permission to change anything.
async fn read_session() -> Response {
    json(&Session {
        token_required: false,
        caller: Some("observer".to_owned()),
        may_change: false,
        ends_at: None,
    })
}
