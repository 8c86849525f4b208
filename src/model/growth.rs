//! Releases that get a larger share of a route than before. Pure: only these must be ready for a change.

use std::{collections::BTreeSet, sync::Arc};

use super::{Hashed, ReleaseName, RouteName, RouteSpec, TableSpec};

/// Releases that get a larger share of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The route.
    pub route: RouteName,
    /// The releases, by name.
    pub releases: BTreeSet<ReleaseName>,
}

impl Growth {
    /// Growing releases from one table to another, by route; routes without any are left out. A release with another
    /// version counts as another release: its old share is 0.
    pub fn between(before: &TableSpec, after: &TableSpec) -> Vec<Self> {
        let versions = changed_versions(before, after);
        let grown = changed_routes(before, after, !versions.is_empty()).map(|route| {
            let old = before.route(&route.name).map(|old| &***old);
            let grows = |name: &&ReleaseName| grows(old, route, name, &versions);
            Self {
                route: route.name.clone(),
                releases: route.split.keys().filter(grows).cloned().collect(),
            }
        });
        grown.filter(|growth| !growth.releases.is_empty()).collect()
    }

    /// Growing releases that are not ready.
    pub fn unready(growth: &[Self], ready: impl Fn(&ReleaseName) -> bool) -> BTreeSet<ReleaseName> {
        let all = growth.iter().flat_map(|growth| &growth.releases);
        all.filter(|name| !ready(name)).cloned().collect()
    }
}

/// True if a rollback would rescue a route: now no release with a weight is ready, and after it one would be.
pub fn rescues(
    now: Option<&RouteSpec>,
    then: Option<&RouteSpec>,
    ready_now: impl Fn(&ReleaseName) -> bool,
    ready_then: impl Fn(&ReleaseName) -> bool,
) -> bool {
    let (Some(now), Some(then)) = (now, then) else {
        return false;
    };
    !now.weighed().any(ready_now) && then.weighed().any(ready_then)
}

/// Releases that are new or have another version.
fn changed_versions(before: &TableSpec, after: &TableSpec) -> BTreeSet<ReleaseName> {
    if std::ptr::eq(before.releases(), after.releases()) {
        return BTreeSet::new();
    }
    let changed = |name: &&ReleaseName| {
        let version = |spec: &TableSpec| spec.release(name).map(|spec| spec.version.clone());
        version(before) != version(after)
    };
    after.releases().keys().filter(changed).cloned().collect()
}

/// Routes of the later table that may have changed; all if a release may have changed.
fn changed_routes<'a>(
    before: &'a TableSpec,
    after: &'a TableSpec,
    all: bool,
) -> Box<dyn Iterator<Item = &'a Arc<Hashed<RouteSpec>>> + 'a> {
    if all {
        return Box::new(after.routes().iter());
    }
    let places = before
        .routes()
        .differences(after.routes(), Hashed::is_same)
        .filter_map(|place| after.routes().get(place));
    Box::new(places)
}

fn grows(
    old: Option<&RouteSpec>,
    new: &RouteSpec,
    name: &ReleaseName,
    versions: &BTreeSet<ReleaseName>,
) -> bool {
    let weight = |route: &RouteSpec| u128::from(route.split.get(name).copied().unwrap_or(0));
    let total = |route: &RouteSpec| route.split.values().map(|w| u128::from(*w)).sum::<u128>();
    let before = old.filter(|_| !versions.contains(name));
    let (was, of) = before.map_or((0, 1), |old| (weight(old), total(old)));
    // A split without any weight has no shares to compare with.
    let of = of.max(1);
    weight(new) * of > was * total(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TableDocument, TableState};

    fn table(routes: &str, version: &str) -> TableSpec {
        let text = format!(
            r#"{{"releases":{{"blue":{{"version":"1","endpoints":[]}},"green":{{"version":"{version}","endpoints":[]}}}},"routes":[{routes}]}}"#
        );
        let document: TableDocument = serde_json::from_str(&text).unwrap();
        document.into_state(&TableState::default()).spec
    }

    fn chat(blue: u32, green: u32) -> String {
        format!(r#"{{"name":"chat","split":{{"blue":{blue},"green":{green}}}}}"#)
    }

    fn grown(before: &TableSpec, after: &TableSpec) -> Vec<String> {
        let growth = Growth::between(before, after);
        let names = |growth: &Growth| {
            let route = growth.route.clone();
            let names = growth.releases.iter();
            names
                .map(|name| format!("{route}:{name}"))
                .collect::<Vec<_>>()
        };
        growth.iter().flat_map(names).collect()
    }

    #[test]
    fn shares_count_and_not_weights() {
        let before = table(&chat(95, 5), "1");
        assert_eq!(
            grown(&before, &table(&chat(190, 10), "1")),
            [""; 0],
            "the same shares"
        );
        assert_eq!(grown(&before, &table(&chat(190, 11), "1")), ["chat:green"]);
        assert_eq!(grown(&before, &table(&chat(100, 0), "1")), ["chat:blue"]);
    }

    #[test]
    fn a_new_version_and_a_new_route_begin_with_nothing() {
        let before = table(&chat(50, 50), "1");
        assert_eq!(
            grown(&before, &table(&chat(60, 40), "2")),
            ["chat:blue", "chat:green"]
        );
        assert_eq!(grown(&before, &table(&chat(50, 50), "2")), ["chat:green"]);
        let more = format!(
            r#"{},{{"name":"search","path_prefix":"/s","split":{{"blue":1,"green":0}}}}"#,
            chat(50, 50)
        );
        assert_eq!(grown(&before, &table(&more, "1")), ["search:blue"]);
        assert_eq!(grown(&table(&more, "1"), &before), [""; 0]);
    }

    #[test]
    fn a_route_is_rescued_only_from_nothing_and_to_something() {
        let (before, after) = (table(&chat(0, 100), "1"), table(&chat(50, 50), "1"));
        let route = |table: &TableSpec| (***table.route(&"chat".parse().unwrap()).unwrap()).clone();
        let (now, then) = (route(&before), route(&after));
        let only = |ready: &'static str| move |name: &ReleaseName| name.as_str() == ready;
        let helps = |ready| rescues(Some(&now), Some(&then), only(ready), only(ready));
        assert!(helps("blue"));
        assert!(!helps("green"), "what is live can answer");
        assert!(!helps("red"), "nothing can");
        assert!(!rescues(None, Some(&then), only("blue"), only("blue")));
    }
}
