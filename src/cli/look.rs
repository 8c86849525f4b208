//! The verbs that show something.

use super::{
    Out,
    client::{Ask, Client},
    exit::Failure,
    show,
    text::{self, Columns, clean, count},
};
use crate::{
    api::{
        EndpointHealth, ReleaseStatus, RevisionDiff, RevisionPage, RevisionSummary, Role,
        RouteStatus, Status,
    },
    model::{Cause, Revision},
};

pub(super) async fn status(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(Ask::get("/v1/status")).await?;
    let status: Status = answer.read()?;
    let text = [
        headline(&status),
        routes(&status.routes),
        releases(&status.releases),
    ];
    Ok(Out {
        text: text.join("\n"),
        json: answer.body,
    })
}

/// What is live, whether it would survive a restart, and what a rollback would do.
fn headline(status: &Status) -> String {
    if status.revision == Revision(0) {
        return "revision 0: nothing has been made live yet; `switchback apply FILE` does, and every request is \
                answered with 404 until then\n"
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
        "{text}{} in flight, {old} of them by earlier revisions; {} of {workers} workers have taken the revision up\n",
        count(status.in_flight, "request"),
        workers - behind.count(),
    );
    text.push_str(&way_back(status));
    if status.drift.drifted {
        let why = if status.drift.refused {
            ", which was read again and not taken over (`switchback apply FILE --wins file|live` settles it)"
        } else {
            ""
        };
        text = format!("{text}the live table differs from the configuration file{why}:\n");
        for line in show::summary(&status.drift.diff) {
            text = format!("{text}  {line}\n");
        }
    }
    text
}

fn durability(status: &Status) -> String {
    let durability = &status.durability;
    let mut text = if durability.durable {
        "durable".to_owned()
    } else {
        format!(
            "NOT durable: a restart would bring revision {}",
            durability.restart_revision
        )
    };
    if let Some(error) = &durability.error {
        text = format!("{text}; the history is sick: {}", clean(error));
    }
    text + "\n"
}

fn way_back(status: &Status) -> String {
    let rollback = &status.rollback;
    let Some(to) = rollback.to.filter(|_| rollback.available) else {
        return "a rollback has nothing to go back to\n".to_owned();
    };
    let changes = show::summary(&rollback.diff).join("; ");
    let mut text = format!("a rollback would bring revision {to} back ({changes})");
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
    text + "\n"
}

fn routes(routes: &[RouteStatus]) -> String {
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
            route.split.iter().map(share).collect::<Vec<_>>().join("  "),
            route
                .stable
                .as_ref()
                .map_or_else(|| "–".to_owned(), ToString::to_string),
        ]);
    }
    columns.shown()
}

/// The path that a route matches, and the header fields.
fn matched(route: &RouteStatus) -> String {
    let path = match (&route.path, &route.path_prefix) {
        (Some(path), _) => format!("path {}", clean(path)),
        (None, prefix) => format!("prefix {}", clean(prefix.as_deref().unwrap_or("/"))),
    };
    let header = |(name, value): (&String, &String)| format!("  {}: {}", clean(name), clean(value));
    path + &route.headers.iter().map(header).collect::<String>()
}

pub(super) async fn list_routes(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(Ask::get("/v1/status")).await?;
    let status: Status = answer.read()?;
    let json = serde_json::to_vec(&status.routes).expect("types of the API have string keys");
    Ok(Out {
        text: routes(&status.routes),
        json,
    })
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

/// `1 of 2`, with what is not known yet; `unchecked` where nothing is checked.
fn healthy(release: &ReleaseStatus) -> String {
    let count = |is: &dyn Fn(EndpointHealth) -> bool| {
        let serving = release
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.draining);
        serving.filter(|endpoint| is(endpoint.health)).count()
    };
    let all = count(&|_| true);
    if all > 0 && count(&|health| health == EndpointHealth::Unchecked) == all {
        return "unchecked".to_owned();
    }
    let healthy = format!(
        "{} of {all}",
        count(&|health| health == EndpointHealth::Healthy)
    );
    match count(&|health| health == EndpointHealth::Unknown) {
        0 => healthy,
        unknown => format!("{healthy}, {unknown} unknown"),
    }
}

fn hosts(route: &RouteStatus) -> String {
    let hosts = route.host.iter().chain(&route.hosts);
    let hosts: Vec<_> = hosts.map(|host| clean(host)).collect();
    if hosts.is_empty() {
        return "any".to_owned();
    }
    hosts.join(" ")
}

fn version(release: &ReleaseStatus) -> String {
    if release.version.is_empty() {
        "–".to_owned()
    } else {
        release.version.to_string()
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Candidate => "candidate",
        Role::Draining => "draining",
        Role::Live => "live",
        Role::Standby => "standby",
        Role::Warm => "warm",
    }
}

pub(super) async fn list_releases(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(Ask::get("/v1/status")).await?;
    let status: Status = answer.read()?;
    let titles = [
        "RELEASE",
        "VERSION",
        "ROLE",
        "ENDPOINT",
        "ADDRESS",
        "HEALTH",
        "IN FLIGHT",
    ];
    let mut columns = Columns::titled(&titles);
    for release in &status.releases {
        for endpoint in &release.endpoints {
            columns.row(vec![
                release.name.to_string(),
                version(release),
                role(release.role).to_owned(),
                endpoint.url.to_string(),
                clean(&endpoint.address),
                if endpoint.draining {
                    "draining".to_owned()
                } else {
                    format!("{:?}", endpoint.health).to_lowercase()
                },
                endpoint.in_flight.to_string(),
            ]);
        }
        if release.endpoints.is_empty() {
            let cells = [
                release.name.as_str(),
                &version(release),
                role(release.role),
                "none",
            ];
            columns.row(cells.map(ToOwned::to_owned).to_vec());
        }
    }
    let json = serde_json::to_vec(&status.releases).expect("types of the API have string keys");
    Ok(Out {
        text: columns.shown(),
        json,
    })
}

pub(super) async fn history(
    client: &Client,
    limit: u16,
    before: Option<Revision>,
) -> Result<Out, Failure> {
    let mut ask = Ask::get("/v1/revisions").argument("limit", limit);
    if let Some(before) = before {
        ask = ask.argument("before", before);
    }
    let answer = client.send(ask).await?;
    let page: RevisionPage = answer.read()?;
    let mut columns = Columns::titled(&["REVISION", "", "WHEN", "WHO", "WHAT", "WHY"]);
    for revision in &page.revisions {
        columns.row(vec![
            revision.revision.to_string(),
            mark(revision).to_owned(),
            revision.published_at.to_string(),
            clean(&revision.author.name),
            what(revision),
            clean(revision.author.message.as_deref().unwrap_or_default()),
        ]);
    }
    let mut text = columns.shown();
    if let Some(next) = page.next {
        text = format!("{text}more: switchback history --before {next}\n");
    }
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// Which revision is live, and which a rollback can reach.
fn mark(revision: &RevisionSummary) -> &'static str {
    match (revision.live, revision.undoable) {
        (true, _) => "live",
        (false, true) => "undoable",
        (false, false) => "",
    }
}

pub(super) fn what(revision: &RevisionSummary) -> String {
    let what = match &revision.cause {
        Cause::Rollback { to } => format!("rollback to {to}"),
        Cause::RollbackRoute {
            route: Some(route),
            to,
        } => format!("rollback of {route} to {to}"),
        Cause::RollbackRoute { route: None, .. } => "rollback of a route".to_owned(),
        other => other.as_str().to_owned(),
    };
    if revision.durable {
        what
    } else {
        format!("{what}, NOT durable yet")
    }
}

pub(super) async fn diff(client: &Client, from: Revision, to: Revision) -> Result<Out, Failure> {
    let answer = client
        .send(Ask::get(format!("/v1/revisions/{from}/diff/{to}")))
        .await?;
    let found: RevisionDiff = answer.read()?;
    let text = if found.diff.is_empty() {
        format!("revisions {from} and {to} hold the same\n")
    } else {
        show::summary(&found.diff).join("\n") + "\n"
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}
