//! Maps errors of the controller to problem documents. The only file that gives them a status.

use std::error::Error;

use axum::http::{StatusCode, header};

use super::{
    error::{ApiError, needs_revision},
    unknown_name::unknown,
};
use crate::{
    control::ControlError,
    model::{ChangeError, FlagName, Problem, ReleaseName, Revision, RouteName},
    telemetry::ErrorChain,
};

/// The API error for an error of the controller.
pub(super) fn refused(error: ControlError) -> ApiError {
    let text = error.to_string();
    let may_return = error.may_return();
    match error {
        ControlError::Busy => busy(text),
        ControlError::Change(error) => inapplicable(error),
        ControlError::Invalid(problems) => invalid(problems),
        ControlError::GoesBack(_) => goes_back(text),
        ControlError::KeyMissing(_) => key_missing(text),
        ControlError::KeyReused { .. } => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-reused",
            "the idempotency key belongs to another request",
        )
        .detail(text)
        .hint("use a new key for a new request"),
        ControlError::NotDurable(cause) => not_durable(&text, &cause, may_return),
        ControlError::NotShared { is_unknown, .. } => not_shared(text, is_unknown),
        ControlError::Overtaken => overtaken(text),
        ControlError::NotReady {
            releases, nearest, ..
        } => not_ready(text, releases, nearest),
        ControlError::NoRoom(_) => conflict("no-room", "a release has no room for its requests")
            .detail(text)
            .hint("add endpoints or raise the limits of the release, wait for fewer requests, or force it"),
        ControlError::RollbackNotAllowed(_) => conflict(
            "rollback-not-allowed",
            "a release does not allow the way back from it",
        )
        .detail(text)
        .hint("see to the data first; `?force=true` goes back all the same"),
        ControlError::NotOnStack(_) => not_on_stack(text),
        ControlError::NothingToUndo => {
            conflict("nothing-to-undo", "there is nothing to go back to").detail(text)
        }
        ControlError::PreconditionRequired { .. } => needs_revision(),
        ControlError::Quarantined(entry) => quarantined(text, &entry.release),
        ControlError::ReleaseWanted { .. } => conflict("release-wanted", "the release is in use")
            .detail(text)
            .hint(
                "`?force=true` removes it anyway, and also from the splits in which its weight is 0; a mirror to it has to go first",
            ),
        ControlError::Stale { live, since, .. } => {
            let mut refusal = ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "conflict",
                "conflict with another change",
            )
            .detail(text)
            .hint("check what is live now, and try again");
            refusal.document.revision = Some(live);
            refusal.document.since = since;
            refusal
        }
        ControlError::WouldDrop { releases, .. } => would_drop(text, &releases),
        ControlError::UnknownRevision { oldest, .. } => unknown_revision(text, oldest),
    }
}

fn busy(text: String) -> ApiError {
    let title = "too many pending changes";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title)
        .detail(text)
        .field(header::RETRY_AFTER, "1")
}

fn not_shared(text: String, is_unknown: bool) -> ApiError {
    let title = "the fleet does not take changes now";
    let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-shared", title);
    let refusal = refusal.detail(text).field(header::RETRY_AFTER, "1");
    refusal.hint(if is_unknown {
        "look at what is live before you try again; a rollback of this node is possible at any time"
    } else {
        "`switchback fleet status` shows the store; a rollback of this node is possible at any time"
    })
}

fn overtaken(text: String) -> ApiError {
    let title = "other nodes were faster";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overtaken", title)
        .detail(text)
        .hint("nothing has changed by it: look at what is live by now, and try again")
        .field(header::RETRY_AFTER, "1")
}

fn quarantined(text: String, release: &ReleaseName) -> ApiError {
    conflict("quarantined", "the release is in quarantine")
        .detail(text)
        .hint(format!(
            "give it a new version, or lift it with `switchback quarantine lift {release}`; `force` (`--force`) passes it once"
        ))
}

fn goes_back(text: String) -> ApiError {
    conflict("goes-back", "it goes back already")
        .detail(text)
        .hint("the same without `over` gives back the rest at once")
}

fn not_on_stack(text: String) -> ApiError {
    conflict("not-on-stack", "the revision is not on the undo stack")
        .detail(text)
        .hint("without `over` it goes on top of what is live, at once")
}

fn key_missing(text: String) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "key-missing",
        "the flag splits by a key, and the context has none",
    )
    .detail(text)
    .hint("add `?key=`, such as the id of a user")
}

pub(super) fn conflict(kind: &str, title: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, kind, title)
}

fn inapplicable(error: ChangeError) -> ApiError {
    let text = error.to_string();
    match error {
        ChangeError::Invalid(problems) => invalid(problems),
        ChangeError::ReleaseInUse { routes, .. } => {
            let routes: Vec<_> = routes.iter().map(|route| format!("`{route}`")).collect();
            conflict("release-in-use", "a split names the release")
                .detail(text)
                .hint(format!("remove it from {} first", routes.join(", ")))
        }
        ChangeError::UnknownFlag { name, known } => {
            unknown("flag", &name, known.iter().map(FlagName::as_str))
        }
        ChangeError::UnknownRelease { name, known } => {
            unknown("release", &name, known.iter().map(ReleaseName::as_str))
        }
        ChangeError::UnknownRoute { name, known } => {
            unknown("route", &name, known.iter().map(RouteName::as_str))
        }
    }
}

/// The API error for an invalid table, with every reason.
fn invalid(problems: Vec<Problem>) -> ApiError {
    let detail = match problems.as_slice() {
        [only] => format!("{}: {}", only.path, only.message),
        all => format!("there are {} problems", all.len()),
    };
    let hint = match problems.as_slice() {
        [only] => only.hint.clone(),
        _ => None,
    };
    let mut refusal = ApiError::invalid(detail);
    refusal.document.status = StatusCode::CONFLICT.as_u16();
    refusal.document.hint = hint;
    refusal.document.problems = problems;
    refusal
}

fn not_durable(text: &str, cause: &dyn Error, may_return: bool) -> ApiError {
    let hint = if may_return {
        "nothing live has changed; after a restart check what is live before you try again"
    } else {
        "nothing has changed; a rollback still works, since it does not wait for the disk"
    };
    let detail = format!("{text}: {}", ErrorChain(cause));
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-durable",
        "the history cannot store the change",
    )
    .detail(detail)
    .hint(hint)
    .field(header::RETRY_AFTER, "5")
}

fn would_drop(text: String, releases: &[ReleaseName]) -> ApiError {
    let zero: Vec<_> = releases.iter().map(|name| format!("`{name}`")).collect();
    conflict("would-drop", "a release that gets requests would leave the split")
        .detail(text)
        .hint(format!(
            "give {} a weight of 0, send `\"drop\": true`, or PATCH percents: releases that are not named keep their share of the rest",
            zero.join(" and ")
        ))
}

fn not_ready(text: String, releases: Vec<ReleaseName>, nearest: Option<Revision>) -> ApiError {
    let hint = match nearest {
        Some(nearest) => {
            format!(
                "revision {nearest} is the nearest that is ready; `?force=true` skips the check"
            )
        }
        None => "see `GET /v1/status` for its endpoints; `?wait=30s` waits until one is healthy, except for a \
                 rollback; `?force=true` skips the check"
            .to_owned(),
    };
    let mut refusal = conflict(
        "not-ready",
        "a release that would get more requests has no healthy endpoint",
    )
    .detail(text)
    .hint(hint);
    refusal.document.not_ready = releases;
    refusal.document.nearest_ready = nearest;
    refusal
}

fn unknown_revision(text: String, oldest: Option<Revision>) -> ApiError {
    let refusal = ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown-revision",
        "unknown revision",
    )
    .detail(text);
    match oldest {
        Some(oldest) => refusal.hint(format!(
            "the oldest kept revision is {oldest}; `GET /v1/revisions` lists them"
        )),
        None => refusal.hint("no revision is kept yet"),
    }
}
