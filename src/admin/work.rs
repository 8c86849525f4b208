//! The endpoint for the work in flight on a release.

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    error::ApiError,
    json_response::tagged,
    params::{PathParams, QueryParams},
    state::AdminState,
    unknown_name::unknown,
};
use crate::{
    api::{LONGEST_WAIT, WaitUntil, Work, WorkState},
    model::{HumanDuration, ReleaseName, Version},
};

/// Wait without a `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Selection of a version, and the wait.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WorkQuery {
    /// The version; by default the live one.
    #[param(required = false, nullable = false, value_type = Version)]
    version: Option<String>,
    /// Waits until the release is drained.
    #[param(required = false, nullable = false, value_type = String, pattern = "^drained$")]
    wait: Option<WaitUntil>,
    /// Longest wait, such as `30s`, at most `60s`.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m)$"
    )]
    timeout: Option<HumanDuration>,
}

/// Work in flight on a release.
///
/// The state is `active` while a live route gives the release a weight or has it as its fallback, `draining` while
/// something is in flight, a worker may still select it or sessions with a pin may still come, `drained` after that: its
/// endpoints can be stopped.
/// In a fleet of proxies it is `drained` once it is on all nodes; `nodes` has the others on which it is not, or that do not
/// say, and everything else is of this node.
/// With `?wait=drained` the answer comes once it is drained, or with status 504 when the time is over.
/// A deleted release is answered for as well, as long as a rollback may lead back to it or something is in flight on it.
#[utoipa::path(get, path = "/v1/releases/{release}/work", tag = "releases",
    params(("release" = ReleaseName, Path, description = "the release"), WorkQuery),
    responses(
        (status = 200, description = "the work in flight", body = Work,
            headers(("etag" = String, description = "the live revision, in quotes"))),
        (status = 504, description = "the release is not drained, and the time to wait is over", body = Work,
            headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn work(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    QueryParams(query): QueryParams<WorkQuery>,
) -> Result<Response, ApiError> {
    let longest = longest_wait(&query)?;
    let version = query.version.as_deref().map(Version::new);
    let version = version
        .transpose()
        .map_err(|error| ApiError::malformed(error.to_string()))?;
    let release = name.parse::<ReleaseName>().ok();
    let of = release.and_then(|release| admin.controller.work_of(&release, version.as_ref()));
    let of = of.ok_or_else(|| unknown_release(&admin, &name, version.as_ref()))?;
    if let Some(longest) = longest {
        let wait = admin.controller.wait_drained(&of, longest);
        admin.waits.run(wait).await?;
    }
    let work = admin.controller.work(&of).await;
    let is_late = longest.is_some() && work.state != WorkState::Drained;
    let answer = tagged(work.revision, &work);
    Ok(if is_late {
        (StatusCode::GATEWAY_TIMEOUT, answer).into_response()
    } else {
        answer
    })
}

/// The longest wait that a request asks for, if it asks for one.
fn longest_wait(query: &WorkQuery) -> Result<Option<Duration>, ApiError> {
    match (query.wait, query.timeout) {
        (Some(WaitUntil::Converged | WaitUntil::Fleet), _) => {
            let error = ApiError::malformed("a release is waited for with `wait=drained`");
            Err(error.hint("the receipt of a change says when it has converged"))
        }
        (Some(WaitUntil::Drained), None) => Ok(Some(TIMEOUT)),
        (Some(WaitUntil::Drained), Some(HumanDuration(timeout))) if timeout <= LONGEST_WAIT => {
            Ok(Some(timeout))
        }
        (Some(WaitUntil::Drained), Some(_)) => {
            let longest = HumanDuration(LONGEST_WAIT);
            let error = ApiError::malformed(format!("`timeout` is longer than {longest}"));
            Err(error.hint("wait again"))
        }
        (None, Some(_)) => {
            let error = ApiError::malformed("`timeout` is of no use without `wait`");
            Err(error.hint("add `wait=drained`"))
        }
        (None, None) => Ok(None),
    }
}

fn unknown_release(admin: &AdminState, name: &str, version: Option<&Version>) -> ApiError {
    let state = admin.controller.live().state();
    let known = state.spec.releases().keys().map(ReleaseName::as_str);
    match version {
        Some(version) if known.clone().any(|one| one == name) => {
            ApiError::new(StatusCode::NOT_FOUND, "unknown-version", "unknown version")
                .detail(format!(
                    "`{name}` has no version `{version}` that is live, warm or draining"
                ))
                .hint("leave `version` out for the live one")
        }
        _ => unknown("release", name, known),
    }
}
