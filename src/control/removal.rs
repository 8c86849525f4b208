//! The check before a release is removed: nothing may need it any more.

use super::{Consent, ControlError, Controller, proposal::check_drops_no_weight};
use crate::{
    model::{Change, ReleaseName, RouteSpec, TableState},
    table::UndoEntry,
};

impl Controller {
    /// Checks that a change takes nothing away that is of use, unless that is asked for.
    pub(super) fn check_use(
        &self,
        before: &TableState,
        change: &Change,
        consent: Consent,
    ) -> Result<(), ControlError> {
        if !consent.drop {
            check_drops_no_weight(before, change)?;
        }
        match change {
            Change::RemoveRelease { release } if !consent.force => {
                self.check_removable(before, release)
            }
            _ => Ok(()),
        }
    }

    fn check_removable(
        &self,
        live: &TableState,
        release: &ReleaseName,
    ) -> Result<(), ControlError> {
        let version = live.spec.release(release).map(|spec| spec.version.clone());
        let roster = self.fleet.roster(release, &version.unwrap_or_default());
        let warm = self.reconciler.warm().list(&self.table);
        match remaining_use(live, release, &warm, roster.in_flight()) {
            Some(reason) => Err(ControlError::ReleaseWanted {
                release: release.clone(),
                reason,
            }),
            None => Ok(()),
        }
    }
}

/// The use that a release still is of, in words; `None` if it may be removed. `warm` are the levels of the undo stack
/// that are kept warm, `in_flight` the requests in flight on the release.
pub(super) fn remaining_use(
    live: &TableState,
    release: &ReleaseName,
    warm: &[UndoEntry],
    in_flight: u64,
) -> Option<String> {
    let mut routes = live.spec.routes().iter();
    if let Some(route) = routes.find(|route| route.split.contains_key(release)) {
        return Some(format!(
            "it is in the split of `{}`, with weight 0",
            route.name
        ));
    }
    let routes = live.spec.routes().iter();
    let mirrors_to = |route: &&RouteSpec| {
        route
            .mirror
            .as_ref()
            .is_some_and(|to| to.release == *release)
    };
    if let Some(route) = routes.map(|route| &***route).find(mirrors_to) {
        return Some(format!("`{}` is mirrored to it", route.name));
    }
    let has_weight = |level: &&UndoEntry| {
        let mut routes = level.spec.routes().iter();
        routes.any(|route| route.split.get(release).is_some_and(|weight| *weight > 0))
    };
    if let Some(level) = warm.iter().find(has_weight) {
        return Some(format!(
            "a rollback to revision {} would restore it",
            level.revision
        ));
    }
    (in_flight > 0).then(|| format!("{in_flight} requests are in flight on it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Revision, TableDocument};

    fn state(weights: &str) -> TableState {
        let document: TableDocument = serde_json::from_str(&format!(
            r#"{{"releases":{{
                "blue":{{"version":"1","endpoints":["http://127.0.0.1:1"]}},
                "green":{{"version":"1","endpoints":["http://127.0.0.1:2"]}}}},
              "routes":[{{"name":"chat","split":{weights}}}]}}"#
        ))
        .unwrap();
        document.into_state(&TableState::default())
    }

    fn level(weights: &str) -> UndoEntry {
        UndoEntry {
            revision: Revision(7),
            group: None,
            spec: state(weights).spec,
            compiled: None,
            superseded_at_ms: 0,
        }
    }

    #[test]
    fn a_release_is_removable_once_no_split_no_warm_level_and_no_request_needs_it() {
        let green = "green".parse().unwrap();
        let use_of = |live: &str, warm: &[UndoEntry], in_flight| {
            remaining_use(&state(live), &green, warm, in_flight)
        };
        let without = r#"{"blue":1}"#;
        assert_eq!(
            use_of(r#"{"blue":1,"green":0}"#, &[], 0).unwrap(),
            "it is in the split of `chat`, with weight 0"
        );
        assert_eq!(
            use_of(without, &[level(r#"{"blue":1,"green":1}"#)], 0).unwrap(),
            "a rollback to revision 7 would restore it"
        );
        assert_eq!(
            use_of(without, &[level(r#"{"blue":1,"green":0}"#)], 3).unwrap(),
            "3 requests are in flight on it"
        );
        assert_eq!(use_of(without, &[level(without)], 0), None);
    }
}
