//! Which tables can have answered a request: those that were live at some moment between its sending and its answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Instant,
};

use switchback::{api::Receipt, control::Controller, model::Revision};

use super::load::Seen;

/// One table: from when it may have been live, until when at the latest it may still have been used.
#[derive(Debug, Clone)]
struct Live {
    from: Instant,
    until: Option<Instant>,
    releases: BTreeSet<String>,
}

/// All tables of a test.
pub(crate) struct Timeline {
    tables: Mutex<(BTreeMap<Revision, Live>, BTreeSet<String>)>,
}

impl Timeline {
    pub(crate) fn new(first: Revision) -> Arc<Self> {
        let live = Live {
            from: Instant::now(),
            until: None,
            releases: ["blue".to_owned()].into(),
        };
        Arc::new(Self {
            tables: Mutex::new(([(first, live)].into(), BTreeSet::new())),
        })
    }

    /// Notes a change: its table may be live since `before`, and once the receipt is here, its parent cannot be used by
    /// any request that is not committed yet.
    pub(crate) fn note(&self, before: Instant, receipt: &Receipt, controller: &Controller) {
        let record = controller.revision(receipt.revision).unwrap();
        let route = record
            .table
            .routes
            .iter()
            .find(|route| route.name.as_str() == "chat")
            .unwrap();
        let weighed = route
            .split
            .iter()
            .filter(|(_, weight)| **weight > 0)
            .map(|(name, _)| name.to_string());
        let mut tables = self.tables.lock().unwrap();
        tables.1.insert(receipt.digest.to_string());
        if !receipt.changed {
            return;
        }
        tables.0.insert(
            receipt.revision,
            Live {
                from: before,
                until: None,
                releases: weighed.collect(),
            },
        );
        if receipt.converged_at.is_some() {
            let now = Instant::now();
            for (_, older) in tables.0.range_mut(..receipt.revision) {
                older.until.get_or_insert(now);
            }
        }
    }

    pub(crate) fn distinct_tables(&self) -> usize {
        self.tables.lock().unwrap().1.len()
    }

    /// Holds every answer against the tables that can have given it; says how many of them left no choice.
    pub(crate) fn judge(&self, seen: &Seen) -> usize {
        let tables = self.tables.lock().unwrap();
        let all: Vec<&Live> = tables.0.values().collect();
        let mut checked = 0;
        for answer in &seen.answers {
            let possible = all.iter().filter(|live| {
                live.from <= answer.received && live.until.is_none_or(|until| until >= answer.sent)
            });
            let releases: BTreeSet<&str> = possible
                .flat_map(|live| live.releases.iter().map(String::as_str))
                .collect();
            assert!(
                releases.contains(answer.release.as_str()),
                "{answer:?} can only come from {releases:?}"
            );
            checked += usize::from(releases.len() == 1);
        }
        checked
    }
}
