//! Key figures of routes and releases.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{
    error::ApiError, json_response::tagged, params::QueryParams, state::AdminState,
    unknown_name::unknown,
};
use crate::{
    api::{KpiReport, LONGEST_WINDOW, MOST_POINTS, MOST_POINTS_OF_ALL},
    control::KpiQuery,
    model::{HumanDuration, ReleaseName},
};

/// Window without a `window`, in seconds.
const WINDOW: u64 = 60;

/// Selects key figures.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KpiParams {
    /// One route; all of them by default.
    #[param(required = false, nullable = false)]
    route: Option<String>,
    /// The release whose figures are listed; all of them by default. The figures of routes are always those of all.
    #[param(required = false, nullable = false)]
    release: Option<String>,
    /// Time that is summed up, such as `5m`: `1s` to `48h`, `1m` by default. Up to 5 minutes it is read from intervals of a
    /// second, up to 2 hours from those of 10 seconds, beyond from those of 2 minutes.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([1-9][0-9]{0,4}s|[1-9][0-9]{0,2}m|([1-9]|[1-3][0-9]|4[0-8])h|[12]d)$"
    )]
    window: Option<HumanDuration>,
    /// Most points of each series, 1 to 300 for one route, 1 to 60 for all; no series by default.
    #[param(required = false, nullable = false, minimum = 1, maximum = 300)]
    points: Option<usize>,
}

/// Key figures of a window that ends now, each release beside the stable one.
///
/// They describe and decide nothing: the verdict of a rollout is in `rollout`. Every answer has the time and the age of its
/// latest reading.
#[utoipa::path(get, path = "/v1/kpis", tag = "observe", params(KpiParams,
        ("Cache-Control" = Option<String>, Header, description = "`max-age=N` allows an answer that another reader got, up to N seconds old (at most 5) if nothing has happened since")),
    responses((status = 200, description = "the key figures", body = KpiReport,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_kpis(
    State(admin): State<AdminState>,
    QueryParams(params): QueryParams<KpiParams>,
) -> Result<Response, ApiError> {
    let query = query(&admin, &params)?;
    let (controller, asked) = (Arc::clone(&admin.controller), query.clone());
    let look = move || controller.kpis(&asked);
    match admin.pages.look(look).await? {
        Some(report) => Ok(tagged(report.revision, &report)),
        None => Err(unknown_target(&admin, &params)),
    }
}

fn query(admin: &AdminState, params: &KpiParams) -> Result<KpiQuery, ApiError> {
    let name = |text: &String| text.parse().ok();
    let route = params.route.as_ref().map(|text| {
        let route = name(text);
        route.ok_or_else(|| unknown_target(admin, params))
    });
    let release = params.release.as_ref().map(|text| {
        let release = text.parse::<ReleaseName>().ok();
        release.ok_or_else(|| unknown_release(admin, text))
    });
    Ok(KpiQuery {
        points: points(params)?,
        window_seconds: window(params.window)?,
        route: route.transpose()?,
        release: release.transpose()?,
    })
}

/// Length of a window in seconds.
pub(super) fn window(window: Option<HumanDuration>) -> Result<u64, ApiError> {
    let Some(HumanDuration(window)) = window else {
        return Ok(WINDOW);
    };
    let is_whole = window.subsec_nanos() == 0;
    if is_whole && (1..=LONGEST_WINDOW).contains(&window.as_secs()) {
        return Ok(window.as_secs());
    }
    let error = ApiError::malformed(format!("`window` is {}", HumanDuration(window)));
    Err(error.hint("a window is of whole seconds, `1s` to `48h`"))
}

fn points(params: &KpiParams) -> Result<Option<usize>, ApiError> {
    let most = if params.route.is_some() {
        MOST_POINTS
    } else {
        MOST_POINTS_OF_ALL
    };
    match params.points {
        Some(points) if !(1..=most).contains(&points) => {
            let error = ApiError::malformed(format!("`points` is {points}"));
            Err(error.hint(format!(
                "1 to {MOST_POINTS} with a `route`, 1 to {MOST_POINTS_OF_ALL} without one"
            )))
        }
        points => Ok(points),
    }
}

/// The error for a route or a release that has no key figures and is not live.
fn unknown_target(admin: &AdminState, params: &KpiParams) -> ApiError {
    let route = params.route.as_deref().map(|text| admin.route(text));
    match (route, &params.release) {
        (Some(Err(error)), _) => error,
        (_, Some(release)) => unknown_release(admin, release),
        _ => ApiError::internal(),
    }
}

fn unknown_release(admin: &AdminState, text: &str) -> ApiError {
    let state = admin.controller.live().state();
    let known = state.spec.releases().keys().map(ReleaseName::as_str);
    unknown("release", text, known)
}
