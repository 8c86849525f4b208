//! Subcommands for one release or route: show it, set it, remove it.
//!
//! `set` starts from what is live, so that a flag changes one thing and keeps the rest; `--file` replaces the whole.
//! Every write names the revision that was read, and a conflict shows who changed what.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Serialize;

use super::{
    change::{done, weights},
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    options::{ChangeArgs, HealthArgs, version},
    output::Out,
    part::Weight,
    queries,
    table::unusable,
    toml_output::to_toml,
};
use crate::{
    config,
    model::{
        EndpointSpec, FlagName, HealthSpec, Protocol, ReleaseDocument, ReleaseName, RouteName,
        RouteSpec, Version,
    },
};

/// Subcommands for releases.
#[derive(Debug, Subcommand)]
pub(super) enum ReleaseVerb {
    /// List them with their endpoints and health
    #[command(after_help = "Example:\n  switchback release list")]
    List,
    /// Print one as TOML
    #[command(after_help = "Example:\n  switchback release show green > green.toml")]
    Show {
        /// The release
        release: ReleaseName,
    },
    /// Add one, or change the given values
    #[command(
        after_help = "Values that are not given stay as they are. A new version label is a decision that a rollback undoes; added and removed endpoints under the same version are facts, which it keeps.\n\nExamples:\n  switchback release set green --version 2.0.0 --endpoint http://10.0.0.7:9000 --health /healthz\n  switchback release set green --file green.toml"
    )]
    Set(ReleaseSet),
    /// Remove one that no split names
    #[command(after_help = "Example:\n  switchback release remove green")]
    Remove {
        /// The release
        release: ReleaseName,
        /// Proceed although a split names it with weight 0, a rollback would restore it, or requests are in flight on it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Values to set on a release.
#[derive(Debug, Args)]
pub(super) struct ReleaseSet {
    /// The release
    release: ReleaseName,
    /// TOML file that holds the whole release, as below `[releases.NAME]`, or a configuration that contains it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["version", "endpoint", "health", "protocol"])]
    file: Option<PathBuf>,
    /// Label of the version
    #[arg(long, value_parser = version)]
    version: Option<Version>,
    /// Endpoint, such as `http://10.0.0.7:9000`; repeat for each; replaces all of them
    #[arg(long, value_name = "URL")]
    endpoint: Vec<EndpointSpec>,
    /// Path of its health check, such as /healthz
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// Protocol of its endpoints: http/1.1 or h2
    #[arg(long, value_parser = protocol)]
    protocol: Option<Protocol>,
    #[command(flatten)]
    more: HealthArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Subcommands for routes.
#[derive(Debug, Subcommand)]
pub(super) enum RouteVerb {
    /// List them with their splits
    #[command(after_help = "Example:\n  switchback route list")]
    List,
    /// Print one as TOML
    #[command(after_help = "Example:\n  switchback route show chat > chat.toml")]
    Show {
        /// The route
        route: RouteName,
    },
    /// Add one, or change the given values
    #[command(
        after_help = "Values that are not given stay as they are. A new route needs a split, or a file with `redirect` or `respond`.\n\nExamples:\n  switchback route set chat --path-prefix /chat --split blue=100\n  switchback route set chat --host a.example.com --host b.example.com\n  switchback route set chat --file chat.toml"
    )]
    Set(Box<RouteSet>),
    /// Remove one
    #[command(after_help = "Example:\n  switchback route remove chat")]
    Remove {
        /// The route
        route: RouteName,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Values to set on a route.
#[derive(Debug, Args)]
pub(super) struct RouteSet {
    /// The route
    route: RouteName,
    /// TOML file that holds the whole route, as below `[[routes]]`, or a configuration that contains it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "path", "path_prefix", "split", "stable", "flags", "no_flags", "flag_baggage"])]
    file: Option<PathBuf>,
    /// Host to match, replacing the current ones; repeat for each
    #[arg(long)]
    host: Vec<String>,
    /// Exact path to match
    #[arg(long, conflicts_with = "path_prefix")]
    path: Option<String>,
    /// Path prefix to match, up to a `/` or the end
    #[arg(long)]
    path_prefix: Option<String>,
    /// Release and its weight; repeat for each; replaces all of them
    #[arg(long, value_name = "RELEASE=WEIGHT")]
    split: Vec<Weight>,
    /// Release that an abort goes back to
    #[arg(long, value_name = "RELEASE")]
    stable: Option<ReleaseName>,
    /// Flag to hand to the endpoints as `x-flag-NAME`; repeat for each; replaces all of them
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<FlagName>,
    /// Hand no flag to the endpoints
    #[arg(long, conflicts_with = "flags")]
    no_flags: bool,
    /// Send the flags as W3C `baggage` as well
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flag_baggage: Option<bool>,
    #[command(flatten)]
    more: HealthArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn release(client: &Client, verb: ReleaseVerb) -> Result<Out, Failure> {
    match verb {
        ReleaseVerb::List => queries::list_releases(client).await,
        ReleaseVerb::Show { release } => show(client, release_path(&release)).await,
        ReleaseVerb::Set(set) => set_release(client, set).await,
        ReleaseVerb::Remove {
            release,
            force,
            change,
        } => remove(client, release_path(&release), force, &change).await,
    }
}

pub(super) async fn route(client: &Client, verb: RouteVerb) -> Result<Out, Failure> {
    match verb {
        RouteVerb::List => queries::list_routes(client).await,
        RouteVerb::Show { route } => show(client, route_path(&route)).await,
        RouteVerb::Set(set) => set_route(client, *set).await,
        RouteVerb::Remove { route, change } => {
            remove(client, route_path(&route), false, &change).await
        }
    }
}

async fn set_release(client: &Client, set: ReleaseSet) -> Result<Out, Failure> {
    let path = release_path(&set.release);
    let live = client.find(ApiRequest::get(&path)).await?;
    let seen = live.as_ref().and_then(|answer| answer.revision);
    let mut document: ReleaseDocument = match (&set.file, &live) {
        (Some(file), _) => {
            config::load_release(file, &set.release).map_err(|error| unusable(file, &error))?
        }
        (None, Some(live)) => live.read()?,
        (None, None) => ReleaseDocument::default(),
    };
    if let Some(version) = set.version {
        document.spec.version = version;
    }
    if !set.endpoint.is_empty() {
        document.endpoints = set.endpoint;
    }
    if let Some(path) = set.health {
        match &mut document.spec.health {
            Some(health) => health.path = path,
            none => *none = Some(health_check(&path)?),
        }
    }
    if let Some(protocol) = set.protocol {
        document.spec.protocol = protocol;
    }
    let ask = write(path, &document, seen, &set.change);
    let written = client.send(ask.health(&set.more)).await;
    done(
        written
            .map_err(|failure| failure.in_flags(&[("such as `http", "add `--endpoint http")]))?,
    )
}

/// A health check with the configuration's defaults.
fn health_check(path: &str) -> Result<HealthSpec, Failure> {
    serde_json::from_value(serde_json::json!({ "path": path }))
        .map_err(|error| Failure::new(Exit::Usage, format!("--health: {error}")))
}

async fn set_route(client: &Client, set: RouteSet) -> Result<Out, Failure> {
    let path = route_path(&set.route);
    let live = client.find(ApiRequest::get(&path)).await?;
    let seen = live.as_ref().and_then(|answer| answer.revision);
    let mut spec: RouteSpec = match (&set.file, &live) {
        (Some(file), _) => {
            config::load_route(file, &set.route).map_err(|error| unusable(file, &error))?
        }
        (None, Some(live)) => live.read()?,
        (None, None) if set.split.is_empty() => return Err(splitless(&set.route)),
        (None, None) => RouteSpec::plain(set.route.clone(), std::collections::BTreeMap::new()),
    };
    match set.host.as_slice() {
        [] => {}
        [only] => (spec.host, spec.hosts) = (Some(only.clone()), Vec::new()),
        _ => (spec.host, spec.hosts) = (None, set.host),
    }
    if set.path.is_some() {
        (spec.path, spec.path_prefix) = (set.path, None);
    }
    if set.path_prefix.is_some() {
        (spec.path, spec.path_prefix) = (None, set.path_prefix);
    }
    if !set.split.is_empty() {
        spec.split = weights(&set.split)?;
    }
    if set.stable.is_some() {
        spec.stable = set.stable;
    }
    hand_over(&mut spec, set.flags, set.no_flags, set.flag_baggage);
    let ask = write(path, &spec, seen, &set.change);
    done(client.send(ask.health(&set.more)).await?)
}

/// Sets the flags that the endpoints get.
fn hand_over(spec: &mut RouteSpec, flags: Vec<FlagName>, none: bool, baggage: Option<bool>) {
    if none {
        (spec.flags, spec.flag_baggage) = (Vec::new(), false);
    } else if !flags.is_empty() {
        spec.flags = flags;
    }
    spec.flag_baggage = baggage.unwrap_or(spec.flag_baggage);
}

fn splitless(route: &RouteName) -> Failure {
    let message = format!(
        "there is no route `{route}` yet, and a new one needs a split\nhint: add `--split RELEASE=WEIGHT`, such as \
         `--split blue=100`"
    );
    Failure::new(Exit::Usage, message)
}

pub(super) async fn show(client: &Client, path: String) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get(path)).await?;
    let value: serde_json::Value = answer.read()?;
    let text = to_toml(&value)?;
    Ok(Out {
        text,
        json: answer.body,
    })
}

pub(super) fn write(
    path: String,
    body: &impl Serialize,
    seen: Option<crate::model::Revision>,
    change: &ChangeArgs,
) -> ApiRequest {
    ApiRequest::of(Method::PUT, path)
        .json(body)
        .based_on(change.common.based_on.or(seen))
        .options(change)
}

pub(super) async fn remove(
    client: &Client,
    path: String,
    force: bool,
    change: &ChangeArgs,
) -> Result<Out, Failure> {
    let seen = match change.common.based_on {
        Some(revision) => Some(revision),
        None => client.send(ApiRequest::get(&path)).await?.revision,
    };
    let mut ask = ApiRequest::of(Method::DELETE, path)
        .based_on(seen)
        .options(change);
    if force {
        ask = ask.argument("force", true);
    }
    done(client.send(ask).await?)
}

fn protocol(text: &str) -> Result<Protocol, String> {
    serde_json::from_value(text.into())
        .map_err(|_| format!("`{text}` is neither `http/1.1` nor `h2`"))
}

pub(super) fn refused(message: String) -> Failure {
    Failure::new(Exit::Refused, message)
}

pub(super) fn release_path(release: &ReleaseName) -> String {
    format!("/v1/releases/{release}")
}

pub(super) fn route_path(route: &RouteName) -> String {
    format!("/v1/routes/{route}")
}
