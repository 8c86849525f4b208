//! The drift: the difference of the live table from the configuration file.

use std::sync::{Arc, Mutex, PoisonError};

use super::revision_log::RevisionLog;
use crate::{
    api::Drift,
    model::{Diff, Revision, Rosters, TableDocument, TableState},
    table::RoutingTable,
};

/// The last drift that was computed. It is computed once for each pair of live table and file.
#[derive(Debug, Default)]
pub(super) struct DriftCache(Mutex<Option<Arc<Computed>>>);

/// A drift and its inputs.
#[derive(Debug)]
struct Computed {
    live: Revision,
    imported: Arc<TableDocument>,
    // The state of the file beside these rosters: it is made from the document again only when one of the two changes.
    file: TableState,
    rosters: Arc<Rosters>,
    drift: Drift,
}

impl DriftCache {
    /// The drift of the live table from the file that was last imported, or was read since and refused.
    pub(super) fn get(&self, live: &RoutingTable, log: &RevisionLog) -> Drift {
        let (imported, refused) = {
            let index = log.index();
            (index.imported.clone(), index.refused.clone())
        };
        let is_refused = refused.is_some();
        let Some(imported) = refused.or(imported) else {
            return Drift::default();
        };
        // Held to copy a pointer, not while entries are compared: every change looks at the drift, too.
        let cache = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache().clone();
        let known = known.filter(|known| Arc::ptr_eq(&known.imported, &imported));
        if let Some(known) = &known
            && known.live == live.revision()
        {
            return known.drift.clone();
        }
        let state = live.state();
        let known = known.filter(|known| Arc::ptr_eq(&known.rosters, &state.rosters));
        let file = known.map(|known| known.file.clone());
        let file = file.unwrap_or_else(|| (*imported).clone().into_state(&state));
        let drift = Drift {
            refused: is_refused,
            ..drift_between(&file, &state)
        };
        *cache() = Some(Arc::new(Computed {
            live: live.revision(),
            imported,
            file,
            rosters: state.rosters,
            drift: drift.clone(),
        }));
        drift
    }
}

fn drift_between(file: &TableState, live: &TableState) -> Drift {
    let diff = Diff::between(file, live);
    Drift {
        imported: true,
        drifted: !diff.is_empty(),
        refused: false,
        changes: diff.0.len(),
        diff,
    }
}
