//! The admin API: JSON over a listener of its own, loopback unless a token is configured.
//!
//! | path | methods | description |
//! |---|---|---|
//! | `/v1/table` | GET, PUT | the whole table, with its revision as `ETag`; a write must name that in `If-Match` |
//! | `/v1/changes` | POST | several changes of routes, releases and flags in one revision |
//! | `/v1/routes` | GET | all routes |
//! | `/v1/routes/{route}` | GET, PUT, DELETE | one route |
//! | `/v1/routes/{route}/split` | PUT, PATCH | its weights: all of them, or the named ones |
//! | `/v1/routes/{route}/switch` | POST | gives all requests to one release |
//! | `/v1/routes/{route}/promote` | POST | gives all requests to the canary |
//! | `/v1/routes/{route}/abort` | POST | gives all requests to the stable release |
//! | `/v1/routes/{route}/pause` | POST | pauses it: its requests wait |
//! | `/v1/routes/{route}/resume` | POST | resumes it |
//! | `/v1/routes/{route}/preview` | POST | makes a token for requests to a release, at weight 0 too |
//! | `/v1/routes/{route}/mirror` | GET | its mirror, and how the copies compare with their originals |
//! | `/v1/routes/{route}/rollback` | POST | restores the route's previous split |
//! | `/v1/releases` | GET | all releases |
//! | `/v1/releases/{release}` | GET, PUT, DELETE | one release |
//! | `/v1/releases/{release}/work` | GET | its work in flight; waits until it is drained |
//! | `/v1/flags` | GET | all feature flags |
//! | `/v1/flags/{flag}` | GET, PUT, PATCH, DELETE | one flag |
//! | `/v1/flags/{flag}/on` | POST | switches a flag on |
//! | `/v1/flags/{flag}/off` | POST | switches a flag off: everybody gets its default |
//! | `/v1/flags/{flag}/rollback` | POST | restores what the flag was before its last change |
//! | `/v1/flags/{flag}/kpis` | GET | key figures of the flag by variant |
//! | `/v1/flags/{flag}/evaluate` | GET | the variant that a context gets, with the reason |
//! | `/v1/quarantine` | GET | the releases that were taken back |
//! | `/v1/quarantine/{release}` | PUT, DELETE | puts a release there, or lifts it |
//! | `/v1/rollouts` | GET, POST | all rollouts; starts one |
//! | `/v1/rollouts/{rollout}` | GET | one rollout |
//! | `/v1/rollouts/{rollout}/{command}` | POST | `pause`, `resume`, `approve`, `skip`, `promote`, `abort`, `rollback` |
//! | `/v1/drills` | GET, POST | all drills; rehearses the way back of a route |
//! | `/v1/drills/{drill}` | GET | one drill |
//! | `/v1/verifications` | GET | what became of users after rollbacks |
//! | `/v1/verifications/{id}` | GET | one verification; `?wait=ended` waits for it |
//! | `/v1/feedback` | GET, POST | what users say of answers; one opinion of an answer, by its stamp, its request or its session |
//! | `/v1/rollback` | POST | restores what was live before; works without a body |
//! | `/v1/import` | POST | imports an edited file: applies its changes, keeps live changes |
//! | `/v1/settings` | GET | digests of the running static settings |
//! | `/v1/reload` | POST | reloads the configuration file and the certificates, as SIGHUP does |
//! | `/v1/revisions` | GET | revisions that were live, latest first |
//! | `/v1/revisions/{n}` | GET | one revision with its table |
//! | `/v1/revisions/{a}/diff/{b}` | GET | differences between two revisions |
//! | `/v1/revisions/{n}/effect` | GET | key figures before and after one revision |
//! | `/v1/backup` | GET, POST | a backup of this moment; with the keys |
//! | `/v1/backups` | GET, POST | the backups that the proxy makes by itself; makes one now |
//! | `/v1/fleet` | GET | the nodes that share the table, and what each has taken up |
//! | `/v1/fleet/keep` | POST | ends the disputes of this node |
//! | `/v1/fleet/offers` | POST | rollbacks of another node, which this one makes as well |
//! | `/v1/events` | GET | what happens, as server-sent events |
//! | `/v1/kpis` | GET | key figures of routes and releases |
//! | `/v1/calibration` | GET | rehearsals of the judge with two halves of one release |
//! | `/v1/session` | GET, POST, DELETE | the caller; exchanges a token for a cookie, and ends that session |
//! | `/v1/status` | GET | everything for a dashboard, or a part of it: in brief, one route, a page of routes |
//! | `/metrics` | GET | Prometheus text |
//! | `/livez` | GET | liveness |
//! | `/readyz` | GET | readiness for traffic |
//! | `/openapi.json` | GET | this API as an `OpenAPI` 3.1 document, generated from the code |
//!
//! `/` and `/dashboard/…` are the dashboard, for browsers.
//!
//! Every change accepts `?dry_run=true`, `?message=`, `If-Match` and `Idempotency-Key` and gets a receipt; every error
//! is an RFC 9457 problem document. The handlers call only the [`Controller`](crate::control::Controller) to change
//! anything: they translate, it decides.

mod auth;
mod auth_failures;
mod backups;
mod body;
mod browser_guard;
mod browser_sessions;
mod calibration;
mod caller;
mod changes;
mod condition;
mod connections;
mod consent;
mod content_negotiation;
mod dashboard;
mod drills;
mod effects;
mod error;
mod events;
mod feedback;
mod feedback_desk;
mod flag_kpis;
mod flags;
mod fleet;
mod idempotency;
mod import;
mod json;
mod json_response;
mod json_terms;
mod kpis;
mod limits;
mod mirrors;
mod named_answer;
mod observe;
mod openapi;
mod page;
mod pages;
mod params;
mod pause;
mod preview;
mod probes;
mod problems;
mod quarantine;
mod recent_answers;
mod releases;
mod reload_queue;
mod rendered_routes;
mod respond;
mod return_options;
mod revisions;
mod rollback;
mod rollout_options;
mod rollouts;
mod router;
mod routes;
mod serve;
mod session;
mod settings;
mod shared_page;
mod split;
mod state;
mod status;
mod switch;
mod table;
mod unknown_name;
mod unread_body;
mod verifications;
mod waits;
mod work;
mod write_timeout;

pub use self::{
    auth::{Access, AccessError},
    feedback::feedback_router,
    feedback_desk::FeedbackState,
    observe::{observe_router, observe_router_with_dashboard},
    probes::{ProbeState, Readiness},
    reload_queue::{ReloadError, ReloadRequest, RunningSettings},
    router::router,
    serve::{Service, serve},
    state::AdminState,
};
