//! Subcommands that change something. Each reads what is live first and sends that revision along, so that no
//! concurrent change is overwritten.

use std::collections::BTreeMap;

use hyper::Method;

use super::{
    client::{ApiRequest, ApiResponse, Client},
    exit::{Exit, Failure},
    fleet_words,
    options::{ChangeArgs, CommonArgs, HealthArgs},
    output::Out,
    part::{Part, Weight, whole},
    render,
};
use crate::{
    api::{
        ChangeAnswer, MessageRequest, PromoteRequest, Receipt, RollbackRequest, SplitPatchRequest,
        SplitRequest, SwitchRequest,
    },
    model::{HumanDuration, Percent, ReleaseName, Revision, RouteName, Weights},
};

/// Arguments of a rollback.
pub(super) struct RollbackArgs {
    pub(super) to: Option<Revision>,
    pub(super) step: bool,
    pub(super) route: Option<RouteName>,
    pub(super) force: bool,
    pub(super) cut: bool,
    pub(super) over: Option<HumanDuration>,
}

/// Interpretation of the numbers of a split.
pub(super) enum SplitBy {
    Percent,
    Patch,
    Replace { drop: bool },
}

pub(super) async fn split(
    client: &Client,
    route: &RouteName,
    parts: &[Part],
    by: SplitBy,
    health: &HealthArgs,
    change: ChangeArgs,
) -> Result<Out, Failure> {
    let path = format!("/v1/routes/{route}/split");
    let message = change.common.message.clone();
    let patch = ApiRequest::of(Method::PATCH, &path);
    let ask = match by {
        SplitBy::Percent => patch.json(&SplitPatchRequest {
            percent: each(parts, percent)?,
            message,
            ..SplitPatchRequest::default()
        }),
        SplitBy::Patch => patch.json(&SplitPatchRequest {
            weights: each(parts, whole)?,
            message,
            ..SplitPatchRequest::default()
        }),
        SplitBy::Replace { drop } => ApiRequest::of(Method::PUT, &path).json(&SplitRequest {
            weights: each(parts, whole)?,
            drop,
            message,
        }),
    };
    on_route(client, route, ask.health(health), &change)
        .await
        .map_err(|failure| failure.in_flags(PERCENTS))
}

/// The API's hints about percents, and their equivalents on the command line.
const PERCENTS: &[(&str, &str)] = &[(
    "relative weights replace the whole split",
    "with `--replace` the numbers are weights, relative to one another",
)];

pub(super) fn percent(text: &str) -> Result<Percent, String> {
    let hint = "with `--replace` the numbers are weights, relative to one another";
    text.parse()
        .map_err(|error: String| format!("{error}\nhint: {hint}"))
}

/// The number of each release; a duplicate is an error.
pub(super) fn each<T>(
    parts: &[Part],
    number: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeMap<ReleaseName, T>, Failure> {
    let mut all = BTreeMap::new();
    for Part(release, text) in parts {
        let number = number(text).map_err(|error| Failure::new(Exit::Usage, error))?;
        if all.insert(release.clone(), number).is_some() {
            return Err(named_twice(release));
        }
    }
    Ok(all)
}

fn named_twice(release: &ReleaseName) -> Failure {
    Failure::new(Exit::Usage, format!("`{release}` is listed twice"))
}

pub(super) async fn switch(
    client: &Client,
    route: &RouteName,
    to: ReleaseName,
    health: &HealthArgs,
    change: ChangeArgs,
) -> Result<Out, Failure> {
    let message = change.common.message.clone();
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/switch"));
    on_route(
        client,
        route,
        ask.json(&SwitchRequest { to, message }).health(health),
        &change,
    )
    .await
}

pub(super) async fn promote(
    client: &Client,
    route: &RouteName,
    to: Option<ReleaseName>,
    health: &HealthArgs,
    change: ChangeArgs,
) -> Result<Out, Failure> {
    let message = change.common.message.clone();
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/promote"));
    on_route(
        client,
        route,
        ask.json(&PromoteRequest { to, message }).health(health),
        &change,
    )
    .await
    .map_err(|failure| failure.in_flags(&[("promote with `to`", "promote with `--to`")]))
}

pub(super) async fn abort(
    client: &Client,
    route: &RouteName,
    (force, cut, over): (bool, bool, Option<HumanDuration>),
    change: ChangeArgs,
) -> Result<Out, Failure> {
    let message = change.common.message.clone();
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/abort"));
    on_route(
        client,
        route,
        spread(
            ask.json(&MessageRequest { message }).force(force).cut(cut),
            over,
        ),
        &change,
    )
    .await
    .map_err(|failure| {
        let named = format!("set one with `switchback route set {route} --stable RELEASE`");
        let switched = format!("everything with `switchback switch {route} RELEASE`");
        failure.in_flags(&[
            ("set one with `stable` on the route", &named),
            ("all the weight with a switch", &switched),
        ])
    })
}

pub(super) async fn rollback(
    client: &Client,
    back: RollbackArgs,
    change: CommonArgs,
) -> Result<(Out, Option<Receipt>), Failure> {
    let message = change.message.clone();
    let RollbackArgs {
        to,
        step,
        route,
        force,
        cut,
        over,
    } = back;
    let (seen, ask) = match &route {
        Some(route) => (
            format!("/v1/routes/{route}"),
            ApiRequest::of(Method::POST, format!("/v1/routes/{route}/rollback"))
                .json(&MessageRequest { message }),
        ),
        None => (
            "/v1/status".to_owned(),
            ApiRequest::of(Method::POST, "/v1/rollback").json(&RollbackRequest {
                to,
                step,
                message,
            }),
        ),
    };
    let ask = spread(ask.force(force).cut(cut), over);
    let answer = sent(client, seen, ask, &change).await?;
    let receipt = match answer.read()? {
        ChangeAnswer::Receipt(receipt) => Some(*receipt),
        ChangeAnswer::DryRun(_) => None,
    };
    Ok((done(answer)?, receipt))
}

/// The request, spread over a time if there is one.
fn spread(ask: ApiRequest, over: Option<HumanDuration>) -> ApiRequest {
    match over {
        Some(over) => ask.argument("over", over),
        None => ask,
    }
}

pub(super) async fn on_route(
    client: &Client,
    route: &RouteName,
    ask: ApiRequest,
    change: &ChangeArgs,
) -> Result<Out, Failure> {
    let ask = ask.group(&change.group);
    based(client, format!("/v1/routes/{route}"), ask, &change.common).await
}

/// Sends a change on the condition that its object has not changed since the command began.
pub(super) async fn based(
    client: &Client,
    seen: String,
    ask: ApiRequest,
    change: &CommonArgs,
) -> Result<Out, Failure> {
    done(sent(client, seen, ask, change).await?)
}

async fn sent(
    client: &Client,
    seen: String,
    ask: ApiRequest,
    change: &CommonArgs,
) -> Result<ApiResponse, Failure> {
    let revision = match change.based_on {
        Some(revision) => Some(revision),
        None => client.send(ApiRequest::get(seen)).await?.revision,
    };
    let ask = ask.based_on(revision).dry_run(change.dry_run);
    client.send(ask.for_fleet(change.wait_fleet)).await
}

pub(super) fn done(answer: ApiResponse) -> Result<Out, Failure> {
    let text = match answer.read()? {
        ChangeAnswer::Receipt(receipt) if answer.is_of_fleet => {
            let text = render::receipt(&receipt) + &fleet_words::progress(&receipt);
            let converged = receipt.fleet.and_then(|fleet| fleet.converged_at);
            if converged.is_none() {
                let failure = Failure::new(Exit::TryAgain, text.trim_end());
                return Err(failure.with_json(answer.body));
            }
            text
        }
        ChangeAnswer::Receipt(receipt) => {
            render::receipt(&receipt) + &fleet_words::obstacle(&receipt)
        }
        ChangeAnswer::DryRun(dry_run) => render::dry_run(&dry_run, answer.is_forced),
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// Weights by release; a duplicate is an error.
pub(super) fn weights(named: &[Weight]) -> Result<Weights, Failure> {
    let mut all = Weights::new();
    for Weight(release, weight) in named {
        if all.insert(release.clone(), *weight).is_some() {
            return Err(named_twice(release));
        }
    }
    Ok(all)
}
