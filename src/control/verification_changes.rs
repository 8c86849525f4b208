//! Other changes of late: where to look when a rollback has not helped.

use super::{
    revision_log::RevisionLog, verification_record::VerificationRecord,
    verification_registry::is_of_drill,
};
use crate::{
    api::{OtherChange, OtherChangeKind, Timestamp},
    fleet::{Endpoint, Fleet, Health},
    history::StoredRevision,
    model::{ChangeSet, ReleaseName},
};

/// Milliseconds before a rollback that are lately.
const LATELY_MS: u64 = 3_600_000;
/// Most revisions, and most endpoints, that are named.
const MOST: usize = 10;
/// Most routes and releases that are named of a revision.
const MOST_NAMES: usize = 3;

/// The other changes of the hour before a rollback, the latest first, then the endpoints that cannot be used.
pub(super) fn other_changes(
    record: &VerificationRecord,
    log: &RevisionLog,
    fleet: &Fleet,
    opened_at: Timestamp,
) -> Vec<OtherChange> {
    let since = record.started_at.millis().saturating_sub(LATELY_MS);
    let mut changes = revisions(record, log, since);
    if opened_at.millis() >= since {
        changes.push(OtherChange {
            kind: OtherChangeKind::Restart,
            at: Some(opened_at),
            words: format!("switchback was started at {opened_at}"),
        });
    }
    changes.extend(endpoints(record, fleet));
    changes
}

fn revisions(record: &VerificationRecord, log: &RevisionLog, since: u64) -> Vec<OtherChange> {
    let index = log.index();
    let kept = index.kept().values().rev();
    let lately = kept.take_while(|kept| kept.record.published_at_ms >= since);
    let others = lately.filter(|kept| {
        let revision = kept.record.revision;
        let is_own = revision == record.revision || record.own_revisions.contains(&revision);
        kept.state.is_some() && !is_own && !is_of_drill(&kept.record)
    });
    others.take(MOST).map(revision).collect()
}

fn revision(kept: &StoredRevision) -> OtherChange {
    let record = &kept.record;
    let at = Timestamp::from_millis(record.published_at_ms);
    let message = record.author.message.as_deref();
    let message = message.map_or_else(String::new, |message| format!(", {message:?}"));
    OtherChange {
        kind: OtherChangeKind::Revision,
        at: Some(at),
        words: format!(
            "revision {} at {at} by {} ({}{}{message})",
            record.revision,
            record.author.name,
            record.cause.as_str(),
            touched(&kept.touched)
        ),
    }
}

fn touched(touched: &ChangeSet) -> String {
    let routes = touched.routes.iter().map(|name| format!(" route {name}"));
    let releases = touched
        .releases
        .iter()
        .map(|name| format!(" release {name}"));
    let all: Vec<_> = routes.chain(releases).collect();
    let more = all.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let named: String = all.into_iter().take(MOST_NAMES).collect();
    format!("{named}{more}")
}

fn endpoints(record: &VerificationRecord, fleet: &Fleet) -> Vec<OtherChange> {
    let shares = record.routes.iter().flat_map(|case| &case.shares);
    let releases: Vec<_> = shares.map(|(key, _)| key).collect();
    let watched = fleet.watched();
    let serving = watched.iter().filter(|one| {
        let (release, version) = (one.roster.release(), one.roster.version());
        releases
            .iter()
            .any(|key| key.0 == *release && key.1 == *version)
    });
    let endpoints = serving.flat_map(|one| {
        let is_checked = one.spec.health.is_some();
        let all = one.roster.endpoints().to_vec();
        let release = one.roster.release().clone();
        all.into_iter()
            .filter_map(move |endpoint| unusable(&endpoint, &release, is_checked))
    });
    endpoints.take(MOST).collect()
}

fn unusable(endpoint: &Endpoint, release: &ReleaseName, is_checked: bool) -> Option<OtherChange> {
    let state = if is_checked && endpoint.health() == Health::Unhealthy {
        "unhealthy"
    } else if endpoint.ejected().is_some() {
        "ejected"
    } else {
        return None;
    };
    Some(OtherChange {
        kind: OtherChangeKind::Endpoint,
        at: None,
        words: format!("endpoint {} of {release} is {state}", endpoint.url()),
    })
}
