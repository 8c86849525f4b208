//! The way in which releases leave their routes, by the change that makes them.

use std::sync::Arc;

use crate::{
    history::StoredRevision,
    model::{Change, LeaveCause},
    table::{Departures, Leave, Transition},
};

/// The way in which releases leave their routes by a change; a batch has a cause for each of its routes.
pub(super) fn leave_by(change: &Change, cut: bool) -> Leave {
    let own = |one: &Change| Some((one.route()?.clone(), cause_of(one)));
    let by_route = || change.parts().iter().filter_map(own).collect();
    Leave {
        cause: cause_of(change),
        by_route: change.is_batch().then(|| Arc::new(by_route())),
        cut,
    }
}

/// The cause for which releases leave by a change and stay in the table.
fn cause_of(change: &Change) -> LeaveCause {
    match change {
        Change::Abort { .. } => LeaveCause::Rollback,
        Change::Promote { .. } | Change::Switch { .. } => LeaveCause::Switch,
        Change::RemoveRelease { .. } | Change::RemoveRoute { .. } => LeaveCause::Remove,
        Change::Batch { .. }
        | Change::PatchFlag { .. }
        | Change::PatchSplit { .. }
        | Change::PutFlag { .. }
        | Change::PutRelease { .. }
        | Change::PutRoute { .. }
        | Change::RemoveFlag { .. }
        | Change::Replace { .. }
        | Change::SetEndpoints { .. }
        | Change::SetFlagState { .. }
        | Change::SetPause { .. }
        | Change::SetPercents { .. }
        | Change::SetSplit { .. } => LeaveCause::Split,
    }
}

/// The departures of the last of these revisions, the earliest first: a restart forgets the work in flight, but not
/// which sessions a rollback has moved.
pub(super) fn departures<'a>(revisions: impl Iterator<Item = &'a StoredRevision>) -> Departures {
    let mut departures = Departures::default();
    let mut before: Option<&StoredRevision> = None;
    for kept in revisions.filter(|kept| kept.state.is_some()) {
        let earlier = before.and_then(|before| before.state.as_ref());
        if let (Some(earlier), Some(state)) = (earlier, &kept.state) {
            let record = &kept.record;
            let leave = match &record.change {
                _ if record.cause.is_rollback() => Leave::ROLLBACK,
                Some(change) => leave_by(change, false),
                None => Leave::SPLIT,
            };
            let leave = Leave {
                cut: record.cut,
                ..leave
            };
            departures = departures.after(&Transition {
                before: &earlier.spec,
                after: &state.spec,
                leave: &leave,
                revision: record.revision,
                now_ms: record.published_at_ms,
            });
        }
        before = Some(kept);
    }
    departures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::FullWeight,
        model::{
            Actor, Author, Cause, ChangeSet, ReleaseName, Revision, RevisionRecord, TableDocument,
            TableState, Version,
        },
    };

    /// A revision that gives blue this weight, and green the rest of one.
    fn revision(number: u64, blue: u32, cause: Cause, change: Option<&str>) -> StoredRevision {
        let document: TableDocument = serde_json::from_value(serde_json::json!({
            "releases": {
                "blue": {"endpoints": ["http://127.0.0.1:1"]},
                "green": {"endpoints": ["http://127.0.0.1:2"]},
            },
            "routes": [{"name": "chat", "split": {"blue": blue, "green": 1 - blue}}],
        }))
        .unwrap();
        let state = document.into_state(&TableState::default());
        let record = RevisionRecord {
            revision: Revision(number),
            parent: Revision(number - 1),
            undo_to: None,
            published_at_ms: number * 1_000,
            author: Author {
                actor: Actor::Api,
                name: "test".to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause,
            digest: state.spec.digest(),
            change: change.map(|text| serde_json::from_str(text).unwrap()),
            request: None,
            cut: false,
            shared: None,
        };
        StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            touched: ChangeSet::default(),
            state: Some(state),
        }
    }

    #[test]
    fn a_restart_knows_which_release_left_for_which_cause() {
        let switch = r#"{"kind":"switch","route":"chat","to":"green"}"#;
        let (blue, green): (ReleaseName, ReleaseName) =
            ("blue".parse().unwrap(), "green".parse().unwrap());
        let mut kept = vec![
            revision(1, 1, Cause::Import, None),
            revision(2, 0, Cause::Publish, Some(switch)),
        ];
        let of = |kept: &[StoredRevision], release| {
            let departures = departures(kept.iter());
            let departure = departures.of(0, release, &Version::default());
            departure.map(|one| (one.cause(), one.moves_session(3_000)))
        };
        assert_eq!(of(&kept, &blue), Some((LeaveCause::Switch, false)));
        assert_eq!(of(&kept, &green), None);
        Arc::make_mut(&mut kept[1].record).cut = true;
        let cut = Some((LeaveCause::Switch, true));
        assert_eq!(of(&kept, &blue), cut, "sessions of what was cut move");
        kept.push(revision(3, 1, Cause::Rollback { to: Revision(1) }, None));
        assert_eq!(of(&kept, &blue), None);
        assert_eq!(of(&kept, &green), Some((LeaveCause::Rollback, true)));
    }
}
