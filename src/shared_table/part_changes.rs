//! The last revision of a fleet that may have changed each part of the table, as far as a node has followed it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::TablePart;

/// Most parts that are noted one by one; then all count as changed by the latest revision.
const MOST: usize = 20_000;

/// The last change of each part.
#[derive(Debug, Default)]
pub struct PartChanges {
    // What is not noted was not changed after this revision.
    begin: u64,
    last: BTreeMap<TablePart, u64>,
}

impl PartChanges {
    /// Knows of no change after this revision, and nothing of those before.
    pub fn begin(&mut self, revision: u64) {
        self.begin = revision;
        self.last.clear();
    }

    /// Notes what the next revision changes.
    pub fn note(&mut self, revision: u64, parts: &BTreeSet<TablePart>) {
        if self.last.len() + parts.len() > MOST {
            self.begin(revision);
            return;
        }
        let noted = parts.iter().map(|part| (part.clone(), revision));
        self.last.extend(noted);
    }

    /// Revision since which a part is certainly unchanged.
    pub fn unchanged_since(&self, part: &TablePart) -> u64 {
        self.last.get(part).copied().unwrap_or(self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_as_changed_by_the_last_revision_that_may_have_changed_it() {
        let route = |name: &str| TablePart::Route(name.parse().unwrap());
        let parts = |names: &[&str]| names.iter().copied().map(route).collect();
        let mut changes = PartChanges::default();
        changes.begin(5);
        changes.note(6, &parts(&["chat"]));
        changes.note(7, &parts(&["tools"]));
        changes.note(9, &parts(&["chat"]));
        let since = |name: &str| changes.unchanged_since(&route(name));
        assert_eq!((since("chat"), since("tools"), since("search")), (9, 7, 5));
    }

    #[test]
    fn what_is_noted_is_bounded_and_never_too_early() {
        let mut changes = PartChanges::default();
        for number in 1..=30_000_u64 {
            let part = TablePart::Route(format!("r{number}").parse().unwrap());
            changes.note(number, &[part.clone()].into());
            assert!(changes.unchanged_since(&part) >= number);
        }
        assert!(changes.last.len() <= MOST);
    }
}
