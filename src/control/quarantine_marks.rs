//! The versions in quarantine, and those that were lifted lately, so that nodes can tell each other.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    api::{QuarantinedRelease, Timestamp},
    model::{ReleaseName, Version},
};

/// Largest number of entries, and of lifted ones; the earliest are dropped.
pub(super) const MOST: usize = 1_000;

/// The entries, and those that were lifted, each the latest first. A version is in one of the two at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QuarantineMarks {
    pub(super) entries: Arc<Vec<QuarantinedRelease>>,
    #[serde(default)]
    lifted: Vec<LiftedRelease>,
}

/// A version that is in quarantine no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LiftedRelease {
    release: ReleaseName,
    version: Version,
    at: Timestamp,
}

type Key<'a> = (&'a ReleaseName, &'a Version);

/// The latest that is known of a version: the time, and true if it is in quarantine since then.
type Latest = (Timestamp, bool);

impl From<Vec<QuarantinedRelease>> for QuarantineMarks {
    fn from(entries: Vec<QuarantinedRelease>) -> Self {
        Self {
            entries: Arc::new(entries),
            lifted: Vec::new(),
        }
    }
}

impl QuarantineMarks {
    /// With an entry, in place of an earlier one of the same version.
    pub(super) fn put(&mut self, entry: QuarantinedRelease) {
        let is_other =
            |(release, version): Key<'_>| *release != entry.release || *version != entry.version;
        self.lifted
            .retain(|one| is_other((&one.release, &one.version)));
        let entries = Arc::make_mut(&mut self.entries);
        entries.retain(|one| is_other((&one.release, &one.version)));
        entries.insert(0, entry);
        entries.truncate(MOST);
    }

    /// Without the entries of a release, or of one version of it, which are returned.
    pub(super) fn lift(
        &mut self,
        release: &ReleaseName,
        version: Option<&Version>,
        at: Timestamp,
    ) -> Vec<QuarantinedRelease> {
        let is_lifted = |entry: &QuarantinedRelease| {
            entry.release == *release && version.is_none_or(|version| entry.version == *version)
        };
        let entries = Arc::make_mut(&mut self.entries);
        let lifted: Vec<_> = entries.extract_if(.., |entry| is_lifted(entry)).collect();
        let marks = lifted.iter().map(|entry| LiftedRelease {
            release: entry.release.clone(),
            version: entry.version.clone(),
            // The clock of the node that made the entry may be ahead.
            at: at.max(Timestamp::from_millis(entry.since.millis() + 1)),
        });
        self.lifted.splice(0..0, marks);
        self.lifted.truncate(MOST);
        lifted
    }

    /// The latest of both of each version; in doubt it is in quarantine.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let mut latest: BTreeMap<Key<'_>, Latest> = BTreeMap::new();
        for (key, mark) in self.marks().chain(other.marks()) {
            let known = latest.entry(key).or_insert(mark);
            *known = (*known).max(mark);
        }
        let both = self.entries.iter().chain(&*other.entries);
        let mut entries: Vec<_> = both
            .filter(|one| latest.get(&(&one.release, &one.version)) == Some(&(one.since, true)))
            .cloned()
            .collect();
        entries.sort_by(|one, other| order(one).cmp(&order(other)));
        entries.dedup_by(|one, other| {
            (&one.release, &one.version) == (&other.release, &other.version)
        });
        let both = self.lifted.iter().chain(&other.lifted);
        let mut lifted: Vec<_> = both
            .filter(|one| latest.get(&(&one.release, &one.version)) == Some(&(one.at, false)))
            .cloned()
            .collect();
        lifted.sort_by(|one, other| {
            let key = |one: &LiftedRelease| (one.release.clone(), one.version.clone());
            other
                .at
                .cmp(&one.at)
                .then_with(|| key(one).cmp(&key(other)))
        });
        lifted.dedup();
        entries.truncate(MOST);
        lifted.truncate(MOST);
        Self {
            entries: Arc::new(entries),
            lifted,
        }
    }

    fn marks(&self) -> impl Iterator<Item = (Key<'_>, Latest)> {
        let entries = self.entries.iter();
        let entries = entries.map(|one| ((&one.release, &one.version), (one.since, true)));
        let lifted = self.lifted.iter();
        entries.chain(lifted.map(|one| ((&one.release, &one.version), (one.at, false))))
    }
}

/// The latest first; of the same time in one order on all nodes.
fn order(
    entry: &QuarantinedRelease,
) -> (
    std::cmp::Reverse<Timestamp>,
    &ReleaseName,
    &Version,
    &str,
    &str,
) {
    let QuarantinedRelease {
        release,
        version,
        reason,
        by,
        since,
    } = entry;
    (std::cmp::Reverse(*since), release, version, by, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: &str, since: u64, by: &str) -> QuarantinedRelease {
        QuarantinedRelease {
            release: "green".parse().unwrap(),
            version: Version::new(version).unwrap(),
            reason: "test".to_owned(),
            by: by.to_owned(),
            since: Timestamp::from_millis(since),
        }
    }

    fn versions(marks: &QuarantineMarks) -> Vec<&str> {
        let entries = marks.entries.iter();
        entries.map(|one| one.version.as_str()).collect()
    }

    #[test]
    fn of_two_nodes_the_later_word_on_a_version_holds_in_either_order() {
        let (mut a, mut b) = (QuarantineMarks::default(), QuarantineMarks::default());
        a.put(entry("1", 10, "a"));
        a.put(entry("2", 20, "a"));
        b.put(entry("2", 30, "b"));
        let both = a.joined(&b);
        assert_eq!(both, b.joined(&a));
        assert_eq!(versions(&both), ["2", "1"]);
        assert_eq!(both.entries[0].by, "b");
        assert_eq!(both.joined(&a), both);
        // Lifted by a node whose clock is behind.
        let mut c = both.clone();
        let green = "green".parse().unwrap();
        assert_eq!(c.lift(&green, None, Timestamp::from_millis(5)).len(), 2);
        let lifted = both.joined(&c);
        assert_eq!((versions(&lifted), &lifted), (vec![], &c.joined(&both)));
        // Again in quarantine after that.
        a.put(entry("1", 40, "a"));
        assert_eq!(versions(&lifted.joined(&a)), ["1"]);
    }

    #[test]
    fn at_the_same_time_it_is_in_quarantine_and_the_same_on_all_nodes() {
        let (mut a, mut b) = (QuarantineMarks::default(), QuarantineMarks::default());
        a.put(entry("1", 9, "a"));
        let green = "green".parse().unwrap();
        a.lift(&green, None, Timestamp::from_millis(10));
        b.put(entry("1", 10, "b"));
        assert_eq!(
            (versions(&a.joined(&b)), a.joined(&b)),
            (vec!["1"], b.joined(&a))
        );
        let mut c = QuarantineMarks::default();
        c.put(entry("1", 10, "c"));
        assert_eq!(b.joined(&c), c.joined(&b));
    }
}
