//! Difference between two states, by entry and field.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{ChangeSet, Hashed, ReleaseDocument, ReleaseName, RouteName, RouteSpec, TableState};

/// Differences between two states, in a fixed order: releases by name, then routes in the order of the later state, then
/// flags by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff(pub Vec<DiffEntry>);

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiffEntry {
    /// Path of the field: `routes.chat.split.green`.
    pub path: String,
    /// Value before; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Value after; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// For a weight in a split: the resulting share of the route's requests. A release whose share differs has an
    /// entry even if its weight is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareChange>,
}

/// A share of a route's requests, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareChange {
    /// Share before.
    pub before: f64,
    /// Share after.
    pub after: f64,
}

impl Diff {
    /// Compares two states. Shared entries are skipped.
    pub fn between(before: &TableState, after: &TableState) -> Self {
        let mut entries = Vec::new();
        let touched = ChangeSet::between(before, after);
        for name in &touched.releases {
            let old = release(before, name);
            let new = release(after, name);
            compare(
                &format!("releases.{name}"),
                old.as_ref(),
                new.as_ref(),
                &mut entries,
            );
        }
        compare_routes(before, after, &mut entries);
        for name in &touched.flags {
            let [old, new] = [before, after].map(|state| Some(json(&***state.spec.flag(name)?)));
            compare(
                &format!("flags.{name}"),
                old.as_ref(),
                new.as_ref(),
                &mut entries,
            );
        }
        Self(entries)
    }

    /// True if there is no difference.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn release(state: &TableState, name: &ReleaseName) -> Option<Value> {
    let spec = state.spec.release(name)?;
    let document = ReleaseDocument {
        spec: (***spec).clone(),
        endpoints: state.endpoints(name).to_vec(),
    };
    Some(json(&document))
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("types of the model have string keys and finite numbers")
}

fn compare_routes(before: &TableState, after: &TableState, entries: &mut Vec<DiffEntry>) {
    let (old_routes, new_routes) = (before.spec.routes(), after.spec.routes());
    let mut seen = BTreeSet::new();
    let mut moves = None;
    for place in old_routes.differences(new_routes, Hashed::is_same) {
        let names = [new_routes.get(place), old_routes.get(place)];
        for name in names.into_iter().flatten().map(|route| &route.name) {
            if seen.insert(name.clone()) {
                let (old, new) = (before.spec.route(name), after.spec.route(name));
                let path = format!("routes.{name}");
                let mut found = Vec::new();
                let texts = [old, new].map(|route| route.map(|route| json(&***route)));
                compare(&path, texts[0].as_ref(), texts[1].as_ref(), &mut found);
                if let (Some(old), Some(new)) = (old, new) {
                    compare_shares(&format!("{path}.split."), old, new, &mut found);
                }
                entries.append(&mut found);
                if before.spec.place(name) != after.spec.place(name) {
                    let moves = moves.get_or_insert_with(|| Moves::between(before, after));
                    entries.extend(moves.of(name));
                }
            }
        }
    }
}

/// Replaces entries for weights by entries with shares.
fn compare_shares(split: &str, old: &RouteSpec, new: &RouteSpec, entries: &mut Vec<DiffEntry>) {
    let is_weight = |entry: &DiffEntry| entry.path.starts_with(split);
    let Some(first) = entries.iter().position(is_weight) else {
        return;
    };
    entries.retain(|entry| !is_weight(entry));
    let names: BTreeSet<_> = old.split.keys().chain(new.split.keys()).collect();
    let entry = |name: &ReleaseName| {
        let weight = |route: &RouteSpec| route.split.get(name).copied();
        let share = ShareChange {
            before: old.share(name),
            after: new.share(name),
        };
        let (before, after) = (weight(old), weight(new));
        let same = before == after && (share.before - share.after).abs() < f64::EPSILON;
        (!same).then(|| DiffEntry {
            path: format!("{split}{name}"),
            before: before.map(Value::from),
            after: after.map(Value::from),
            share: Some(share),
        })
    };
    entries.splice(first..first, names.into_iter().filter_map(entry));
}

/// Moved routes: among routes that match equally well, the order decides. Only positions relative to common routes
/// count; routes added or removed before one are no move.
struct Moves<'a> {
    old: BTreeMap<&'a RouteName, usize>,
    new: BTreeMap<&'a RouteName, usize>,
}

impl<'a> Moves<'a> {
    fn between(before: &'a TableState, after: &'a TableState) -> Self {
        Self {
            old: ranks(before, after),
            new: ranks(after, before),
        }
    }

    fn of(&self, name: &RouteName) -> Option<DiffEntry> {
        let (old, new) = (self.old.get(name)?, self.new.get(name)?);
        (old != new).then(|| DiffEntry {
            path: format!("routes.{name}.(place)"),
            before: Some(json(old)),
            after: Some(json(new)),
            share: None,
        })
    }
}

/// Positions of the routes of a state among those that the other state has too.
fn ranks<'a>(state: &'a TableState, other: &TableState) -> BTreeMap<&'a RouteName, usize> {
    let names = state.spec.routes().iter().map(|route| &route.name);
    let shared = names.filter(|name| other.spec.route(name).is_some());
    shared
        .enumerate()
        .map(|(rank, name)| (name, rank))
        .collect()
}

fn compare(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    entries: &mut Vec<DiffEntry>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        return compare_fields(path, old, new, entries);
    }
    entries.push(DiffEntry {
        path: path.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
        share: None,
    });
}

fn compare_fields(
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    entries: &mut Vec<DiffEntry>,
) {
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        compare(
            &format!("{path}.{key}"),
            old.get(key),
            new.get(key),
            entries,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TableDocument;

    fn state(split: &str) -> TableState {
        let text = format!(
            r#"{{"releases":{{"blue":{{"endpoints":[]}},"green":{{"endpoints":[]}},"red":{{"endpoints":[]}}}},
                "routes":[{{"name":"chat","split":{split}}}]}}"#
        );
        let document: TableDocument = serde_json::from_str(&text).unwrap();
        document.into_state(&TableState::default())
    }

    fn shares(before: &str, after: &str) -> Vec<String> {
        let diff = Diff::between(&state(before), &state(after));
        let entry = |entry: &DiffEntry| {
            let share = entry.share.unwrap();
            let path = entry.path.strip_prefix("routes.chat.split.").unwrap();
            format!("{path} {} {}", share.before, share.after)
        };
        diff.0.iter().map(entry).collect()
    }

    #[test]
    fn whatever_gets_another_share_is_named_though_its_weight_is_the_same() {
        let (before, after) = (r#"{"blue":95,"green":5}"#, r#"{"blue":9995,"green":5}"#);
        assert_eq!(
            shares(before, after),
            ["blue 0.95 0.9995", "green 0.05 0.0005"]
        );
        let after = r#"{"blue":95,"green":5,"red":100}"#;
        assert_eq!(
            shares(before, after),
            ["blue 0.95 0.475", "green 0.05 0.025", "red 0 0.5"]
        );
        let (before, after) = (r#"{"blue":1,"green":0}"#, r#"{"blue":2,"green":0}"#);
        assert_eq!(
            shares(before, after),
            ["blue 1 1"],
            "the weight has changed"
        );
    }
}
