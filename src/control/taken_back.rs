//! Releases that are put in quarantine and lifted, and those that a rollback by hand has taken back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{ControlError, Controller, clock::now};
use crate::{
    api::QuarantinedRelease,
    history::StoredRevision,
    model::{Actor, ChangeError, Growth, ReleaseName, RevisionRecord, TableSpec, Version},
};

/// Longest time that a rollback waits for its entries to be written.
const SOON: Duration = Duration::from_millis(500);

impl Controller {
    /// The releases in quarantine, the latest first.
    pub fn quarantined(&self) -> Arc<Vec<QuarantinedRelease>> {
        self.quarantine.all()
    }

    /// Puts the live version of a release in quarantine. `false` if it holds, and is not known to be on the disk.
    ///
    /// # Errors
    /// When there is no such release.
    pub async fn put_in_quarantine(
        &self,
        release: ReleaseName,
        reason: String,
        by: String,
    ) -> Result<(QuarantinedRelease, bool), ControlError> {
        let state = self.table.load().state();
        let Some(spec) = state.spec.release(&release) else {
            let error = ChangeError::UnknownRelease {
                name: release.to_string(),
                known: state.spec.releases().keys().cloned().collect(),
            };
            return Err(error.into());
        };
        let entry = QuarantinedRelease {
            release,
            version: spec.version.clone(),
            reason,
            by,
            since: now(),
        };
        self.quarantine.put(entry.clone());
        let is_saved = self.quarantine.save(self.settings.durable_within).await;
        Ok((entry, is_saved))
    }

    /// Lifts the quarantine of a release, or of one version of it, and returns what was lifted. `false` if it is lifted,
    /// and not known to be on the disk.
    pub async fn lift_quarantine(
        &self,
        release: &ReleaseName,
        version: Option<&Version>,
        by: &str,
    ) -> (Vec<QuarantinedRelease>, bool) {
        let lifted = self.quarantine.lift(release, version);
        for entry in &lifted {
            tracing::info!(
                target: "audit",
                release = %entry.release, version = %entry.version, name = by, "a quarantine is lifted"
            );
            self.events.publish(super::event_bodies::lifted(entry, by));
        }
        let is_saved =
            lifted.is_empty() || self.quarantine.save(self.settings.durable_within).await;
        (lifted, is_saved)
    }

    /// Puts in quarantine what a rollback of an operator has taken back: each version that had requests on a route that
    /// it changed, and has none on any now. True if there is one. To be called at once: a rollout must not give it
    /// requests meanwhile.
    pub(super) fn quarantine_taken_back(&self, record: &RevisionRecord) -> bool {
        if record.author.actor == Actor::System {
            return false;
        }
        let taken = {
            let index = self.log.index();
            let spec = |kept: Option<&StoredRevision>| Some(kept?.state.as_ref()?.spec.clone());
            let (before, after) = (index.get(record.parent), index.get(record.revision));
            spec(before).zip(spec(after))
        };
        let mut taken = taken.map_or_else(Vec::new, |(before, after)| taken_back(&before, &after));
        // A drill that is ended by it had given the predecessor some requests, which is no worse for it.
        let drill = self.drills.changing_split();
        let drilled = drill.as_ref().and_then(|drill| drill.trial.as_ref());
        taken.retain(|release| drilled.is_none_or(|trial| trial.to != *release));
        if taken.is_empty() {
            return false;
        }
        let why = record.author.message.as_deref();
        let why = why.filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        for (release, version) in taken {
            self.quarantine.put(QuarantinedRelease {
                release,
                version,
                reason: format!("rolled back by revision {}{why}", record.revision),
                by: record.author.name.clone(),
                since: now(),
            });
        }
        true
    }

    /// Writes the quarantine where something was added by a rollback, which waits for no disk: it is late in the log then,
    /// and with the next entry on the disk.
    pub(super) async fn save_quarantine(&self, is_taken: bool) {
        if is_taken {
            self.quarantine.save(SOON).await;
        }
    }
}

/// The versions with requests in one table, on a route where they have a smaller share in the other, that have none there
/// on any route.
fn taken_back(before: &TableSpec, after: &TableSpec) -> Vec<(ReleaseName, Version)> {
    let shrunk = Growth::between(after, before);
    let names: BTreeSet<_> = shrunk.iter().flat_map(|growth| &growth.releases).collect();
    let versions = names.into_iter().filter_map(|name| {
        let version = before.release(name)?.version.clone();
        let is_same = after
            .release(name)
            .is_some_and(|spec| spec.version == version);
        (!is_same || !has_weight(after, name)).then(|| (name.clone(), version))
    });
    versions.collect()
}

fn has_weight(spec: &TableSpec, release: &ReleaseName) -> bool {
    let mut splits = spec.routes().iter().map(|route| &route.split);
    splits.any(|split| split.get(release).is_some_and(|weight| *weight > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::quarantine::tests::table;

    fn taken(before: &TableSpec, after: &TableSpec) -> Vec<String> {
        let taken = taken_back(before, after);
        taken
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect()
    }

    #[test]
    fn what_has_no_requests_any_more_was_taken_back() {
        let both = [("blue", "1"), ("green", "2")];
        let whole = table(&both, &[("chat", &[("blue", 1), ("green", 0)])]);
        let split = table(&both, &[("chat", &[("blue", 50), ("green", 50)])]);
        let less = table(&both, &[("chat", &[("blue", 95), ("green", 5)])]);
        assert_eq!(taken(&split, &whole), ["green 2"]);
        assert_eq!(taken(&split, &less), [""; 0], "it still has some");
        assert_eq!(taken(&whole, &split), [""; 0], "it gets more");
        // It still has those of another route.
        let two =
            |chat: [(&str, u32); 2]| table(&both, &[("chat", &chat), ("tools", &[("green", 1)])]);
        let (before, after) = (
            two([("blue", 0), ("green", 1)]),
            two([("blue", 1), ("green", 0)]),
        );
        assert_eq!(taken(&before, &after), [""; 0]);
        // Another version of it.
        let old = table(&[("green", "1")], &[("chat", &[("green", 1)])]);
        let new = table(&[("green", "2")], &[("chat", &[("green", 1)])]);
        assert_eq!(taken(&new, &old), ["green 2"]);
    }
}
