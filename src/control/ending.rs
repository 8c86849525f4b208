//! The end of what is in flight when the process ends: class by class, as the settings say.

use std::time::{Duration, Instant};

use super::Controller;
use crate::{
    config::Shutdown,
    model::{CutCause, Revision, WorkClass},
    table::CutOrder,
};

/// Shortest and longest interval at which a part of the work is ended.
const TICK: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];
/// Number of intervals in the time of a drain, unless that makes them too short or too long.
const TICKS: u32 = 64;
/// Time after which an order is repeated, for what has become a stream since.
const REPEAT: Duration = Duration::from_secs(1);

/// The orders that were given.
#[derive(Debug, Default)]
struct EndOrders {
    parts: [u32; WorkClass::ALL.len()],
    at: Duration,
}

impl Controller {
    /// Ends what is in flight, class by class, until the time of the drain is over. Cancel-safe.
    pub async fn end_work(&self, shutdown: &Shutdown, left: Duration) {
        let (begin, mut orders) = (Instant::now(), EndOrders::default());
        let tick = (left / TICKS).clamp(TICK[0], TICK[1]);
        loop {
            let since = begin.elapsed();
            for order in orders.due(shutdown, since, left) {
                self.table.work().cut(order);
            }
            if since >= left {
                return;
            }
            tokio::time::sleep(tick.min(left.saturating_sub(since))).await;
        }
    }
}

// === impl EndOrders ===

impl EndOrders {
    /// The orders that are due `since` the drain began.
    fn due(&mut self, shutdown: &Shutdown, since: Duration, left: Duration) -> Vec<CutOrder> {
        let parts = WorkClass::ALL.map(|class| shutdown.ended_part(class, since, left));
        if parts == self.parts && since.saturating_sub(self.at) < REPEAT {
            return Vec::new();
        }
        for (class, (part, before)) in WorkClass::ALL.iter().zip(parts.iter().zip(self.parts)) {
            if *part > 0 && before == 0 {
                tracing::info!(class = class.as_str(), "ending what is in flight");
            }
        }
        (self.parts, self.at) = (parts, since);
        let order = |(class, part): (WorkClass, u32)| CutOrder {
            roster: None,
            route: None,
            class: Some(class),
            before: Revision(u64::MAX),
            part,
            cause: CutCause::Shutdown,
        };
        let parts = WorkClass::ALL.into_iter().zip(parts);
        parts.filter(|(_, part)| *part > 0).map(order).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_by_their_policies_and_orders_are_repeated() {
        let shutdown: Shutdown = serde_json::from_value(serde_json::json!({
            "in_flight": {"unary": "finish within 2s", "stream": "cut over 4s"},
        }))
        .unwrap();
        let (mut orders, left) = (EndOrders::default(), Duration::from_secs(401));
        let mut due = |ms: u64| -> Vec<(&str, u32)> {
            let orders = orders.due(&shutdown, Duration::from_millis(ms), left);
            let shown = |order: &CutOrder| {
                assert!(order.roster.is_none() && order.cause == CutCause::Shutdown);
                let class = order.class.unwrap();
                (class.as_str(), order.part / (u32::MAX / 4))
            };
            orders.iter().map(shown).collect()
        };
        assert_eq!(due(0), []);
        assert_eq!(due(1_000), [("stream", 1)]);
        assert_eq!(due(2_000), [("unary", 4), ("stream", 2)]);
        assert_eq!(due(4_000), [("unary", 4), ("stream", 4)]);
        assert_eq!(due(4_900), []);
        assert_eq!(due(5_000).len(), 2, "again, for what is a stream by now");
        assert_eq!(
            due(350_000),
            [("unary", 4), ("stream", 4), ("websocket", 2)],
            "in the last quarter of the time"
        );
        assert_eq!(due(400_000).len(), 4, "a second before the end");
    }
}
