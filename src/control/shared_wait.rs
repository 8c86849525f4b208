//! The wait of a request until the whole fleet has what it changed.

use std::time::Duration;

use super::{Controller, shared_progress::SharedChange};
use crate::api::Receipt;

impl Controller {
    /// Waits until every worker of every node has taken up a change, for a limited time, and enters the result into its
    /// receipt. It ends before that where only a person can help.
    pub async fn wait_fleet(&self, receipt: &mut Receipt, longest: Duration) {
        let until = tokio::time::Instant::now() + longest;
        self.wait_converged(receipt, longest).await;
        let Some(own) = self.shared.node() else {
            return;
        };
        let change = SharedChange::of(own, &self.log, receipt.revision);
        let mut waiting = self.shared.begin_wait();
        let mut seen: Vec<String> = Vec::new();
        loop {
            waiting.news.borrow_and_update();
            let progress = {
                let state = self.shared.state();
                for node in &state.nodes {
                    if let Err(place) = seen.binary_search(&node.node) {
                        seen.insert(place, node.node.clone());
                    }
                }
                state.progress(&own.name, &change, &seen)
            };
            receipt.fleet = Some(progress.shown);
            let news = waiting.news.changed();
            if progress.is_over || tokio::time::timeout_at(until, news).await.is_err() {
                return;
            }
        }
    }
}
