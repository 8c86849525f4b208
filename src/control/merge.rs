//! The three-way comparison of an edited file: what changed only in the file is taken, what changed only live is kept,
//! what changed in both is a conflict. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{Conflict, ConflictPolicy},
    model::{RouteName, RouteSpec, TableDocument},
};

/// The result of the comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Merged {
    /// The table to make live.
    pub(super) document: TableDocument,
    /// Entries that changed only in the file, or where it wins.
    pub(super) applied: Vec<String>,
    /// Entries that changed only live, or where the live side wins.
    pub(super) kept: Vec<String>,
    /// Entries that changed in both, when there is no policy for it.
    pub(super) conflicts: Vec<Conflict>,
}

/// Compares the file as it was last imported, the live table and the file as it is now.
pub(super) fn merge(
    base: &TableDocument,
    live: &TableDocument,
    file: &TableDocument,
    wins: Option<ConflictPolicy>,
) -> Merged {
    let mut merge = Merge {
        merged: Merged::default(),
        wins,
    };
    let releases = base
        .releases
        .keys()
        .chain(live.releases.keys())
        .chain(file.releases.keys());
    for name in releases.collect::<BTreeSet<_>>() {
        let sides = [base, live, file].map(|side| side.releases.get(name));
        if let Some(chosen) = merge.choose(&format!("releases.{name}"), sides) {
            merge.merged.document.releases.insert(name.clone(), chosen);
        }
    }
    merge.routes([base, live, file]);
    let flags = [base, live, file].map(|side| side.flags.keys());
    for name in flags.into_iter().flatten().collect::<BTreeSet<_>>() {
        let sides = [base, live, file].map(|side| side.flags.get(name));
        if let Some(chosen) = merge.choose(&format!("flags.{name}"), sides) {
            merge.merged.document.flags.insert(name.clone(), chosen);
        }
    }
    merge.merged
}

struct Merge {
    merged: Merged,
    wins: Option<ConflictPolicy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Conflict,
    File,
    Live,
    Same,
}

fn compare<T: PartialEq>(base: &T, live: &T, file: &T) -> Side {
    if file == live {
        Side::Same
    } else if file == base {
        Side::Live
    } else if live == base {
        Side::File
    } else {
        Side::Conflict
    }
}

impl Merge {
    /// Compares one entry and records the result; returns the side that is to be live.
    fn choose<T: PartialEq + Clone + Serialize>(
        &mut self,
        path: &str,
        [base, live, file]: [Option<&T>; 3],
    ) -> Option<T> {
        let mut side = compare(&base, &live, &file);
        if side == Side::Conflict {
            match self.wins {
                Some(ConflictPolicy::File) => side = Side::File,
                Some(ConflictPolicy::Live) => side = Side::Live,
                None => self.merged.conflicts.push(Conflict {
                    path: path.to_owned(),
                    imported: base.map(json),
                    live: live.map(json),
                    file: file.map(json),
                    changed_live_by: None,
                }),
            }
        }
        match side {
            Side::File => self.merged.applied.push(path.to_owned()),
            Side::Live => self.merged.kept.push(path.to_owned()),
            Side::Conflict | Side::Same => {}
        }
        if side == Side::File {
            file.cloned()
        } else {
            live.cloned()
        }
    }

    fn routes(&mut self, sides: [&TableDocument; 3]) {
        let by_name = |side: &TableDocument| -> BTreeMap<RouteName, RouteSpec> {
            side.routes
                .iter()
                .map(|route| (route.name.clone(), route.clone()))
                .collect()
        };
        let maps = sides.map(by_name);
        let names: BTreeSet<_> = maps.iter().flat_map(BTreeMap::keys).cloned().collect();
        let mut chosen = BTreeMap::new();
        for name in names {
            let sides = [maps[0].get(&name), maps[1].get(&name), maps[2].get(&name)];
            if let Some(route) = self.choose(&format!("routes.{name}"), sides) {
                chosen.insert(name, route);
            }
        }
        let order = self.order(sides.map(names_in_order), &chosen);
        self.merged.document.routes = order
            .iter()
            .filter_map(|name| chosen.remove(name))
            .collect();
    }

    /// The order of the routes: it decides among routes that match equally well, so it is merged like an entry.
    fn order(
        &mut self,
        [base, live, file]: [Vec<RouteName>; 3],
        chosen: &BTreeMap<RouteName, RouteSpec>,
    ) -> Vec<RouteName> {
        let everywhere =
            |name: &&RouteName| base.contains(name) && live.contains(name) && file.contains(name);
        let common =
            |side: &[RouteName]| side.iter().filter(everywhere).cloned().collect::<Vec<_>>();
        let sides = [common(&base), common(&live), common(&file)];
        let by_file = self.choose(
            "routes.(order)",
            [Some(&sides[0]), Some(&sides[1]), Some(&sides[2])],
        );
        let file_leads = by_file.as_ref() == Some(&sides[2]) && sides[1] != sides[2];
        let (lead, other) = if file_leads {
            (file, live)
        } else {
            (live, file)
        };
        let mut order: Vec<_> = lead
            .into_iter()
            .filter(|name| chosen.contains_key(name))
            .collect();
        for (place, name) in other.iter().enumerate() {
            if !chosen.contains_key(name) || order.contains(name) {
                continue;
            }
            let mut before = other[..place].iter().rev();
            let after = before.find_map(|earlier| order.iter().position(|name| name == earlier));
            order.insert(after.map_or(0, |after| after + 1), name.clone());
        }
        order
    }
}

fn names_in_order(side: &TableDocument) -> Vec<RouteName> {
    side.routes.iter().map(|route| route.name.clone()).collect()
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("types of the model have string keys and finite numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&str, u32)]) -> TableDocument {
        let routes = routes.iter().map(|(name, weight)| {
            let split = [("blue".parse().unwrap(), *weight)].into();
            RouteSpec::plain(name.parse().unwrap(), split)
        });
        TableDocument {
            releases: BTreeMap::new(),
            routes: routes.collect(),
            flags: BTreeMap::new(),
        }
    }

    fn merged(base: &[(&str, u32)], live: &[(&str, u32)], file: &[(&str, u32)]) -> Merged {
        merge(&table(base), &table(live), &table(file), None)
    }

    #[test]
    fn a_route_added_to_the_file_after_a_rollback_does_not_undo_the_rollback() {
        // The file was imported with chat at 2; a rollback took it to 1; now a route is added.
        let merged = merged(
            &[("chat", 2)],
            &[("chat", 1)],
            &[("chat", 2), ("search", 1)],
        );
        assert_eq!(merged.document, table(&[("chat", 1), ("search", 1)]));
        assert_eq!(
            (merged.applied, merged.kept),
            (
                vec!["routes.search".to_owned()],
                vec!["routes.chat".to_owned()]
            )
        );
        assert!(merged.conflicts.is_empty());
    }

    #[test]
    fn what_changed_on_both_sides_is_a_conflict_until_somebody_wins() {
        let sides = [&[("chat", 1)], &[("chat", 2)], &[("chat", 3)]].map(|side| table(side));
        let [base, live, file] = &sides;
        let refused = merge(base, live, file, None);
        assert_eq!(refused.conflicts[0].path, "routes.chat");
        assert_eq!(refused.document, *live);
        assert_eq!(
            merge(base, live, file, Some(ConflictPolicy::File)).document,
            *file
        );
        assert_eq!(
            merge(base, live, file, Some(ConflictPolicy::Live)).document,
            *live
        );
        assert!(
            merge(base, file, file, None).conflicts.is_empty(),
            "the same change on both sides is none"
        );
    }

    #[test]
    fn a_flag_switched_off_live_stays_off_when_the_file_gets_another_flag() {
        let flags = |json: &str| -> TableDocument {
            serde_json::from_str(&format!(r#"{{"flags":{json}}}"#)).unwrap()
        };
        let flag = |state: &str| {
            format!(
                r#"{{"type":"boolean","variants":{{"on":true}},"default":"on","state":"{state}"}}"#
            )
        };
        let (on, off) = (flag("on"), flag("off"));
        let base = flags(&format!(r#"{{"a":{on}}}"#));
        let live = flags(&format!(r#"{{"a":{off}}}"#));
        let file = flags(&format!(r#"{{"a":{on},"b":{on}}}"#));
        let merged = merge(&base, &live, &file, None);
        assert_eq!(
            merged.document,
            flags(&format!(r#"{{"a":{off},"b":{on}}}"#))
        );
        assert_eq!(
            (merged.applied, merged.kept),
            (vec!["flags.b".to_owned()], vec!["flags.a".to_owned()])
        );
    }

    #[test]
    fn a_route_removed_from_the_file_goes_unless_it_changed_live() {
        assert_eq!(
            merged(&[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)], &[("a", 1)]).document,
            table(&[("a", 1)])
        );
        let conflict = merged(&[("a", 1), ("b", 1)], &[("a", 1), ("b", 2)], &[("a", 1)]);
        assert_eq!(conflict.conflicts[0].file, None);
    }

    #[test]
    fn the_order_of_routes_is_merged_too() {
        let base = [("a", 1), ("b", 1), ("c", 1)];
        let moved = merged(&base, &base, &[("c", 1), ("a", 1), ("new", 1), ("b", 1)]);
        assert_eq!(
            moved.document,
            table(&[("c", 1), ("a", 1), ("new", 1), ("b", 1)])
        );
        let kept = merged(
            &base,
            &[("b", 1), ("a", 1), ("c", 1)],
            &[("a", 1), ("new", 1), ("b", 1), ("c", 1)],
        );
        assert_eq!(
            kept.document,
            table(&[("b", 1), ("a", 1), ("new", 1), ("c", 1)])
        );
        let both = merged(
            &base,
            &[("b", 1), ("a", 1), ("c", 1)],
            &[("c", 1), ("a", 1), ("b", 1)],
        );
        assert_eq!(both.conflicts[0].path, "routes.(order)");
    }
}
