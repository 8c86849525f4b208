//! Everything that a dashboard needs.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{error::ApiError, params::QueryParams, respond::tagged, router::AdminState};
use crate::{api::Status, control::StatusPart, model::RouteName};

/// How many routes a page has, unless it was said.
const PAGE: usize = 100;

/// Which routes and releases.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatusQuery {
    /// Of a table with more than 50 routes, or more than 50 releases, at most 50 of each that are worth a look: routes
    /// that are split or not ready; releases that are not ready, that drain, or that such a route sends requests to.
    #[param(required = false)]
    brief: bool,
    /// This route alone, and the releases in its split.
    #[param(required = false, nullable = false, value_type = RouteName)]
    route: Option<String>,
    /// A page of routes behind this one, and the releases in their splits: `next` of the page before.
    #[param(required = false, nullable = false, value_type = RouteName)]
    after: Option<String>,
    /// A page of so many routes at most, and the releases in their splits.
    #[param(required = false, nullable = false, value_type = usize, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The state of things: what is decided, what is, and what a rollback would do.
///
/// All routes and releases, unless less is asked for: of `brief`, `route` and a page (`after`, `limit`) one at most.
/// `totals` says how many there are.
#[utoipa::path(get, path = "/v1/status", tag = "status", params(StatusQuery),
    responses((status = 200, description = "the state of things", body = Status,
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
                "`brief`, `route` and a page (`after`, `limit`) do not go together",
            )
            .hint("ask for one of them")),
        }
    }
}
