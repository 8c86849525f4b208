//! A revision or a route out of a backup, as a change of a running proxy like any other: one revision, one rollback.

use hyper::Method;

use super::{
    change::done,
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    options::CommonArgs,
    output::Out,
};
use crate::{
    api::Timestamp,
    history::CheckedBackup,
    model::{ReleaseName, Revision, RouteName, RouteSpec, TableDocument},
};

/// A part of a backup.
#[derive(Debug)]
pub(super) struct Part {
    /// The revision; the one that was live when absent.
    pub(super) revision: Option<Revision>,
    /// The route; the whole table when absent.
    pub(super) route: Option<RouteName>,
    /// True if releases without a healthy endpoint do not matter.
    pub(super) force: bool,
}

/// Makes what a part of a backup says live.
pub(super) async fn change(
    client: &Client,
    checked: &CheckedBackup,
    part: Part,
    change: CommonArgs,
) -> Result<Out, Failure> {
    let revision = part.revision.unwrap_or(checked.backup().manifest.live);
    let then = table(checked, revision)?;
    let answer = client.send(ApiRequest::get("/v1/table")).await?;
    let base = change.based_on.or(answer.revision);
    let (wanted, what) = match &part.route {
        None => (then, format!("revision {revision}")),
        Some(name) => (
            with_route(answer.read()?, &then, name)?,
            format!("the route {name} of revision {revision}"),
        ),
    };
    let taken = Timestamp::from_millis(checked.backup().manifest.taken_at_ms);
    let reason = || format!("{what} of the backup of {taken}");
    let ask = ApiRequest::of(Method::PUT, "/v1/table")
        .json(&wanted)
        .argument("message", change.message.unwrap_or_else(reason));
    let ask = ask.based_on(base).dry_run(change.dry_run).force(part.force);
    let ask = ask.for_fleet(change.wait_fleet);
    done(client.send(ask).await?)
}

/// The table of a revision in a backup.
fn table(checked: &CheckedBackup, revision: Revision) -> Result<TableDocument, Failure> {
    let mut kept = checked.revisions().iter();
    let state = kept
        .find(|kept| kept.record.revision == revision)
        .and_then(|kept| kept.state.as_ref());
    state.map(TableDocument::of).ok_or_else(|| {
        let message = format!(
            "revision {revision} is not in the backup\nhint: `switchback restore FILE --list` shows what is"
        );
        Failure::new(Exit::Refused, message)
    })
}

/// The live table with a route of another one. Releases that are live stay as they are; those that the route needs and
/// that are gone come with it.
fn with_route(
    mut live: TableDocument,
    then: &TableDocument,
    name: &RouteName,
) -> Result<TableDocument, Failure> {
    let route = then.routes.iter().find(|route| route.name == *name);
    let route = route.ok_or_else(|| {
        let known: Vec<_> = then
            .routes
            .iter()
            .map(|route| route.name.as_str())
            .collect();
        let message = format!(
            "that revision has no route `{name}`\nhint: it has {}",
            known.join(", ")
        );
        Failure::new(Exit::Refused, message)
    })?;
    for release in needed(route) {
        if let Some(document) = then.releases.get(release) {
            let place = live.releases.entry(release.clone());
            place.or_insert_with(|| document.clone());
        }
    }
    match live.routes.iter_mut().find(|other| other.name == *name) {
        Some(place) => *place = route.clone(),
        None => live.routes.push(route.clone()),
    }
    Ok(live)
}

fn needed(route: &RouteSpec) -> impl Iterator<Item = &ReleaseName> {
    let mirror = route.mirror.as_ref().map(|mirror| &mirror.release);
    let split = route.split.keys();
    split.chain(mirror).chain(&route.stable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> TableDocument {
        serde_json::from_str(text).unwrap()
    }

    const THEN: &str = r#"{"releases":{"blue":{"version":"1","endpoints":["http://127.0.0.1:1"]},
        "gone":{"version":"1","endpoints":["http://127.0.0.1:2"]}},
        "routes":[{"name":"chat","path_prefix":"/chat","split":{"blue":1,"gone":1}},
        {"name":"other","path_prefix":"/other","split":{"blue":1}}]}"#;
    const LIVE: &str = r#"{"releases":{"blue":{"version":"2","endpoints":["http://127.0.0.1:3"]}},
        "routes":[{"name":"chat","path_prefix":"/chat","split":{"blue":1}},
        {"name":"new","path_prefix":"/new","split":{"blue":1}}]}"#;

    #[test]
    fn a_route_comes_with_the_releases_that_are_gone_and_changes_nothing_else() {
        let (live, then) = (document(LIVE), document(THEN));
        let chat = "chat".parse().unwrap();
        let wanted = with_route(live.clone(), &then, &chat).unwrap();
        let names: Vec<_> = wanted
            .routes
            .iter()
            .map(|route| route.name.as_str())
            .collect();
        assert_eq!(names, ["chat", "new"]);
        assert_eq!(wanted.routes[0], then.routes[0]);
        assert_eq!(wanted.releases["blue"], live.releases["blue"]);
        assert_eq!(wanted.releases["gone"], then.releases["gone"]);
        let other = with_route(live, &then, &"other".parse().unwrap()).unwrap();
        assert_eq!((other.routes.len(), other.releases.len()), (3, 1));
        let missing = with_route(document(LIVE), &then, &"none".parse().unwrap());
        assert!(missing.unwrap_err().message.contains("chat, other"));
    }
}
