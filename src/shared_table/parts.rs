//! The changes that lead from one table to another, part by part.

use std::collections::BTreeMap;

use crate::model::{
    Change, ChangeError, ChangeSet, ReleaseDocument, ReleaseName, RouteName, RouteSpec,
    TableDocument, TablePart, TableState,
};

/// Number of changes from which they are made on the document at once: each by itself copies lists of the table.
const MANY: usize = 16;

/// The changes that lead from one table to another: additions first, so that what is removed is not in use any more. A
/// table whose routes change places is replaced as a whole.
pub fn changes_between(before: &TableState, after: &TableState) -> Vec<Change> {
    let mut parts: Vec<_> = ChangeSet::between(before, after).parts().collect();
    parts.sort_by_key(order);
    let mut changes: Vec<_> = parts.iter().filter_map(|part| put(part, after)).collect();
    let removed = parts
        .iter()
        .rev()
        .filter(|part| put(part, after).is_none() && put(part, before).is_some());
    changes.extend(removed.map(remove));
    let leads_there =
        apply_all(&changes, before).is_ok_and(|state| state.spec.digest() == after.spec.digest());
    if leads_there {
        return changes;
    }
    let table = TableDocument::of(after);
    vec![Change::Replace { table }]
}

/// The table with all changes made, in their order.
///
/// # Errors
/// When one of them does not apply. Of many changes of parts that is left to the check of the table that they lead to.
pub fn apply_all(changes: &[Change], before: &TableState) -> Result<TableState, ChangeError> {
    if changes.len() > MANY
        && let Some(document) = changed(changes, TableDocument::of(before))
    {
        return Ok(document.into_state(before));
    }
    let mut state = before.clone();
    for change in changes {
        state = change.apply_to(&state)?.state;
    }
    Ok(state)
}

/// A table in which some parts are as they are in another one.
///
/// # Errors
/// When a part is missing there, and in use here.
pub fn keep_parts<'a>(
    table: &TableState,
    parts: impl IntoIterator<Item = &'a TablePart>,
    kept: &TableState,
) -> Result<TableState, ChangeError> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|part| order(part));
    let is_there = |part: &&&TablePart| put(part, table).is_some();
    let is_gone = |part: &&&TablePart| put(part, kept).is_none();
    let mut changes: Vec<_> = parts.iter().filter_map(|part| put(part, kept)).collect();
    let removed = parts.iter().rev().filter(is_gone).filter(is_there);
    changes.extend(removed.map(|part| remove(part)));
    apply_all(&changes, table)
}

/// The part that a change puts or removes; none of a change of another kind.
pub fn part_of(change: &Change) -> Option<TablePart> {
    match change {
        Change::PutFlag { flag, .. } | Change::RemoveFlag { flag } => {
            Some(TablePart::Flag(flag.clone()))
        }
        Change::PutRelease { release, .. } | Change::RemoveRelease { release } => {
            Some(TablePart::Release(release.clone()))
        }
        Change::PutRoute { route } => Some(TablePart::Route(route.name.clone())),
        Change::RemoveRoute { route } => Some(TablePart::Route(route.clone())),
        _ => None,
    }
}

/// The document with all changes made; `None` if one of them is of another kind than those of parts.
fn changed(changes: &[Change], mut document: TableDocument) -> Option<TableDocument> {
    let mut routes: Vec<_> = document.routes.into_iter().map(Some).collect();
    let named = routes.iter().flatten().enumerate();
    let mut places: BTreeMap<RouteName, usize> = named
        .map(|(place, route)| (route.name.clone(), place))
        .collect();
    for change in changes {
        match change {
            Change::PutFlag { flag, spec } => {
                document.flags.insert(flag.clone(), (**spec).clone());
            }
            Change::RemoveFlag { flag } => {
                document.flags.remove(flag);
            }
            Change::PutRelease {
                release,
                document: one,
            } => {
                document.releases.insert(release.clone(), (**one).clone());
            }
            Change::RemoveRelease { release } => {
                document.releases.remove(release);
            }
            Change::PutRoute { route } => {
                let place = *places.entry(route.name.clone()).or_insert(routes.len());
                routes.resize(routes.len().max(place + 1), None);
                routes[place] = Some((**route).clone());
            }
            Change::RemoveRoute { route } => {
                if let Some(place) = places.remove(route) {
                    routes[place] = None;
                }
            }
            _ => return None,
        }
    }
    document.routes = routes.into_iter().flatten().collect();
    Some(document)
}

/// The changes that make some parts what they are in a table, each with its part, in an order in which they can be made.
pub fn changes_of<'a>(
    parts: impl IntoIterator<Item = &'a TablePart>,
    table: &TableState,
) -> Vec<(TablePart, Change)> {
    let mut parts: Vec<_> = parts.into_iter().cloned().collect();
    parts.sort_by_key(order);
    let (there, gone): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| put(part, table).is_some());
    let put = there
        .into_iter()
        .filter_map(|part| put(&part, table).map(|change| (part, change)));
    let removed = gone.into_iter().rev().map(|part| {
        let change = remove(&part);
        (part, change)
    });
    put.chain(removed).collect()
}

/// Releases come before the routes that name them.
const fn order(part: &TablePart) -> u8 {
    match part {
        TablePart::Release(_) => 0,
        TablePart::Flag(_) => 1,
        TablePart::Route(_) => 2,
    }
}

/// The change that gives a part the value that it has in a table; none if it is not there.
fn put(part: &TablePart, table: &TableState) -> Option<Change> {
    match part {
        TablePart::Flag(name) => table.spec.flag(name).map(|spec| Change::PutFlag {
            flag: name.clone(),
            spec: Box::new((***spec).clone()),
        }),
        TablePart::Release(name) => release(name, table),
        TablePart::Route(name) => table.spec.route(name).map(|route| Change::PutRoute {
            route: Box::new(RouteSpec {
                last_whole: None,
                ..(***route).clone()
            }),
        }),
    }
}

fn release(name: &ReleaseName, table: &TableState) -> Option<Change> {
    let spec = (***table.spec.release(name)?).clone();
    let endpoints = table.endpoints(name).to_vec();
    Some(Change::PutRelease {
        release: name.clone(),
        document: Box::new(ReleaseDocument { spec, endpoints }),
    })
}

fn remove(part: &TablePart) -> Change {
    match part {
        TablePart::Flag(name) => Change::RemoveFlag { flag: name.clone() },
        TablePart::Release(name) => Change::RemoveRelease {
            release: name.clone(),
        },
        TablePart::Route(name) => Change::RemoveRoute {
            route: name.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> TableState {
        let document: TableDocument = serde_json::from_str(text).unwrap();
        document.into_state(&TableState::default())
    }

    const ONE: &str = r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:1"]}},
        "routes":[{"name":"chat","split":{"blue":1}}]}"#;
    const TWO: &str = r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:2"]},"green":{"endpoints":["http://127.0.0.1:3"]}},
        "routes":[{"name":"chat","split":{"green":1}},{"name":"tools","path_prefix":"/t","split":{"blue":1}}],
        "flags":{"new":{"type":"boolean","variants":{"on":true,"off":false},"default":"off"}}}"#;
    const TURNED: &str = r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:2"]},"green":{"endpoints":["http://127.0.0.1:3"]}},
        "routes":[{"name":"tools","path_prefix":"/t","split":{"blue":1}},{"name":"chat","split":{"green":1}}]}"#;

    #[test]
    fn changes_lead_from_any_table_to_any_other() {
        let tables = ["{}", ONE, TWO, TURNED].map(table);
        for before in &tables {
            for after in &tables {
                let changes = changes_between(before, after);
                let text = serde_json::to_string(&changes).unwrap();
                let changes: Vec<Change> = serde_json::from_str(&text).unwrap();
                let state = apply_all(&changes, before).unwrap();
                assert_eq!(
                    TableDocument::of(&state),
                    TableDocument::of(after),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn many_changes_lead_where_they_lead_one_by_one() {
        let before = table(TWO);
        let put = |number: u32| {
            let text = format!(
                r#"{{"kind":"put_route","route":{{"name":"r{number}","path_prefix":"/r{number}","split":{{"blue":1}}}}}}"#
            );
            serde_json::from_str::<Change>(&text).unwrap()
        };
        let other = |text: &str| serde_json::from_str::<Change>(text).unwrap();
        let mut changes: Vec<_> = (0..40).map(put).collect();
        changes.push(other(r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:9"]}}"#));
        changes.push(other(r#"{"kind":"put_release","release":"red","document":{"version":"1","endpoints":["http://127.0.0.1:8"]}}"#));
        changes.push(other(r#"{"kind":"remove_route","route":"r7"}"#));
        changes.push(put(7));
        changes.push(other(r#"{"kind":"remove_flag","flag":"new"}"#));
        changes.push(other(
            r#"{"kind":"put_route","route":{"name":"tools","path_prefix":"/x","split":{"red":1}}}"#,
        ));
        assert!(changes.len() > MANY);
        let mut one_by_one = before.clone();
        for change in &changes {
            one_by_one = change.apply_to(&one_by_one).unwrap().state;
        }
        let at_once = apply_all(&changes, &before).unwrap();
        assert_eq!(TableDocument::of(&at_once), TableDocument::of(&one_by_one));
        assert_eq!(at_once.spec.digest(), one_by_one.spec.digest());
        assert!(changes.iter().all(|change| part_of(change).is_some()));
    }

    #[test]
    fn one_changed_route_is_one_change() {
        let before = table(TWO);
        let split = r#"{"kind":"set_split","route":"chat","weights":{"blue":1,"green":9}}"#;
        let split: Change = serde_json::from_str(split).unwrap();
        let after = split.apply_to(&before).unwrap().state;
        let changes = changes_between(&before, &after);
        assert!(matches!(changes.as_slice(), [Change::PutRoute { .. }]));
    }

    #[test]
    fn kept_parts_are_those_of_the_other_table_and_the_rest_is_not() {
        let (one, two) = (table(ONE), table(TWO));
        let chat = TablePart::Route("chat".parse().unwrap());
        let tools = TablePart::Route("tools".parse().unwrap());
        let kept = keep_parts(&two, [&chat, &tools], &one).unwrap();
        let routes: Vec<_> = kept
            .spec
            .routes()
            .iter()
            .map(|route| route.name.as_str())
            .collect();
        assert_eq!(routes, ["chat"]);
        let route = kept.spec.route(&"chat".parse().unwrap()).unwrap();
        assert!(route.split.contains_key("blue"));
        assert_eq!(kept.spec.releases().len(), 2);
    }
}
