//! Preview tokens: permissions to look at a release before it gets traffic.

use std::time::{Duration, SystemTime};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    body::Body, error::ApiError, json_response::json, params::PathParams, state::AdminState,
    unknown_name::unknown,
};
use crate::{
    api::{LONGEST_PREVIEW, PreviewRequest, PreviewToken, Timestamp},
    model::{OVERRIDE_FIELD, ReleaseName, RouteName},
    seal::{Label, Preview},
};

/// Makes a token by which requests choose a release of the route, on every listener and at weight 0 too.
///
/// A request sends it in the field `x-switchback-release`. It is bound to the route and the release and expires; it is
/// stored nowhere and cannot be taken back. Such requests are not in the statistics of the release.
#[utoipa::path(post, path = "/v1/routes/{route}/preview", tag = "splits",
    params(("route" = RouteName, Path, description = "the route")),
    request_body = PreviewRequest,
    responses((status = 200, description = "the token", body = PreviewToken)))]
pub(super) async fn preview(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    Body(request): Body<PreviewRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    let PreviewRequest { release, period } = request;
    check(&admin, &route, &release)?;
    if period.0 < Duration::from_secs(1) || period > LONGEST_PREVIEW {
        let message = "a token holds for 1s to 30d";
        return Err(
            ApiError::invalid(message).hint("such as `{\"release\": \"green\", \"for\": \"1h\"}`")
        );
    }
    // Whole seconds, as in the token.
    let now = Timestamp::of(SystemTime::now()).millis() / 1_000;
    let expires = now.saturating_add(period.0.as_secs());
    let token = Preview {
        expires,
        release: release.as_str(),
    };
    let sealed = token.seal(&admin.seal, &Label::preview(route.as_str()));
    let token = sealed.ok_or_else(ApiError::internal)?.as_str().to_owned();
    let made = PreviewToken {
        route,
        release,
        header: OVERRIDE_FIELD.to_owned(),
        token,
        expires_at: Timestamp::from_millis(expires.saturating_mul(1_000)),
        listener: admin.settings.listener.clone(),
    };
    Ok((StatusCode::OK, json(&made)).into_response())
}

/// Refuses a release that is not in the split: the token would lead nowhere.
fn check(admin: &AdminState, route: &RouteName, release: &ReleaseName) -> Result<(), ApiError> {
    admin.release(release.as_str())?;
    let state = admin.controller.live().state();
    let Some(spec) = state.spec.route(route) else {
        return Ok(());
    };
    if spec.split.contains_key(release) {
        return Ok(());
    }
    let known = spec.split.keys().map(ReleaseName::as_str);
    let refusal = unknown("release", release.as_str(), known);
    Err(refusal
        .detail(format!(
            "the route `{route}` has no release `{release}` in its split"
        ))
        .hint(format!(
            "give it a place first: `switchback split {route} {release}=0`"
        )))
}
