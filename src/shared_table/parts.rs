//! The changes that lead from one table to another, part by part.

use crate::model::{
    Change, ChangeError, ChangeSet, ReleaseDocument, ReleaseName, RouteSpec, TableDocument,
    TablePart, TableState,
};

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
/// When one of them does not apply.
pub fn apply_all(changes: &[Change], before: &TableState) -> Result<TableState, ChangeError> {
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
    let mut state = table.clone();
    for part in parts.iter().filter_map(|part| put(part, kept)) {
        state = part.apply_to(&state)?.state;
    }
    let is_gone = |part: &&&TablePart| put(part, kept).is_none();
    for part in parts.iter().rev().filter(is_gone) {
        if put(part, &state).is_some() {
            state = remove(part).apply_to(&state)?.state;
        }
    }
    Ok(state)
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
