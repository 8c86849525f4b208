//! Endpoints of the quarantine.

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};

use super::{
    body::Body,
    caller::Caller,
    error::ApiError,
    json_response::tagged,
    params::{LiftOptions, PathParams},
    problems::refused,
    respond::run_detached,
    state::AdminState,
    unknown_name::unknown,
};
use crate::{
    api::{QuarantineList, QuarantineRequest, QuarantinedRelease},
    model::{ReleaseName, Version},
};

/// Longest reason.
const LONGEST_REASON: usize = 256;

/// The releases in quarantine, the latest first.
///
/// A version of a release that a rollback or a rollout took back gets no larger share by a rollout or by an edited file,
/// unless that is forced. Changes by hand are not refused.
#[utoipa::path(get, path = "/v1/quarantine", tag = "rollouts",
    responses((status = 200, description = "the releases", body = QuarantineList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_quarantine(State(admin): State<AdminState>) -> Response {
    let releases = admin.controller.quarantined().to_vec();
    tagged(
        admin.controller.live().revision(),
        &QuarantineList { releases },
    )
}

/// Puts the live version of a release in quarantine. Requests that it gets now go on.
#[utoipa::path(put, path = "/v1/quarantine/{release}", tag = "rollouts",
    params(("release" = ReleaseName, Path, description = "the release")), request_body = QuarantineRequest,
    responses((status = 200, description = "the entry", body = QuarantinedRelease)))]
pub(super) async fn put_in_quarantine(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    Extension(caller): Extension<Caller>,
    Body(QuarantineRequest { reason }): Body<QuarantineRequest>,
) -> Result<Response, ApiError> {
    let release = admin.release(&name)?;
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let message = format!("`reason` has 1 to {LONGEST_REASON} characters");
        return Err(ApiError::invalid(message));
    }
    let (controller, by) = (admin.controller.clone(), caller.name.to_string());
    let put = async move { controller.put_in_quarantine(release, reason, by).await };
    let (entry, is_saved) = run_detached(put).await?.map_err(refused)?;
    saved(is_saved)?;
    Ok(tagged(admin.controller.live().revision(), &entry))
}

/// Lifts the quarantine of a release. 404 if it is in none.
#[utoipa::path(delete, path = "/v1/quarantine/{release}", tag = "rollouts",
    params(("release" = ReleaseName, Path, description = "the release"), LiftOptions),
    responses((status = 200, description = "the entries that were lifted", body = QuarantineList)))]
pub(super) async fn lift_quarantine(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    Extension(caller): Extension<Caller>,
    options: Result<Query<LiftOptions>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let known = admin.controller.quarantined();
    let Ok(release) = ReleaseName::new(&name) else {
        return Err(not_there(&name, None, &known));
    };
    let (controller, by) = (admin.controller.clone(), caller.name.to_string());
    let version = options.version.clone();
    let lift = async move {
        controller
            .lift_quarantine(&release, version.as_ref(), &by)
            .await
    };
    let (releases, is_saved) = run_detached(lift).await?;
    if releases.is_empty() {
        return Err(not_there(&name, options.version.as_ref(), &known));
    }
    saved(is_saved)?;
    Ok(tagged(
        admin.controller.live().revision(),
        &QuarantineList { releases },
    ))
}

/// Error of a lift that finds no entry: the names that have one, or the versions of this one.
fn not_there(name: &str, version: Option<&Version>, known: &[QuarantinedRelease]) -> ApiError {
    let own = known.iter().filter(|entry| entry.release.as_str() == name);
    let mut versions = own.map(|entry| entry.version.as_str()).peekable();
    if let (Some(version), Some(_)) = (version, versions.peek()) {
        return unknown("quarantined-version", version.as_str(), versions);
    }
    let mut names: Vec<_> = known.iter().map(|entry| entry.release.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    unknown("quarantined-release", name, names.into_iter())
}

fn saved(is_saved: bool) -> Result<(), ApiError> {
    if is_saved {
        return Ok(());
    }
    let title = "the quarantine could not be written";
    let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-durable", title);
    Err(refusal
        .detail("it holds, but a restart may forget it: the disk did not take it")
        .hint("look at the disk of the history, and try again"))
}
