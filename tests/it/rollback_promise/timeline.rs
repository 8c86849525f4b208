//! The tables that can have served a request: those that were live at some moment between its sending and its response.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use switchback::{
    api::Receipt,
    model::{Digest, Revision},
    table::RoutingTable,
};

use super::load::Seen;

/// One table: the earliest time at which it may have been live, and the latest at which it may have been used.
#[derive(Debug, Clone)]
struct Live {
    from: Instant,
    until: Option<Instant>,
    digest: String,
}

#[derive(Debug, Default)]
struct Records {
    tables: BTreeMap<Revision, Live>,
    // By digest: the releases with a weight. A rollback restores what some publish made.
    releases: BTreeMap<String, BTreeSet<&'static str>>,
}

/// All tables of a test.
pub(crate) struct Timeline(Mutex<Records>);

impl Timeline {
    /// A timeline that begins with the live table, in which blue has all traffic.
    pub(crate) fn new(first: &RoutingTable) -> Arc<Self> {
        let mut records = Records::default();
        let digest = first.digest().to_string();
        records.releases.insert(digest.clone(), ["blue"].into());
        let (from, until) = (Instant::now(), None);
        records.tables.insert(
            first.revision(),
            Live {
                from,
                until,
                digest,
            },
        );
        Arc::new(Self(Mutex::new(records)))
    }

    /// Sets the releases that have a weight in the tables of a digest.
    pub(crate) fn learn(&self, digest: Digest, releases: BTreeSet<&'static str>) {
        self.0
            .lock()
            .unwrap()
            .releases
            .insert(digest.to_string(), releases);
    }

    /// Records a change: its table may be live since `before`, and once the receipt is there, no older one is used by a
    /// request that is not committed yet.
    pub(crate) fn note(&self, before: Instant, receipt: &Receipt) {
        if !receipt.changed {
            return;
        }
        let mut records = self.0.lock().unwrap();
        let (until, digest) = (None, receipt.digest.to_string());
        let live = Live {
            from: before,
            until,
            digest,
        };
        records.tables.insert(receipt.revision, live);
        if receipt.converged_at.is_some() {
            let now = Instant::now();
            for (_, older) in records.tables.range_mut(..receipt.revision) {
                older.until.get_or_insert(now);
            }
        }
    }

    pub(crate) fn distinct_tables(&self) -> usize {
        self.0.lock().unwrap().releases.len()
    }

    /// Compares every response with the tables that can have served it; returns the number of those that left no
    /// choice.
    pub(crate) fn validate(&self, seen: &Seen) -> usize {
        let records = self.0.lock().unwrap();
        let tables: Vec<&Live> = records.tables.values().collect();
        let mut answers: Vec<_> = seen.answers.iter().collect();
        answers.sort_by_key(|answer| answer.sent);
        let (mut first, mut checked) = (0, 0);
        for answer in answers {
            let is_over = |live: &Live| live.until.is_some_and(|until| until < answer.sent);
            // A table ends no later than the next one, so what is over for this response is over for all that follow.
            while is_over(tables[first]) {
                first += 1;
            }
            // Two writers may begin their changes in another order than they end them, but never this far apart.
            let near = tables[first..]
                .iter()
                .take_while(|live| live.from <= answer.received + Duration::from_millis(100));
            let possible = near.filter(|live| live.from <= answer.received && !is_over(live));
            let releases: BTreeSet<&str> = possible
                .flat_map(|live| records.releases[&live.digest].iter().copied())
                .collect();
            let is_possible = releases.contains(answer.release.as_str());
            assert!(is_possible, "{answer:?} can only come from {releases:?}");
            checked += usize::from(releases.len() == 1);
        }
        checked
    }
}
