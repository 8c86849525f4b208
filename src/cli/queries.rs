//! Subcommands that show something.

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    render,
    status::{role, routes, version},
    text::{Columns, clean},
};
use crate::{
    api::{EndpointStatus, RevisionDiff, RevisionPage, RevisionSummary, Status},
    model::{Cause, EndpointSpec, Revision},
};

pub(super) async fn list_routes(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/status")).await?;
    let status: Status = answer.read()?;
    let json = serde_json::to_vec(&status.routes).expect("types of the API have string keys");
    Ok(Out {
        text: routes(&status.routes),
        json,
    })
}

pub(super) async fn list_releases(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/status")).await?;
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
                state(endpoint),
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

/// State of an endpoint: its health, and what is not as usual.
fn state(endpoint: &EndpointStatus) -> String {
    let mut state = if endpoint.draining {
        "draining".to_owned()
    } else {
        format!("{:?}", endpoint.health).to_lowercase()
    };
    if endpoint.ejected.is_some() {
        state.push_str(", ejected");
    }
    if endpoint.weight != EndpointSpec::WEIGHT {
        state = format!("{state}, weight {}", endpoint.weight);
    }
    state
}

pub(super) async fn history(
    client: &Client,
    limit: u16,
    before: Option<Revision>,
) -> Result<Out, Failure> {
    let mut ask = ApiRequest::get("/v1/revisions").argument("limit", limit);
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

/// Marks of the live revision and of those that a rollback can reach.
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
        Cause::RollbackFlag { flag, to } => format!("rollback of flag {flag} to {to}"),
        Cause::ReturnPart {
            to: Some(to),
            part,
            parts,
        } => format!("rollback to {to}, part {part} of {parts}"),
        Cause::ReturnPart {
            to: None,
            part,
            parts,
        } => format!("abort, part {part} of {parts}"),
        Cause::Drill { to: Some(to) } => format!("drill, back to {to}"),
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
        .send(ApiRequest::get(format!("/v1/revisions/{from}/diff/{to}")))
        .await?;
    let found: RevisionDiff = answer.read()?;
    let text = if found.diff.is_empty() {
        format!("revisions {from} and {to} are equal\n")
    } else {
        render::summary(&found.diff).join("\n") + "\n"
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_endpoint_that_is_ejected_or_weighed_says_so() {
        let state = |more: serde_json::Value| {
            let mut endpoint = serde_json::json!({
                "url": "http://10.0.0.1:9000", "address": "10.0.0.1:9000", "health": "healthy", "in_flight": 0,
            });
            let more = more.as_object().cloned().unwrap_or_default();
            endpoint.as_object_mut().unwrap().extend(more);
            super::state(&serde_json::from_value(endpoint).unwrap())
        };
        assert_eq!(state(serde_json::json!({})), "healthy");
        let both = serde_json::json!({ "ejected": "connect_failed", "weight": 2 });
        assert_eq!(state(both), "healthy, ejected, weight 2");
    }
}
