//! The status of the live table and the effect of a rollback: readable at ten thousand routes as well.

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    render,
    status_notices::notices,
    text::{self, Columns, clean, count},
};
use crate::{
    api::{EndpointHealth, MirrorShare, ReleaseRole, ReleaseStatus, RouteStatus, Status},
    model::{Diff, Revision, RouteName},
};

/// Most differences from the file that are shown.
const MOST_DRIFT: usize = 10;
/// Most differences of a rollback that are shown, since they share one line.
const MOST_BACK: usize = 4;

/// Only `route` if it is set; otherwise whatever needs attention, or everything with `all`.
pub(super) async fn status(
    client: &Client,
    route: Option<RouteName>,
    all: bool,
) -> Result<Out, Failure> {
    let ask = ApiRequest::get("/v1/status");
    let ask = match &route {
        Some(route) => ask.argument("route", route),
        None if all => ask,
        None => ask.argument("brief", true),
    };
    let answer = client.send(ask).await?;
    let status: Status = answer.read()?;
    let mut head = headline(&status);
    if route.is_none() {
        head.push_str(&drift(&status));
    }
    head.push_str(&notices(&status));
    let mut text = [head, routes(&status.routes), releases(&status.releases)].join("\n");
    if route.is_none() {
        text.push_str(&left_out(&status));
    }
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// Note on what is not shown, and how to see it.
fn left_out(status: &Status) -> String {
    let totals = &status.totals;
    let (routes, releases) = (status.routes.len(), status.releases.len());
    if routes >= totals.routes && releases >= totals.releases {
        return String::new();
    }
    format!(
        "\n{routes} of {} shown ({} split, {} not ready), {releases} of {} ({} not ready)\n\
         `switchback status --route ROUTE` shows one route, `--all` everything\n",
        count(totals.routes as u64, "route"),
        totals.split_routes,
        totals.unready_routes,
        count(totals.releases as u64, "release"),
        totals.unready_releases,
    )
}

/// Headline: what is live, whether it would survive a restart, and what a rollback would do.
fn headline(status: &Status) -> String {
    if status.revision == Revision(0) {
        return "revision 0: nothing is live yet, and every request gets a 404; `switchback apply FILE` imports a \
                table\n"
            .to_owned();
    }
    let author = status.author.as_ref();
    let by = author.map(|author| format!(" by {}", clean(&author.name)));
    let why = author.and_then(|author| author.message.as_deref());
    let why = why.filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {}", clean(why)));
    let mut text = format!(
        "revision {}, live since {}{}{}\n",
        status.revision,
        status.published_at,
        by.unwrap_or_default(),
        why.unwrap_or_default()
    );
    text.push_str(&durability(status));
    let old: u64 = status
        .in_flight_on_previous
        .iter()
        .map(|on| on.in_flight)
        .sum();
    let behind = status
        .convergence
        .workers
        .iter()
        .filter(|worker| worker.revision != status.revision);
    let workers = status.convergence.workers.len();
    text = format!(
        "{text}{} in flight, {old} of them on earlier revisions; {} of {workers} workers have applied the revision\n",
        count(status.in_flight, "request"),
        workers - behind.count(),
    );
    text.push_str(&way_back(status));
    text
}

/// Differences between the live table and the configuration file.
fn drift(status: &Status) -> String {
    if !status.drift.drifted || status.revision == Revision(0) {
        return String::new();
    }
    let why = if status.drift.refused {
        ", which was read but not imported (after a conflict: `switchback apply FILE --wins file|live`; where a release is \
         not ready: `switchback apply FILE --wait 30s`, or `--force`)"
    } else {
        ""
    };
    let mut text = format!("the live table differs from the configuration file{why}:\n");
    for line in first_changes(&status.drift.diff, status.drift.changes, MOST_DRIFT) {
        text = format!("{text}  {line}\n");
    }
    text
}

/// The differences, or the first of many with their number.
fn first_changes(diff: &Diff, all: usize, most: usize) -> Vec<String> {
    let mut lines = render::summary(diff);
    if lines.len() > most || diff.0.len() < all {
        lines.truncate(most);
        lines.push(format!("… {all} differences in total"));
    }
    lines
}

fn durability(status: &Status) -> String {
    let durability = &status.durability;
    let mut text = if durability.durable {
        "durable".to_owned()
    } else {
        format!(
            "NOT durable: a restart would restore revision {}",
            durability.restart_revision
        )
    };
    if let Some(error) = &durability.error {
        text = format!("{text}; the history is failing: {}", clean(error));
    }
    text + "\n"
}

fn way_back(status: &Status) -> String {
    let rollback = &status.rollback;
    let Some(to) = rollback.to.filter(|_| rollback.available) else {
        return "there is nothing to roll back to\n".to_owned();
    };
    let changes = first_changes(&rollback.diff, rollback.changes, MOST_BACK).join("; ");
    let mut text = format!("a rollback would restore revision {to} ({changes})");
    if rollback.ready {
        text.push_str(", ready");
    } else {
        let names: Vec<_> = rollback.not_ready.iter().map(ToString::to_string).collect();
        text = format!(
            "{text}, NOT READY: no healthy endpoint in {}",
            names.join(", ")
        );
        if let Some(nearest) = rollback.nearest_ready {
            text = format!("{text}; the nearest revision that is ready is {nearest}");
        }
    }
    for guard in &rollback.guards {
        text = format!("{text}; {}", clean(&guard.to_string()));
    }
    for unproven in &rollback.unproven {
        text = format!("{text}; {unproven}");
    }
    for crowded in &rollback.crowded {
        text = format!("{text}; {crowded}");
    }
    text + "\n"
}

pub(super) fn routes(routes: &[RouteStatus]) -> String {
    let mut columns = Columns::titled(&["ROUTE", "HOST", "MATCH", "SPLIT", "STABLE"]);
    for route in routes {
        let share = |share: &crate::api::Share| {
            let part = text::share(share.share, u64::from(share.weight));
            format!("{} {part}", share.release)
        };
        columns.row(vec![
            route.name.to_string(),
            hosts(route),
            matched(route),
            own_answers(route)
                .chain(route.split.iter().map(share))
                .chain(route.mirror.as_ref().map(mirrored))
                .collect::<Vec<_>>()
                .join("  "),
            route
                .stable
                .as_ref()
                .map_or_else(|| "–".to_owned(), ToString::to_string),
        ]);
    }
    columns.shown()
}

/// The responses that a route gives itself.
fn own_answers(route: &RouteStatus) -> impl Iterator<Item = String> {
    let redirect = route.redirect.map(|status| format!("redirect {status}"));
    let respond = route.respond.map(|status| format!("respond {status}"));
    let maintenance = route.maintenance.then(|| "MAINTENANCE".to_owned());
    let paused = route.paused.then(|| "PAUSED".to_owned());
    [redirect, respond, maintenance, paused]
        .into_iter()
        .flatten()
}

/// The release that gets copies, and how many.
fn mirrored(mirror: &MirrorShare) -> String {
    format!("({}% mirrored to {})", mirror.percent, mirror.release)
}

/// The path that a route matches, the methods, the header fields and the parameters.
fn matched(route: &RouteStatus) -> String {
    let path = match (&route.path, &route.path_prefix) {
        (Some(path), _) => format!("path {}", clean(path)),
        (None, prefix) => format!("prefix {}", clean(prefix.as_deref().unwrap_or("/"))),
    };
    let header = |(name, value): (&String, &String)| format!("  {}: {}", clean(name), clean(value));
    let parameter =
        |(name, value): (&String, &String)| format!("  ?{}={}", clean(name), clean(value));
    let methods = route
        .methods
        .iter()
        .map(|method| format!("{} ", clean(method)));
    methods
        .chain([path])
        .chain(route.headers.iter().map(header))
        .chain(route.query.iter().map(parameter))
        .collect()
}

fn releases(releases: &[ReleaseStatus]) -> String {
    let mut columns = Columns::titled(&["RELEASE", "VERSION", "ROLE", "HEALTHY", "IN FLIGHT"]);
    for release in releases {
        columns.row(vec![
            release.name.to_string(),
            version(release),
            role(release.role).to_owned(),
            healthy(release),
            release.in_flight.to_string(),
        ]);
    }
    columns.shown()
}

/// `1 of 2`, with the numbers of unknown and of ejected ones; `unchecked` without checks.
fn healthy(release: &ReleaseStatus) -> String {
    let count = |is: &dyn Fn(EndpointHealth) -> bool| {
        let serving = release
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.draining);
        serving.filter(|endpoint| is(endpoint.health)).count()
    };
    let all = count(&|_| true);
    let endpoints = release.endpoints.iter();
    let ejected = match endpoints.filter(|one| one.ejected.is_some()).count() {
        0 => String::new(),
        ejected => format!(", {ejected} ejected"),
    };
    if all > 0 && count(&|health| health == EndpointHealth::Unchecked) == all {
        return "unchecked".to_owned() + &ejected;
    }
    let healthy = format!(
        "{} of {all}",
        count(&|health| health == EndpointHealth::Healthy)
    );
    let healthy = match count(&|health| health == EndpointHealth::Unknown) {
        0 => healthy,
        unknown => format!("{healthy}, {unknown} unknown"),
    };
    healthy + &ejected
}

fn hosts(route: &RouteStatus) -> String {
    let hosts = route.host.iter().chain(&route.hosts);
    let hosts: Vec<_> = hosts.map(|host| clean(host)).collect();
    if hosts.is_empty() {
        return "any".to_owned();
    }
    hosts.join(" ")
}

pub(super) fn version(release: &ReleaseStatus) -> String {
    if release.version.is_empty() {
        "–".to_owned()
    } else {
        release.version.to_string()
    }
}

pub(super) fn role(role: ReleaseRole) -> &'static str {
    match role {
        ReleaseRole::Candidate => "candidate",
        ReleaseRole::Draining => "draining",
        ReleaseRole::Live => "live",
        ReleaseRole::Standby => "standby",
        ReleaseRole::Warm => "warm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_shows_how_many_of_its_endpoints_are_ejected() {
        let endpoint = |health: &str, ejected: Option<&str>| {
            serde_json::json!({
                "url": "http://10.0.0.1:9000", "address": "10.0.0.1:9000", "health": health, "in_flight": 0,
                "ejected": ejected,
            })
        };
        let shown = |health: &str, ejected| {
            let release = serde_json::json!({
                "name": "blue", "version": "1", "role": "live", "ready": true, "healthy": 2, "in_flight": 0,
                "endpoints": [endpoint(health, None), endpoint(health, ejected)],
            });
            healthy(&serde_json::from_value(release).unwrap())
        };
        assert_eq!(shown("healthy", None), "2 of 2");
        assert_eq!(
            shown("healthy", Some("connect_failed")),
            "2 of 2, 1 ejected"
        );
        assert_eq!(
            shown("unchecked", Some("connect_failed")),
            "unchecked, 1 ejected"
        );
    }
}
