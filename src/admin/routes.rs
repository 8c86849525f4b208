//! Endpoints of single routes.

use axum::{extract::State, response::Response};
use serde_json::Value;

use super::{
    body::{Body, NoBody, typed},
    error::ApiError,
    json::Json,
    json_response::tagged,
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams},
    respond::{answer, named},
    state::AdminState,
    unknown_name::{unknown, unknown_route},
};
use crate::{
    api::{ChangeAnswer, RouteBody, RouteList},
    model::{Change, ReleaseName, RouteName, RouteSpec},
};

/// All routes, in the order of the table.
#[utoipa::path(get, path = "/v1/routes", tag = "routes",
    responses((status = 200, description = "the routes", body = RouteList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_routes(State(admin): State<AdminState>) -> Result<Response, ApiError> {
    Ok(admin.pages.routes.get().await?.response())
}

/// One route.
#[utoipa::path(get, path = "/v1/routes/{route}", tag = "routes",
    params(("route" = RouteName, Path, description = "the route")),
    responses((status = 200, description = "the route", body = RouteSpec,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_route(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
) -> Result<Response, ApiError> {
    let live = admin.controller.live();
    let state = live.state();
    let route = state
        .spec
        .routes()
        .iter()
        .find(|route| route.name.as_str() == name)
        .ok_or_else(|| unknown_route(&name, state.spec.routes().iter().map(|route| &route.name)))?;
    Ok(tagged(live.revision(), &***route))
}

/// Adds a route at the end, or replaces one at its position.
#[utoipa::path(put, path = "/v1/routes/{route}", tag = "routes",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body = RouteBody,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn put_route(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(body): Body<Json>,
) -> Result<Response, ApiError> {
    let name: RouteName = named(&name)?;
    let route: RouteSpec = typed(with_name(body, &name)?)?;
    let state = admin.controller.live().state();
    params
        .condition
        .holds_for(state.spec.place(&name).is_some())?;
    let releases = state.spec.releases();
    let mirror = route.mirror.as_ref().map(|mirror| &mirror.release);
    let mut named = route.split.keys().chain(&route.stable).chain(mirror);
    if let Some(name) = named.find(|name| !releases.contains_key(*name)) {
        let known = releases.keys().map(ReleaseName::as_str);
        return Err(unknown("release", name.as_str(), known));
    }
    let route = Box::new(route);
    answer(&admin, params, Change::PutRoute { route }).await
}

/// The body with the name from the path; the body may repeat it.
fn with_name(body: Json, name: &RouteName) -> Result<Json, ApiError> {
    let Json(Value::Object(mut members)) = body else {
        return Ok(body);
    };
    let named = Value::from(name.as_str());
    let said = members.insert("name".to_owned(), named.clone());
    if said.is_some_and(|said| said != named) {
        return Err(ApiError::invalid(format!(
            "`name`: the path calls the route `{name}`, the body calls it otherwise"
        ))
        .hint("leave `name` out; to rename a route, add the new one and delete the old one"));
    }
    Ok(Json(Value::Object(members)))
}

/// Removes a route.
#[utoipa::path(delete, path = "/v1/routes/{route}", tag = "routes",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn delete_route(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    _: NoBody,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    answer(&admin, params, Change::RemoveRoute { route }).await
}
