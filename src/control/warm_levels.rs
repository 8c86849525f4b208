//! The levels of the undo stack that are kept warm: compiled, checked and connected, so that a rollback to one of them
//! waits for nothing.

use std::{collections::HashSet, time::Duration};

use super::{clock::now_ms, recompile::ensure_compiled, settings::Settings, watch_set::ReleaseKey};
use crate::{
    fleet::Fleet,
    table::{LiveTable, UndoEntry},
};

/// Limits on which levels are kept warm.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarmLevels {
    most: usize,
    longest: Duration,
}

impl WarmLevels {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            most: settings.warm_revisions,
            longest: settings.warm_for,
        }
    }

    /// True if a level is kept warm. `distance` counts from the live revision, 0 for the level below it.
    fn is_warm(self, distance: usize, superseded_at_ms: u64, now_ms: u64) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(superseded_at_ms));
        distance < self.most && age < self.longest
    }

    /// The levels that are kept warm, the nearest first.
    pub(super) fn list(self, table: &LiveTable) -> Vec<UndoEntry> {
        let now = now_ms();
        let near = table.nearest_levels(self.most).into_iter().enumerate();
        near.filter(|(distance, level)| self.is_warm(*distance, level.superseded_at_ms, now))
            .map(|(_, level)| level)
            .collect()
    }

    /// The releases of the levels that are kept warm.
    pub(super) fn releases(self, table: &LiveTable) -> HashSet<ReleaseKey> {
        let levels = self.list(table);
        let releases = levels.iter().flat_map(|level| level.spec.releases());
        releases
            .map(|(name, spec)| (name.clone(), spec.version.clone()))
            .collect()
    }

    /// Compiles the levels that should be warm, and drops the compiled form of the others.
    pub(super) fn refresh(self, table: &LiveTable, fleet: &Fleet) {
        let now = now_ms();
        table.mark_cold(|distance, level| self.is_warm(distance, level.superseded_at_ms, now));
        let live = table.load();
        for level in self.list(table) {
            if let Err(error) = ensure_compiled(table, fleet, &live, &level) {
                tracing::warn!(%error, revision = %level.revision, "an earlier revision cannot be kept warm");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_warm_while_it_is_near_and_young() {
        let warm = WarmLevels {
            most: 2,
            longest: Duration::from_secs(60),
        };
        assert!(warm.is_warm(0, 1_000, 1_000));
        assert!(warm.is_warm(1, 1_000, 60_999));
        assert!(!warm.is_warm(1, 1_000, 61_000), "too old");
        assert!(!warm.is_warm(2, 1_000, 1_000), "too far");
        assert!(warm.is_warm(0, 2_000, 1_000), "the clock went back");
    }
}
