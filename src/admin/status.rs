//! The status endpoint for dashboards.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{error::ApiError, json_response::tagged, params::QueryParams, state::AdminState};
use crate::{api::Status, control::StatusPart, model::RouteName};

/// Default number of routes on a page.
const PAGE: usize = 100;

/// Selection of routes and releases.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatusQuery {
    /// Of a table with more than 50 routes, or more than 50 releases, at most 50 of each that need attention: routes
    /// that are split or not ready; releases that are not ready, that drain, or that such a route sends requests to.
    #[param(required = false)]
    brief: bool,
    /// Only this route, and the releases in its split.
    #[param(required = false, nullable = false, value_type = RouteName)]
    route: Option<String>,
    /// The page of routes after this one, and the releases in their splits: `next` of the previous page.
    #[param(required = false, nullable = false, value_type = RouteName)]
    after: Option<String>,
    /// Maximum number of routes on the page, with the releases in their splits.
    #[param(required = false, nullable = false, value_type = usize, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Status: the live table, its health, and what a rollback would do.
///
/// All routes and releases by default; at most one of `brief`, `route` and a page (`after`, `limit`) selects fewer.
/// `totals` has their numbers.
#[utoipa::path(get, path = "/v1/status", tag = "status", params(StatusQuery,
        ("Cache-Control" = Option<String>, Header, description = "`max-age=N` allows an answer that another reader got, up to N seconds old (at most 5) if nothing has happened since")),
    responses((status = 200, description = "the status", body = Status,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn status(
    State(admin): State<AdminState>,
    QueryParams(query): QueryParams<StatusQuery>,
) -> Result<Response, ApiError> {
    let part = admin.part(query)?;
    match part {
        StatusPart::Whole | StatusPart::WithoutRoutes => {
            Ok(admin.pages.status.get().await?.response())
        }
        StatusPart::Brief => Ok(admin.pages.brief_status.get().await?.response()),
        StatusPart::Route(_) | StatusPart::Page { .. } => {
            let controller = Arc::clone(&admin.controller);
            let look = move || {
                let status = controller.status_of(&controller.live(), &part);
                tagged(status.revision, &status)
            };
            admin.pages.look(look).await
        }
    }
}

impl AdminState {
    fn part(&self, query: StatusQuery) -> Result<StatusPart, ApiError> {
        let is_page = query.after.is_some() || query.limit.is_some();
        match query {
            StatusQuery {
                brief: false,
                route: Some(route),
                ..
            } if !is_page => Ok(StatusPart::Route(self.route(&route)?)),
            StatusQuery {
                brief: false,
                route: None,
                after,
                limit,
            } if is_page => {
                let limit = limit.unwrap_or(PAGE);
                if !(1..=1000).contains(&limit) {
                    return Err(ApiError::malformed("`limit` is 1 to 1000"));
                }
                let after = after.map(|after| self.route(&after)).transpose()?;
                Ok(StatusPart::Page { after, limit })
            }
            StatusQuery {
                brief, route: None, ..
            } if !is_page => Ok(if brief {
                StatusPart::Brief
            } else {
                StatusPart::Whole
            }),
            _ => Err(ApiError::malformed(
                "`brief`, `route` and a page (`after`, `limit`) are mutually exclusive",
            )
            .hint("use one of them")),
        }
    }
}
