//! Revisions that the watch of the store brings are taken up as they come: no node of a large fleet asks the store for what
//! all of them were just told.

use super::{
    Controller, shared::Node, shared_report::Failure, shared_state::SharedState, shared_sync::LOOK,
};
use crate::api::FleetState;

impl Controller {
    /// Takes up revisions that were appended, and reports it; `false` if the store has to be read, as at least every
    /// [`LOOK`].
    pub(super) async fn take_appended(&self, node: &Node, appended: Vec<(u64, Vec<u8>)>) -> bool {
        if appended.is_empty() || self.log.history.is_released() {
            return false;
        }
        match self.take_next(appended).await {
            Ok(Some(0)) => true,
            Ok(Some(_)) => self.report_to_fleet(node).await.is_ok(),
            // The reason is found again by the read.
            Ok(None) | Err(_) => false,
        }
    }

    /// The number of revisions that were new; none if one before them is missing, or if there is more to do here.
    async fn take_next(&self, appended: Vec<(u64, Vec<u8>)>) -> Result<Option<usize>, Failure> {
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        let mut new = 0;
        for (number, bytes) in appended {
            let Some(next) = next_of(&self.shared.state()) else {
                return Ok(None);
            };
            if number > next {
                return Ok(None);
            }
            if number == next {
                self.take_revision(number, &bytes).await?;
                new += 1;
            }
        }
        Ok(Some(new))
    }
}

/// The number of the revision that this node takes up next; none if it follows from a read of the store only: it was away,
/// has not read it lately, or has something of its own to publish or to make live.
fn next_of(state: &SharedState) -> Option<u64> {
    let is_recent = state.answered_at.is_some_and(|at| at.elapsed() < LOOK);
    let is_plain = state.rollbacks.all().is_empty() && state.blocked.is_none();
    let has_table = state.table.is_some() && state.read == state.revision;
    let follows = state.standing == FleetState::Following && state.unverified().is_none();
    (is_recent && is_plain && has_table && follows).then_some(state.read + 1)
}
