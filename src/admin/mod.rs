//! The admin API: JSON over a listener of its own, loopback unless a token is configured.
//!
//! | path | methods | what it is |
//! |---|---|---|
//! | `/v1/table` | GET, PUT | the whole table, with its revision as `ETag`; a write must name that in `If-Match` |
//! | `/v1/routes` | GET | all routes |
//! | `/v1/routes/{route}` | GET, PUT, DELETE | one route |
//! | `/v1/routes/{route}/split` | PUT, PATCH | its weights: all of them, or those that are named |
//! | `/v1/routes/{route}/switch` | POST | one release gets everything |
//! | `/v1/routes/{route}/promote` | POST | the canary gets everything |
//! | `/v1/routes/{route}/abort` | POST | the stable release gets everything |
//! | `/v1/routes/{route}/rollback` | POST | the route's previous split comes back |
//! | `/v1/releases` | GET | all releases |
//! | `/v1/releases/{release}` | GET, PUT, DELETE | one release |
//! | `/v1/rollback` | POST | what was live before comes back; works without a body |
//! | `/v1/import` | POST | takes over an edited file: what changed in it, but not what changed live |
//! | `/v1/settings` | GET | digests of the static settings that run |
//! | `/v1/reload` | POST | reads the configuration file and the certificates again, as SIGHUP does |
//! | `/v1/revisions` | GET | what was live, latest first |
//! | `/v1/revisions/{n}` | GET | one revision with its table |
//! | `/v1/revisions/{a}/diff/{b}` | GET | what differs between two |
//! | `/v1/status` | GET | all that a dashboard needs, or a part of it: in brief, one route, a page of routes |
//! | `/metrics` | GET | Prometheus text |
//! | `/livez` | GET | whether the process lives |
//! | `/readyz` | GET | whether traffic should be sent here |
//! | `/openapi.json` | GET | this API as an `OpenAPI` 3.1 document, generated from the code |
//!
//! Every change takes `?dry_run=true`, `?message=`, `If-Match` and `Idempotency-Key` and is answered with a receipt; every
//! error is an RFC 9457 problem document. The handlers know the [`Controller`](crate::control::Controller) and nothing
//! below it that changes: they translate, it decides.

mod auth;
mod auth_failures;
mod body;
mod browser_guard;
mod connections;
mod consent;
mod content_negotiation;
mod error;
mod idempotency;
mod import;
mod json;
mod limits;
mod openapi;
mod page;
mod pages;
mod params;
mod probes;
mod problems;
mod releases;
mod rendered_routes;
mod respond;
mod revisions;
mod rollback;
mod router;
mod routes;
mod serve;
mod settings;
mod shared_page;
mod split;
mod status;
mod switch;
mod table;
mod unread_body;
mod write_timeout;

pub use self::{
    auth::{Access, AccessError},
    probes::{ProbeState, Readiness, observe_router},
    router::{AdminState, router},
    serve::serve,
    settings::{ReloadError, ReloadRequest, RunningSettings},
};
