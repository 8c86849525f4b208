//! What differs between two states, entry by entry and field by field.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Hashed, ReleaseDocument, ReleaseName, TableState, Touched};

/// The differences between two states, in a fixed order: releases by name, then routes in the order of the later state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff(pub Vec<DiffEntry>);

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiffEntry {
    /// Where: `routes.chat.split.green`.
    pub path: String,
    /// What stood there; absent when there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Diff {
    /// Compares two states. Entries that they share are not looked into.
    pub fn between(before: &TableState, after: &TableState) -> Self {
        let mut entries = Vec::new();
        for name in &Touched::between(before, after).releases {
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
        Self(entries)
    }

    /// Whether nothing differs.
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
    for place in old_routes.differences(new_routes, Hashed::is_same) {
        let names = [new_routes.get(place), old_routes.get(place)];
        for name in names.into_iter().flatten().map(|route| &route.name) {
            if seen.insert(name.clone()) {
                let old = before.spec.route(name).map(|route| json(&***route));
                let new = after.spec.route(name).map(|route| json(&***route));
                compare(
                    &format!("routes.{name}"),
                    old.as_ref(),
                    new.as_ref(),
                    entries,
                );
                compare_places(before, after, name, entries);
            }
        }
    }
}

/// A route that only moved is a difference too: among routes that match equally well, the order decides.
fn compare_places(
    before: &TableState,
    after: &TableState,
    name: &super::RouteName,
    entries: &mut Vec<DiffEntry>,
) {
    let (Some(old), Some(new)) = (before.spec.place(name), after.spec.place(name)) else {
        return;
    };
    if old != new {
        entries.push(DiffEntry {
            path: format!("routes.{name}.(place)"),
            before: Some(json(&old)),
            after: Some(json(&new)),
        });
    }
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
