//! Revisions that the watch of the store brings are taken up as they come: no node of a large fleet asks the store for what
//! all of them were just told.

use super::{Controller, shared::Node, shared_report::Failure};

impl Controller {
    /// Takes up revisions that were appended, and reports it; `false` if the store has to be read, or is to be.
    pub(super) async fn take_appended(&self, node: &Node, appended: Vec<(u64, Vec<u8>)>) -> bool {
        if appended.is_empty() || self.log.history.is_released() {
            return false;
        }
        // The reason of a failure is found again by the read.
        let Ok(Some(new)) = self.take_next(appended).await else {
            return false;
        };
        if self.shared.state().is_look_due() {
            return false;
        }
        new == 0 || self.report_to_fleet(node).await.is_ok()
    }

    /// The number of revisions that were new; none if one before them is missing, or if this node does not follow.
    async fn take_next(&self, appended: Vec<(u64, Vec<u8>)>) -> Result<Option<usize>, Failure> {
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        let mut new = 0;
        for (number, bytes) in appended {
            let next = self.shared.state().next();
            if next.is_none_or(|next| number > next) {
                return Ok(None);
            }
            if next == Some(number) {
                self.take_revision(number, &bytes).await?;
                new += 1;
            }
        }
        Ok(Some(new))
    }
}
