//! Cuts: the loop that ends what is in flight on a release after it left a route, as the policy of the route says.
//!
//! It only tells the workers which part of what is to end by now; each looks at its own list. An order is repeated while
//! there is work, since a request becomes a stream only with its response.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::clock::now_ms;
use crate::{
    fleet::{Fleet, Roster},
    model::{CutCause, WorkClass},
    table::{CutOrder, Departure, LiveTable},
};

/// Interval while work is in flight that may have to end: a cut that is spread goes on at each.
const TICK: Duration = Duration::from_millis(100);
/// Interval while there is none, and after which an order is repeated.
const REPEAT: Duration = Duration::from_secs(1);

/// The orders that were given, by the address of the departure.
#[derive(Debug, Default)]
pub(super) struct Cuts(HashMap<usize, Given>);

/// The orders for one departure.
#[derive(Debug)]
struct Given {
    departure: Arc<Departure>,
    roster: Arc<Roster>,
    parts: [u32; WorkClass::ALL.len()],
    at: Option<Instant>,
}

/// Gives orders as departures and time require, for as long as it is polled. Cancelling it loses nothing.
pub(super) async fn run(table: &LiveTable, fleet: &Fleet) {
    let mut cuts = Cuts::default();
    loop {
        let pending = Arc::clone(table.load().departures().pending());
        cuts.follow(&pending, fleet, now_ms());
        for order in cuts.due(now_ms(), Instant::now()) {
            table.work().cut(order);
        }
        if cuts.0.is_empty() {
            table.swapped().await;
        } else {
            // A swap may bring a cut that is to be made at once.
            let _ticked = tokio::time::timeout(cuts.interval(), table.swapped()).await;
        }
    }
}

impl Cuts {
    /// Takes up the departures of the live table, and forgets all others and those whose time is over.
    fn follow(&mut self, pending: &[Arc<Departure>], fleet: &Fleet, now_ms: u64) {
        let mut before = std::mem::take(&mut self.0);
        for departure in pending.iter().filter(|one| one.is_pending(now_ms)) {
            let key = Arc::as_ptr(departure).addr();
            let given = before.remove(&key).unwrap_or_else(|| Given {
                departure: Arc::clone(departure),
                roster: fleet.roster(departure.release(), departure.version()),
                parts: [0; WorkClass::ALL.len()],
                at: None,
            });
            self.0.insert(key, given);
        }
    }

    fn interval(&self) -> Duration {
        let has_work = self.0.values().any(|given| given.roster.in_flight() > 0);
        if has_work { TICK } else { REPEAT }
    }

    /// The orders that are due.
    fn due(&mut self, now_ms: u64, now: Instant) -> Vec<CutOrder> {
        let with_work = self
            .0
            .values_mut()
            .filter(|given| given.roster.in_flight() > 0);
        with_work.flat_map(|given| given.due(now_ms, now)).collect()
    }
}

impl Given {
    fn due(&mut self, now_ms: u64, now: Instant) -> Vec<CutOrder> {
        let departure = &self.departure;
        let parts = WorkClass::ALL.map(|class| departure.cut_part(class, now_ms));
        let is_old = |at: Instant| now.saturating_duration_since(at) >= REPEAT;
        if parts == self.parts && !self.at.is_none_or(is_old) {
            return Vec::new();
        }
        if self.parts.iter().all(|part| *part == 0) && parts.iter().any(|part| *part > 0) {
            tracing::info!(
                route = %departure.route(),
                release = %departure.release(),
                version = %departure.version(),
                cause = departure.cause().as_str(),
                in_flight = self.roster.in_flight(),
                "ending what is in flight on a release that left the route",
            );
        }
        (self.parts, self.at) = (parts, Some(now));
        let order = |(class, part): (WorkClass, u32)| CutOrder {
            roster: Some(Arc::clone(&self.roster)),
            route: Some(departure.route().clone()),
            class: Some(class),
            before: departure.revision(),
            part,
            cause: CutCause::Left(departure.cause()),
        };
        let parts = WorkClass::ALL.into_iter().zip(parts);
        parts.filter(|(_, part)| *part > 0).map(order).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::Pick,
        model::{ChangeSet, LeaveCause, Revision, TableDocument, TableState},
        table::{Leave, StackChange, compile},
    };

    /// A table in which green has everything, after blue had it.
    fn switched(fleet: &Fleet) -> LiveTable {
        let table = LiveTable::new(1);
        for (revision, blue) in [(1, 1), (2, 0)] {
            let document: TableDocument = serde_json::from_value(serde_json::json!({
                "releases": {
                    "blue": {"endpoints": ["http://127.0.0.1:9"]},
                    "green": {"endpoints": ["http://127.0.0.1:9"]},
                },
                "routes": [{
                    "name": "chat", "split": {"blue": blue, "green": 1 - blue},
                    "in_flight": {"switch": {
                        "unary": "finish within 2s", "stream": "cut over 4s",
                        "websocket": "cut", "grpc_stream": "finish",
                    }},
                }],
            }))
            .unwrap();
            let state = document.into_state(&TableState::default());
            let draft = compile(state, &ChangeSet::default(), None, fleet).unwrap();
            let draft = draft.leaving(Leave::by(LeaveCause::Switch));
            let based_on = table.load().revision();
            let push = StackChange::Push(None);
            table
                .publish(draft, Revision(revision), based_on, push, 0)
                .unwrap();
        }
        table
    }

    #[test]
    fn orders_follow_the_policies_and_are_repeated_while_there_is_work() {
        let fleet = Fleet::new(1);
        let table = switched(&fleet);
        let live = table.load();
        let blue = live.compiled().releases()["blue"].roster();
        let url: crate::model::EndpointSpec = "http://127.0.0.1:9".parse().unwrap();
        blue.set(&[(url, "127.0.0.1:9".parse().unwrap())]);
        let (mut cuts, start, wall) = (Cuts::default(), Instant::now(), now_ms());
        cuts.follow(live.departures().pending(), &fleet, wall);
        let mut due = |ms: u64| -> Vec<(&str, u32)> {
            let orders = cuts.due(wall + ms, start + Duration::from_millis(ms));
            let shown = |order: CutOrder| {
                assert_eq!(
                    (order.before, order.cause),
                    (Revision(2), CutCause::Left(LeaveCause::Switch))
                );
                (order.class.unwrap().as_str(), order.part / (u32::MAX / 4))
            };
            orders.into_iter().map(shown).collect()
        };
        assert_eq!(due(0), [], "nothing is in flight");
        let held = blue.pick(&Pick::random(0, 0, 0)).unwrap();
        assert_eq!(due(50), [("stream", 0), ("websocket", 4)]);
        assert_eq!(due(50), []);
        assert_eq!(due(2_500), [("unary", 4), ("stream", 2), ("websocket", 4)]);
        assert_eq!(due(5_000).len(), 3);
        assert_eq!(due(5_999), []);
        assert_eq!(
            due(6_000).len(),
            3,
            "again, for what has become a stream since"
        );
        drop(held);
        assert_eq!(due(8_000), []);
        cuts.follow(live.departures().pending(), &fleet, wall + 3_600_000);
        assert!(cuts.0.is_empty(), "their time is over");
    }
}
