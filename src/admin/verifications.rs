//! Endpoints of verifications: what became of users after a rollback.

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
    api::{LONGEST_WAIT, Verification, VerificationList, VerificationState},
    model::HumanDuration,
};

/// Wait without a `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Ids in the answer to an unknown one.
const KNOWN: usize = 20;

/// The wait for the end of a verification.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VerificationQuery {
    /// Waits until the verification has ended.
    #[param(required = false, nullable = false, value_type = String, pattern = "^ended$")]
    wait: Option<VerificationWait>,
    /// Longest wait, such as `30s`, at most `60s`.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m)$"
    )]
    timeout: Option<HumanDuration>,
}

/// Condition that a request waits for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerificationWait {
    Ended,
}

/// All verifications that run, and the last ones that have ended, the latest first.
///
/// A verification begins with every rollback, and with an abort.
#[utoipa::path(get, path = "/v1/verifications", tag = "rollback",
    responses((status = 200, description = "the verifications", body = VerificationList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_verifications(State(admin): State<AdminState>) -> Response {
    let verifications = admin.controller.verifications();
    tagged(
        admin.controller.live().revision(),
        &VerificationList { verifications },
    )
}

/// A verification: whether users get again what they got before the release that was taken back.
///
/// With `?wait=ended` the answer comes once it has ended, or with status 504 when the time is over.
#[utoipa::path(get, path = "/v1/verifications/{id}", tag = "rollback",
    params(("id" = String, Path, description = "its id, the number of the rollback's revision"), VerificationQuery),
    responses(
        (status = 200, description = "the verification", body = Verification,
            headers(("etag" = String, description = "the live revision, in quotes"))),
        (status = 504, description = "it has not ended, and the time to wait is over", body = Verification,
            headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_verification(
    State(admin): State<AdminState>,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<VerificationQuery>,
) -> Result<Response, ApiError> {
    let longest = longest_wait(&query)?;
    let found = || admin.controller.verification(&id);
    let mut verification = found().ok_or_else(|| unknown_verification(&admin, &id))?;
    if let Some(longest) = longest {
        let wait = admin.controller.wait_verification(&id, longest);
        admin.waits.run(wait).await?;
        verification = found().unwrap_or(verification);
    }
    let is_late = longest.is_some() && verification.state == VerificationState::Running;
    let answer = tagged(admin.controller.live().revision(), &verification);
    Ok(if is_late {
        (StatusCode::GATEWAY_TIMEOUT, answer).into_response()
    } else {
        answer
    })
}

/// The longest wait that a request asks for, if it asks for one.
fn longest_wait(query: &VerificationQuery) -> Result<Option<Duration>, ApiError> {
    match (query.wait, query.timeout) {
        (Some(VerificationWait::Ended), None) => Ok(Some(TIMEOUT)),
        (Some(VerificationWait::Ended), Some(HumanDuration(timeout)))
            if timeout <= LONGEST_WAIT =>
        {
            Ok(Some(timeout))
        }
        (Some(VerificationWait::Ended), Some(_)) => {
            let longest = HumanDuration(LONGEST_WAIT);
            let error = ApiError::malformed(format!("`timeout` is longer than {longest}"));
            Err(error.hint("wait again"))
        }
        (None, Some(_)) => {
            let error = ApiError::malformed("`timeout` is of no use without `wait`");
            Err(error.hint("add `wait=ended`"))
        }
        (None, None) => Ok(None),
    }
}

fn unknown_verification(admin: &AdminState, id: &str) -> ApiError {
    let known = admin.controller.verifications();
    let known = known.iter().take(KNOWN).map(|one| one.id.as_str());
    unknown("verification", id, known)
}
