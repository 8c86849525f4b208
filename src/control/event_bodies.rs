//! Events of what the controller does: each is published where the audit log is written.

use std::collections::BTreeSet;

use super::rollout_record::{self, RolloutRecord};
use crate::{
    api::{Drill, EventBody, QuarantinedRelease, Verification},
    model::{ChangeSet, HookEvent, RevisionRecord},
};

/// Most names of each kind in the event of a revision.
const MOST_NAMES: usize = 16;

/// The event of a revision that is live.
pub(super) fn revision(record: &RevisionRecord, touched: &ChangeSet, changes: usize) -> EventBody {
    EventBody::Revision {
        revision: record.revision,
        parent: record.parent,
        cause: record.cause.as_str().to_owned(),
        author: record.author.name.clone(),
        message: record.author.message.clone(),
        routes: first(&touched.routes),
        releases: first(&touched.releases),
        flags: first(&touched.flags),
        changes,
    }
}

fn first<T: Clone>(names: &BTreeSet<T>) -> Vec<T> {
    names.iter().take(MOST_NAMES).cloned().collect()
}

/// An event of a rollout.
pub(super) fn rollout(record: &RolloutRecord, event: HookEvent) -> EventBody {
    let verdict = record.tracks.verdict();
    let releases = record.tracks.canaries().into_iter();
    EventBody::Rollout {
        rollout: record.id.clone(),
        routes: record.tracks.routes(),
        releases: releases.map(|(name, _)| name.clone()).collect(),
        event: event.as_str().to_owned(),
        state: rollout_record::state(record.machine.state()),
        paused_for: record.machine.pause().map(rollout_record::pause),
        verdict: verdict.map(|verdict| verdict.words),
    }
}

/// The end of a verification.
pub(super) fn verification(shown: &Verification) -> EventBody {
    EventBody::Verification {
        revision: shown.revision,
        verdict: shown.verdict,
        words: shown.words.clone(),
    }
}

/// The end of a drill.
pub(super) fn drill(drill: &Drill) -> EventBody {
    EventBody::Drill {
        drill: drill.id.clone(),
        route: drill.route.clone(),
        state: drill.state,
        failures: drill.failures.clone(),
    }
}

/// A release that is in quarantine.
pub(super) fn quarantine(entry: &QuarantinedRelease) -> EventBody {
    EventBody::Quarantine {
        release: entry.release.clone(),
        version: entry.version.clone(),
        lifted: false,
        by: entry.by.clone(),
        reason: entry.reason.clone(),
    }
}

/// The end of a quarantine.
pub(super) fn lifted(entry: &QuarantinedRelease, by: &str) -> EventBody {
    EventBody::Quarantine {
        release: entry.release.clone(),
        version: entry.version.clone(),
        lifted: true,
        by: by.to_owned(),
        reason: entry.reason.clone(),
    }
}
