//! Endpoints of single releases.

use axum::{extract::State, response::Response};

use super::{
    body::{Body, NoBody},
    error::ApiError,
    json_response::tagged,
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams},
    respond::{answer, named},
    state::AdminState,
};
use crate::{
    api::{ChangeAnswer, ReleaseList},
    model::{Change, ReleaseDocument, ReleaseName},
};

/// All releases.
#[utoipa::path(get, path = "/v1/releases", tag = "releases",
    responses((status = 200, description = "the releases", body = ReleaseList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_releases(State(admin): State<AdminState>) -> Result<Response, ApiError> {
    Ok(admin.pages.releases.get().await?.response())
}

/// One release.
#[utoipa::path(get, path = "/v1/releases/{release}", tag = "releases",
    params(("release" = ReleaseName, Path, description = "the release")),
    responses((status = 200, description = "the release", body = ReleaseDocument,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_release(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
) -> Result<Response, ApiError> {
    let name = admin.release(&name)?;
    let live = admin.controller.live();
    let state = live.state();
    let document = ReleaseDocument {
        spec: state
            .spec
            .release(&name)
            .map(|spec| (***spec).clone())
            .unwrap_or_default(),
        endpoints: state.endpoints(&name).to_vec(),
    };
    Ok(tagged(live.revision(), &document))
}

/// Adds a release or replaces one.
///
/// While its `version` stays the same, added and removed endpoints are facts: recorded, but not undone by a rollback.
#[utoipa::path(put, path = "/v1/releases/{release}", tag = "releases",
    params(("release" = ReleaseName, Path, description = "the release"), ChangeOptions, ChangeConditions),
    request_body = ReleaseDocument,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn put_release(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(document): Body<ReleaseDocument>,
) -> Result<Response, ApiError> {
    let release: ReleaseName = named(&name)?;
    let state = admin.controller.live().state();
    params
        .condition
        .holds_for(state.spec.releases().contains_key(&release))?;
    let document = Box::new(document);
    answer(&admin, params, Change::PutRelease { release, document }).await
}

/// Removes a release.
///
/// 409 while it has a weight in a split, without exception. 409 while it is in a split with weight 0, warm or draining,
/// unless `?force=true`, which removes it from those splits as well.
#[utoipa::path(delete, path = "/v1/releases/{release}", tag = "releases",
    params(("release" = ReleaseName, Path, description = "the release"), ChangeOptions, ChangeConditions),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn delete_release(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    _: NoBody,
) -> Result<Response, ApiError> {
    let release = admin.release(&name)?;
    answer(&admin, params, Change::RemoveRelease { release }).await
}
