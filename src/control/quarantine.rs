//! The quarantine: versions of releases that were taken back, beside the history.
//!
//! A rollback takes effect before its entry is made, so that none is refused or kept waiting by it. An entry holds until
//! it is lifted; a new version of the release is another release.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    ControlError, clock::now, event_bodies, event_hub::EventHub, quarantine_marks::QuarantineMarks,
    saved_file::SavedFile,
};
use crate::{
    api::QuarantinedRelease,
    history::BesideFiles,
    model::{Growth, ReleaseName, TableSpec, Version},
};

/// Name of the file in the folder of the history.
const FILE: &str = "quarantine.json";
/// The entries, the latest first.
#[derive(Debug)]
pub(super) struct Quarantine {
    marks: Mutex<QuarantineMarks>,
    changed: Notify,
    file: SavedFile,
    events: Arc<EventHub>,
}

impl Quarantine {
    /// The quarantine that was saved in the folder of the history.
    pub(super) fn open(files: &Arc<BesideFiles>, events: &Arc<EventHub>) -> Self {
        let file = SavedFile::new(files, FILE);
        let entries: Vec<QuarantinedRelease> = file.read();
        Self {
            marks: Mutex::new(entries.into()),
            changed: Notify::new(),
            file,
            events: Arc::clone(events),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves each list whole.
    fn lock(&self) -> MutexGuard<'_, QuarantineMarks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All entries, the latest first.
    pub(super) fn all(&self) -> Arc<Vec<QuarantinedRelease>> {
        Arc::clone(&self.lock().entries)
    }

    /// Entries and lifted ones, as the nodes of a fleet tell each other.
    pub(super) fn marks(&self) -> QuarantineMarks {
        self.lock().clone()
    }

    /// Takes in what the other nodes of a fleet know. True if that is news.
    pub(super) fn take_in(&self, other: &QuarantineMarks) -> bool {
        let mut marks = self.lock();
        let joined = marks.joined(other);
        let is_news = joined != *marks;
        *marks = joined;
        is_news
    }

    /// Waits until something was put in quarantine or lifted on this node.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The entry of a version, if there is one.
    pub(super) fn find(
        &self,
        release: &ReleaseName,
        version: &Version,
    ) -> Option<QuarantinedRelease> {
        let all = self.all();
        let is_it =
            |entry: &&QuarantinedRelease| entry.release == *release && entry.version == *version;
        all.iter().find(is_it).cloned()
    }

    /// Adds an entry, in place of an earlier one of the same version.
    pub(super) fn put(&self, entry: QuarantinedRelease) {
        tracing::warn!(
            target: "audit",
            release = %entry.release, version = %entry.version, name = entry.by, reason = entry.reason,
            "a release is in quarantine"
        );
        self.events.publish(event_bodies::quarantine(&entry));
        self.lock().put(entry);
        self.changed.notify_one();
    }

    /// Removes the entries of a release, or of one version of it, and returns them.
    pub(super) fn lift(
        &self,
        release: &ReleaseName,
        version: Option<&Version>,
    ) -> Vec<QuarantinedRelease> {
        let lifted = self.lock().lift(release, version, now());
        self.changed.notify_one();
        lifted
    }

    /// Writes the entries, and waits for it at most so long. `false`, with an error in the log, if they are not known to
    /// be written.
    pub(super) async fn save(&self, within: Duration) -> bool {
        self.file.write(|| self.all().to_vec(), within).await
    }

    /// Refuses a table that gives a larger share to a release in quarantine.
    pub(super) fn check(&self, before: &TableSpec, after: &TableSpec) -> Result<(), ControlError> {
        if self.all().is_empty() {
            return Ok(());
        }
        let growth = Growth::between(before, after);
        let growing = growth.iter().flat_map(|growth| &growth.releases);
        let mut kept = growing.filter_map(|name| self.find(name, &after.release(name)?.version));
        kept.next().map_or(Ok(()), |entry| {
            Err(ControlError::Quarantined(Box::new(entry)))
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        control::quarantine_marks::MOST,
        model::{TableDocument, TableState},
    };

    pub(in crate::control) fn table(
        releases: &[(&str, &str)],
        routes: &[(&str, &[(&str, u32)])],
    ) -> TableSpec {
        let releases = releases.iter().map(|(name, version)| {
            let release =
                serde_json::json!({ "version": version, "endpoints": ["http://127.0.0.1:1"] });
            ((*name).to_owned(), release)
        });
        let routes = routes.iter().map(|(name, split)| {
            let split = split.iter().map(|(name, weight)| (*name, *weight));
            serde_json::json!({ "name": name, "path_prefix": format!("/{name}"),
                "split": split.collect::<std::collections::BTreeMap<_, _>>() })
        });
        let document = serde_json::json!({
            "releases": releases.collect::<serde_json::Map<_, _>>(), "routes": routes.collect::<Vec<_>>(),
        });
        let table: TableDocument = serde_json::from_value(document).unwrap();
        let replaced = crate::model::Change::Replace { table };
        replaced
            .apply_to(&TableState::default())
            .unwrap()
            .state
            .spec
    }

    #[test]
    fn a_larger_share_is_refused_until_the_entry_is_lifted_or_the_version_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine =
            Quarantine::open(&Arc::new(BesideFiles::here(folder.path())), &Arc::default());
        let green = |version: &str, weight| {
            table(
                &[("blue", "1"), ("green", version)],
                &[("chat", &[("blue", 9), ("green", weight)])],
            )
        };
        let entry = |version: &str| QuarantinedRelease {
            release: "green".parse().unwrap(),
            version: Version::new(version).unwrap(),
            reason: "test".to_owned(),
            by: "test".to_owned(),
            since: now(),
        };
        quarantine.put(entry("2"));
        quarantine.put(entry("2"));
        quarantine.put(entry("1"));
        assert_eq!(quarantine.all().len(), 2);
        let refusal = quarantine
            .check(&green("2", 1), &green("2", 2))
            .unwrap_err();
        assert!(
            refusal.to_string().contains("`green` in version `2`"),
            "{refusal}"
        );
        quarantine.check(&green("2", 2), &green("2", 1)).unwrap();
        quarantine.check(&green("2", 1), &green("3", 2)).unwrap();
        let green_name = "green".parse().unwrap();
        assert_eq!(
            quarantine
                .lift(&green_name, Some(&Version::new("2").unwrap()))
                .len(),
            1
        );
        quarantine.check(&green("2", 1), &green("2", 2)).unwrap();
        let lifted = quarantine.lift(&green_name, None);
        assert_eq!(
            lifted
                .iter()
                .map(|entry| entry.version.as_str())
                .collect::<Vec<_>>(),
            ["1"]
        );
        assert!(quarantine.all().is_empty());
    }

    #[test]
    fn the_earliest_entries_are_dropped_beyond_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine =
            Quarantine::open(&Arc::new(BesideFiles::here(folder.path())), &Arc::default());
        let entry = |number: usize| QuarantinedRelease {
            release: "green".parse().unwrap(),
            version: Version::new(&number.to_string()).unwrap(),
            reason: "test".to_owned(),
            by: "test".to_owned(),
            since: now(),
        };
        (0..=MOST).for_each(|number| quarantine.put(entry(number)));
        let all = quarantine.all();
        assert_eq!(all.len(), MOST);
        assert_eq!(all[0].version.as_str(), MOST.to_string());
        assert_eq!(all[MOST - 1].version.as_str(), "1");
    }
}
