//! The router of the admin API: paths, limits and guards.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::header,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use tower_http::trace::TraceLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth::{Access, Authenticator, authenticate},
    backups,
    body::announced,
    browser_guard::{OwnPages, guard},
    browser_sessions::BrowserSessions,
    calibration, changes,
    content_negotiation::negotiate,
    dashboard, drills, effects,
    error::{no_such_method, no_such_path},
    events, feedback, flag_kpis, flags, fleet,
    idempotency::answer_repeats,
    import, kpis, limits, mirrors, openapi, pause, preview, probes, quarantine,
    recent_answers::{RecentAnswers, share},
    releases,
    respond::audit,
    revisions, rollback, rollouts, routes as table_routes, session, settings, split,
    state::AdminState,
    status, table,
    unread_body::close_if_unread,
    verifications, work,
};
use crate::config::Admin;

/// Longest body of a login in bytes.
const LONGEST_LOGIN: usize = 8 << 10;

/// The admin API.
///
/// `bound` is the listener's actual address: it is one of the allowed hosts of the API.
pub fn router(state: AdminState, access: Access, settings: &Admin, bound: SocketAddr) -> Router {
    let tokens = access.asks();
    // Few ask for it: no start waits for it.
    let document = Arc::new(LazyLock::new(move || document(tokens)));
    let (small, _) = small().split_for_parts();
    let (whole, _) = whole_tables().split_for_parts();
    let (back, _) = rollbacks().split_for_parts();
    let (streams, _) = streams().split_for_parts();
    let (most, most_of_a_table) = (settings.max_body.0, settings.max_table.0);
    let ordinary = limited(small, most, &state)
        .merge(limited(whole, most_of_a_table, &state))
        .with_state(state.clone())
        .route(
            "/openapi.json",
            get(move || described(Bytes::clone(&document))),
        );
    let (offers, _) = offers().split_for_parts();
    let back = limited(back, most, &state).merge(limited(offers, most_of_a_table, &state));
    let back = back.with_state(state.clone());
    let streams = limited(streams, most, &state).with_state(state.clone());
    let sessions = BrowserSessions::new(bound.port(), settings.tls.is_some());
    let authenticator = Arc::new(Authenticator::new(access, sessions));
    let streams = streams
        .layer(Extension(Arc::clone(&authenticator)))
        .layer(Extension(events::Seats::new()));
    let recent = RecentAnswers::of(&state.controller);
    let all = limits::around(ordinary)
        .layer(from_fn_with_state(recent, share))
        .merge(streams.layer(TraceLayer::new_for_http()))
        .merge(back.layer(TraceLayer::new_for_http()))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method);
    let own = Arc::new(OwnPages::new(bound, settings));
    all.layer(from_fn(negotiate))
        .layer(from_fn(audit))
        .layer(from_fn_with_state(Arc::clone(&authenticator), authenticate))
        .merge(open(state))
        .merge(browser_sessions(authenticator))
        .merge(dashboard::pages())
        .layer(from_fn_with_state(own, guard))
        .layer(from_fn(close_if_unread))
}

/// Limits bodies, both the announced length and the bytes read. Idempotent replays happen within the limit.
fn limited(router: Router<AdminState>, limit: usize, state: &AdminState) -> Router<AdminState> {
    let controller = Arc::clone(&state.controller);
    router
        .layer(from_fn_with_state(controller, answer_repeats))
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(limit, announced))
}

/// The API as an `OpenAPI` document.
fn document(tokens: bool) -> Bytes {
    let parts = [
        small(),
        whole_tables(),
        rollbacks(),
        offers(),
        streams(),
        probes(),
    ];
    let parts = parts.map(OpenApiRouter::into_openapi);
    let all = parts.into_iter().chain([sessions().into_openapi()]);
    openapi::document(all, tokens)
}

/// Routes without authentication: a probe has no token.
fn open(state: AdminState) -> Router {
    let (probes, _) = probes().split_for_parts();
    probes
        .with_state(state)
        .method_not_allowed_fallback(no_such_method)
}

fn probes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default()
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz))
}

/// Sessions of browsers, without authentication: they take the token in the body.
fn browser_sessions(authenticator: Arc<Authenticator>) -> Router {
    let (routes, _) = sessions().split_for_parts();
    routes
        .layer(DefaultBodyLimit::max(LONGEST_LOGIN))
        .layer(from_fn_with_state(LONGEST_LOGIN, announced))
        .method_not_allowed_fallback(no_such_method)
        .with_state(authenticator)
}

fn sessions() -> OpenApiRouter<Arc<Authenticator>> {
    OpenApiRouter::default().routes(routes!(
        session::read_session,
        session::log_in,
        session::log_out
    ))
}

fn small() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default()
        .routes(routes!(table_routes::list_routes))
        .routes(routes!(
            table_routes::read_route,
            table_routes::put_route,
            table_routes::delete_route
        ))
        .routes(routes!(mirrors::read_mirror))
        .routes(routes!(split::put_split, split::patch_split))
        .routes(routes!(split::switch))
        .routes(routes!(split::promote))
        .routes(routes!(split::abort))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
        .routes(routes!(releases::list_releases))
        .routes(routes!(
            releases::read_release,
            releases::put_release,
            releases::delete_release
        ))
        .routes(routes!(flags::list_flags))
        .routes(routes!(
            flags::read_flag,
            flags::put_flag,
            flags::patch_flag,
            flags::delete_flag
        ))
        .routes(routes!(flags::flag_on))
        .routes(routes!(flags::flag_off))
        .routes(routes!(flags::evaluate_flag))
        .routes(routes!(flag_kpis::read_flag_kpis))
        .routes(routes!(work::work))
        .routes(routes!(preview::preview))
        .routes(routes!(revisions::list_revisions))
        .routes(routes!(revisions::read_revision))
        .routes(routes!(revisions::diff_revisions))
        .routes(routes!(effects::read_effect))
        .routes(routes!(quarantine::list_quarantine))
        .routes(routes!(
            quarantine::put_in_quarantine,
            quarantine::lift_quarantine
        ))
        .routes(routes!(rollouts::list_rollouts, rollouts::start_rollout))
        .routes(routes!(rollouts::read_rollout))
        .routes(routes!(backups::read_backups, backups::make_backup))
        .routes(routes!(
            backups::take_backup,
            backups::take_backup_with_keys
        ))
        .routes(routes!(drills::list_drills, drills::start_drill))
        .routes(routes!(drills::read_drill))
        .routes(routes!(verifications::list_verifications))
        .routes(routes!(verifications::read_verification))
        .routes(routes!(feedback::list_feedback, feedback::give_feedback))
        .routes(routes!(kpis::read_kpis))
        .routes(routes!(calibration::read_calibration))
        .routes(routes!(status::status))
        .routes(routes!(settings::read_settings))
        .routes(routes!(settings::reload))
        .routes(routes!(probes::metrics))
}

fn whole_tables() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default()
        .routes(routes!(changes::make_changes))
        .routes(routes!(table::read_table, table::put_table))
        .routes(routes!(import::import))
}

fn rollbacks() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default()
        .routes(routes!(rollback::rollback))
        .routes(routes!(rollback::rollback_route))
        .routes(routes!(flags::rollback_flag))
        .routes(routes!(rollouts::command_rollout))
        .routes(routes!(fleet::read_fleet))
        .routes(routes!(fleet::keep_in_fleet))
}

/// Rollbacks of another node, which may be of a whole table.
fn offers() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default().routes(routes!(fleet::offer_to_fleet))
}

/// Responses that last: they have a limit of their own, so that they take no place of a read.
fn streams() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default().routes(routes!(events::stream_events))
}

#[expect(clippy::unused_async, reason = "a handler is asynchronous")]
async fn described(document: Bytes) -> ([(header::HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], document)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn api() -> Value {
        serde_json::from_slice(&document(false)).unwrap()
    }

    #[test]
    fn the_document_is_openapi_3_1_and_has_every_path_of_the_module_doc() {
        let api = api();
        assert_eq!(api["openapi"], "3.1.0");
        let head = include_str!("mod.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"));
        let mut count = 0;
        for row in head.filter(|line| line.starts_with("//! | `/")) {
            let mut cells = row.split('|').map(str::trim);
            let path = cells.nth(1).unwrap().trim_matches('`');
            if path == "/openapi.json" {
                continue;
            }
            for method in cells.next().unwrap().split(", ") {
                count += 1;
                let operation = &api["paths"][path][method.to_lowercase()];
                assert!(operation.is_object(), "{method} {path}");
            }
        }
        let described: usize = api["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|item| item.as_object().unwrap().len())
            .sum();
        assert_eq!(described, count);
    }

    #[test]
    fn every_change_takes_the_same_conditions_and_options() {
        for (path, item) in api()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                // A reload is not a change of its own: the changes are in the file. A preview token changes nothing. A
                // rollout is a plan of changes, and its commands name it. The quarantine is not in the table. A drill leaves
                // things as they are. A backup reads. The disputes of a fleet are ended as they are.
                let changes = path != "/v1/reload"
                    && path != "/v1/drills"
                    && !path.starts_with("/v1/backup")
                    && !path.starts_with("/v1/fleet")
                    && !path.ends_with("/preview")
                    && path != "/v1/feedback"
                    && path != "/v1/session"
                    && !path.starts_with("/v1/rollouts")
                    && !path.starts_with("/v1/quarantine");
                if method == "get" || !changes {
                    continue;
                }
                let parameters = operation["parameters"].as_array().unwrap();
                for name in [
                    "If-Match",
                    "Idempotency-Key",
                    "dry_run",
                    "force",
                    "group",
                    "message",
                ] {
                    let found = parameters.iter().any(|parameter| parameter["name"] == name);
                    assert!(found, "{method} {path}: {name}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, all: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(all.pointer(pointer).is_some(), "{target}");
                    }
                    members.values().for_each(|member| walk(member, all));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, all)),
                _ => {}
            }
        }
        let api = api();
        walk(&api, &api);
    }

    #[test]
    fn tokens_are_described_only_where_they_are_asked_for() {
        let with: Value = serde_json::from_slice(&document(true)).unwrap();
        assert!(with["security"].is_array());
        assert!(api().get("security").is_none());
    }
}
