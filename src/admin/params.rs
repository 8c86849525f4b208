//! Parameters of a change besides its body: author, reason, condition and permissions.

use std::{error::Error as _, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Path, Query, rejection::QueryRejection},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::{
    caller::Caller,
    condition::{Condition, if_match},
    connections::{Changing, Connection},
    error::ApiError,
    idempotency::idempotency_key,
    switch::{switch, switch_schema},
};
use crate::{
    api::{ChangeWait, ConflictPolicy, LONGEST_WAIT, WaitUntil, group_error, message_error},
    control::{Controller, KeyGuard},
    model::{Actor, Author, HumanDuration, Version},
};

/// Wait after a change without a `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Options of a change, in the query.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangeOptions {
    /// Return the effect without changing anything. `?dry_run` alone means `?dry_run=true`.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    pub(super) dry_run: bool,
    /// Proceed although a release that gets a larger share has no healthy endpoint, or was not checked yet, or
    /// although the release to be removed is still warm, draining, or in a split with weight 0, or although a release that
    /// is left for an earlier one does not allow that for its data.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    pub(super) force: bool,
    /// End at once what is in flight on releases that leave their route by this change, whatever `in_flight` says.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    pub(super) cut: bool,
    /// Time to wait until every release that gets a larger share is healthy, such as `30s`, at most `60s`; if one is not
    /// healthy by then, the change is refused. Without it a change only waits for the first check of a release that has
    /// checks but no result yet.
    /// `converged`, `drained` and `fleet` wait after the change instead, for `timeout`: until every worker has taken it up,
    /// until nothing is in flight any more on the releases that left a route by it (`drained` in the receipt), or until
    /// every worker of every node of the fleet of proxies has taken it up (`fleet` in the receipt).
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m|converged|drained|fleet)$"
    )]
    pub(super) wait: Option<ChangeWait>,
    /// Longest wait after the change, such as `30s`, at most `60s`.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m)$"
    )]
    pub(super) timeout: Option<HumanDuration>,
    /// Reason. A message in the body takes precedence.
    #[param(required = false, nullable = false, max_length = 256)]
    pub(super) message: Option<String>,
    /// Group of the change, such as `deploy-7`. Consecutive changes of the same group are undone by one bare rollback.
    /// On a rollback it has no effect.
    #[param(required = false, nullable = false, pattern = "^[!-~]{1,64}$")]
    pub(super) group: Option<String>,
}

/// Selection of a page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Only revisions before this one.
    #[param(required = false, nullable = false, value_type = u64, maximum = 1_000_000_000_000_000_000_u64)]
    pub(super) before: Option<u64>,
    /// Maximum number of items.
    #[param(required = false, nullable = false, value_type = usize, minimum = 1, maximum = 1000)]
    pub(super) limit: Option<usize>,
}

/// Options of a lift, in the query.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiftOptions {
    /// Only this version; all of them by default.
    #[param(required = false, nullable = false)]
    pub(super) version: Option<Version>,
}

/// Options of an import, in the query.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportOptions {
    /// Side that wins where both the file and the live table changed; without it such a file is refused as a whole.
    #[param(required = false, nullable = false, inline)]
    pub(super) wins: Option<ConflictPolicy>,
    /// Return the effect without changing anything. `?dry_run` alone means `?dry_run=true`.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(default, deserialize_with = "switch")]
    dry_run: bool,
    /// Proceed although a release that gets a larger share has no healthy endpoint.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(default, deserialize_with = "switch")]
    force: bool,
    /// Time to wait, as with other changes.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m)$"
    )]
    wait: Option<HumanDuration>,
    /// Reason.
    #[param(required = false, nullable = false, max_length = 256)]
    message: Option<String>,
    /// Group of the change, as with other changes.
    #[param(required = false, nullable = false, pattern = "^[!-~]{1,64}$")]
    group: Option<String>,
}

/// Conditions of a change, in the header.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the documentation reads it")]
pub(super) struct ChangeConditions {
    /// The revision that the change is based on, such as `"42"`: 412 if what it is about has changed since. With `*`:
    /// 412 if what it replaces does not exist.
    #[param(
        rename = "If-Match",
        required = false,
        nullable = false,
        pattern = r#"^(\*|"[0-9]{1,18}")$"#
    )]
    if_match: Option<String>,
    /// Makes repeating the request safe: the same key and the same request get the first response again, whatever has
    /// happened since, for at least 24 hours unless 10,000 later keys or 32 MiB of responses come;
    /// `Idempotency-Replayed` marks it. Another request under the key is 422. Errors are not kept. A dry run has no
    /// key.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        nullable = false,
        pattern = "^[!-~]{1,64}$"
    )]
    idempotency_key: Option<String>,
}

/// Conditions of a whole-table write: it must name its base revision.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the documentation reads it")]
pub(super) struct TableConditions {
    /// The live revision, such as `"42"`: 412 if it is another one by now, 428 if it is missing.
    #[param(rename = "If-Match", pattern = r#"^"[0-9]{1,18}"$"#)]
    if_match: String,
    /// Makes repeating the request safe: the same key and the same request get the first response again, whatever has
    /// happened since, for at least 24 hours unless 10,000 later keys or 32 MiB of responses come;
    /// `Idempotency-Replayed` marks it. Another request under the key is 422. Errors are not kept. A dry run has no
    /// key.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        nullable = false,
        pattern = "^[!-~]{1,64}$"
    )]
    idempotency_key: Option<String>,
}

/// Parameters of a change.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the query"
)]
pub(super) struct ChangeParams {
    caller: Caller,
    connection: Option<Arc<Connection>>,
    key_guard: Option<Arc<KeyGuard>>,
    message: Option<String>,
    group: Option<String>,
    idempotency_key: Option<String>,
    /// The condition of the change.
    pub(super) condition: Condition,
    /// True for a dry run: nothing is changed.
    pub(super) dry_run: bool,
    /// True to proceed although it would be refused as unready.
    pub(super) force: bool,
    pub(super) wait: Option<Duration>,
    /// State to wait for after the change, and for how long.
    pub(super) until: Option<(WaitUntil, Duration)>,
    pub(super) drop: bool,
    /// True to end at once what is in flight on releases that leave.
    pub(super) cut: bool,
}

/// Parameters of an import.
pub(super) struct ImportParams {
    pub(super) params: ChangeParams,
    pub(super) wins: Option<ConflictPolicy>,
}

impl ChangeParams {
    /// The author of the change, with the reason.
    pub(super) fn author(&self) -> Author {
        Author {
            actor: Actor::Api,
            name: self.caller.name.to_string(),
            message: self.message.clone(),
            idempotency_key: self.idempotency_key.clone(),
            group: self.group.clone(),
        }
    }

    /// Takes the guard of the idempotency key out: held until the response is stored, and no longer.
    pub(super) fn take_key_guard(&mut self) -> Option<Arc<KeyGuard>> {
        self.key_guard.take()
    }

    /// Protects the connection from eviction while the change is applied.
    pub(super) fn changing(&self) -> Option<Changing> {
        self.connection.as_ref().map(Connection::changing)
    }

    /// Sets the message of a body, which takes precedence over that of the query.
    pub(super) fn because(mut self, message: Option<String>) -> Result<Self, ApiError> {
        if let Some(message) = message {
            self.message = Some(short(message)?);
        }
        Ok(self)
    }
}

impl ChangeParams {
    /// Refuses to wait for a fleet on a proxy that is in none.
    pub(super) fn check_fleet(&self, controller: &Controller) -> Result<(), ApiError> {
        let waits = self
            .until
            .is_some_and(|(until, _)| until == WaitUntil::Fleet);
        if !waits || controller.is_node() {
            return Ok(());
        }
        let error = ApiError::invalid("this proxy is in no fleet, for which a change could wait");
        Err(error.hint("`wait=converged` waits for its own workers"))
    }

    pub(super) fn of(parts: &mut Parts, options: ChangeOptions) -> Result<Self, ApiError> {
        let (caller, until) = (
            parts.extensions.get::<Caller>().cloned(),
            wait_after(&options)?,
        );
        Ok(Self {
            connection: parts.extensions.get::<Arc<Connection>>().cloned(),
            key_guard: parts.extensions.remove::<Arc<KeyGuard>>(),
            caller: caller.ok_or_else(ApiError::internal)?,
            message: options.message.map(short).transpose()?,
            group: options.group.map(grouped).transpose()?,
            idempotency_key: idempotency_key(&parts.headers)?,
            condition: if_match(&parts.headers)?,
            dry_run: options.dry_run,
            force: options.force,
            wait: match options.wait {
                Some(ChangeWait::Healthy(wait)) => Some(short_wait("wait", wait)?),
                Some(ChangeWait::Until(_)) | None => None,
            },
            until,
            drop: false,
            cut: options.cut,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ChangeParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let QueryParams(options) = QueryParams::from_request_parts(parts, state).await?;
        Self::of(parts, options)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ImportParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let QueryParams(ImportOptions {
            wins,
            dry_run,
            force,
            wait,
            message,
            group,
        }) = QueryParams::from_request_parts(parts, state).await?;
        let options = ChangeOptions {
            dry_run,
            force,
            cut: false,
            wait: wait.map(ChangeWait::Healthy),
            timeout: None,
            message,
            group,
        };
        let params = ChangeParams::of(parts, options)?;
        Ok(Self { params, wins })
    }
}

/// The state to wait for after a change, and for how long.
fn wait_after(options: &ChangeOptions) -> Result<Option<(WaitUntil, Duration)>, ApiError> {
    let timeout = options
        .timeout
        .map(|timeout| short_wait("timeout", timeout));
    match (options.wait, timeout.transpose()?) {
        (Some(ChangeWait::Until(_)), _) if options.dry_run => Err(ApiError::invalid(
            "a dry run makes nothing that could be waited for",
        )
        .hint("leave `wait` out")),
        (Some(ChangeWait::Until(until)), timeout) => Ok(Some((until, timeout.unwrap_or(TIMEOUT)))),
        (_, Some(_)) => Err(ApiError::invalid(
            "`timeout` is of no use without `wait=converged`, `wait=drained` or `wait=fleet`",
        )
        .hint("the time of `wait=30s` is its own")),
        (_, None) => Ok(None),
    }
}

fn short_wait(name: &str, HumanDuration(wait): HumanDuration) -> Result<Duration, ApiError> {
    if wait > LONGEST_WAIT {
        return Err(ApiError::invalid(format!(
            "`{name}` is longer than {}",
            HumanDuration(LONGEST_WAIT)
        )));
    }
    Ok(wait)
}

fn short(message: String) -> Result<String, ApiError> {
    match message_error(&message) {
        Some(mistake) => Err(ApiError::invalid(mistake)),
        None => Ok(message),
    }
}

fn grouped(group: String) -> Result<String, ApiError> {
    match group_error(&group) {
        Some(mistake) => Err(ApiError::invalid(mistake)),
        None => Ok(group),
    }
}

/// Arguments in the query; unknown ones are rejected, since a misspelt `dry_run` must not be a change.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(arguments) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::malformed(cause(&rejection)))?;
        Ok(Self(arguments))
    }
}

/// The cause of a rejection; of its own it says only that there is one.
fn cause(rejection: &QueryRejection) -> String {
    let cause = rejection.source().map(ToString::to_string);
    cause.unwrap_or_else(|| rejection.body_text())
}

/// Parts of the path.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(segments) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::malformed(rejection.body_text()))?;
        Ok(Self(segments))
    }
}
