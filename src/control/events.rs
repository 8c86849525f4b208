//! Events: the loop that publishes changes of facts.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use super::{
    Controller,
    event_hub::EventHub,
    event_watch::{EventWatch, Facts},
    metrics,
    readiness::rollback_readiness,
};
use crate::{api::EventBody, fleet::Roster};

/// Interval at which facts are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Controller {
    /// The events of this process.
    pub fn events(&self) -> &Arc<EventHub> {
        &self.events
    }

    /// Publishes what changes by itself, once a second, for as long as it is polled.
    pub(super) async fn run_events(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = EventWatch::default();
        metrics::show_events();
        loop {
            ticks.tick().await;
            for event in self.changed_facts(&mut watch) {
                self.events.publish(event);
            }
        }
    }

    fn changed_facts(&self, watch: &mut EventWatch) -> Vec<EventBody> {
        let live = self.table.load();
        let chosen = live.compiled().spec().weighted();
        let is_drained = |roster: &Arc<Roster>| self.is_drained(&live, roster);
        watch.look(&Facts {
            watched: &self.fleet.watched(),
            chosen: &chosen,
            is_drained: &is_drained,
            is_rollback_ready: rollback_readiness(&self.table, &self.fleet),
            disk: self.log.history.standing(),
        })
    }
}
