//! Ends of ways back in parts that come before another change.
//!
//! Otherwise the change would stand on a part: a rollback of it would give requests to the release that was on its way
//! out.

use std::time::Duration;

use tokio::time::timeout;

use super::{Controller, publish_request::Request, spread_registry::SpreadRun};
use crate::{
    model::{Cause, ChangeSet},
    table::compile,
};

/// Longest time for which a change waits until all is back. After it the rest follows the change.
const PATIENCE: Duration = Duration::from_secs(2);

impl Controller {
    /// Lets all that goes back in parts go back whole, if this change is about something else and can be made. A change
    /// of one of its routes or releases supersedes it, and its own orders are part of it.
    pub(super) async fn end_returns_before(&self, request: &Request) {
        if self.spreads.is_empty() || self.is_order_of_a_return(request) {
            return;
        }
        let live = self.table.load();
        let checked = self.check(&live, &request.change, request.expected, request.consent);
        let Ok(Some(_)) = checked else {
            return;
        };
        let Ok(applied) = request.change.apply_to(&live.state()) else {
            return;
        };
        let touched = applied.touched;
        if compile(applied.state, &touched, Some(live.compiled()), &self.fleet).is_err() {
            return;
        }
        let all = self.spreads.all().into_iter();
        let others = all.filter(|run| !run.is_touched_by(&touched));
        let ids: Vec<_> = others.map(|run| run.id).collect();
        self.spreads.hurry(&ids);
        // When it is late, the loop gives the rest as soon as it can.
        let _is_late = timeout(PATIENCE, self.spreads.ended(&ids)).await.is_err();
    }

    fn is_order_of_a_return(&self, request: &Request) -> bool {
        let is_part = matches!(request.cause, Some(Cause::ReturnPart { .. }));
        let group = request.by.group.as_ref();
        let is_own = |run: &SpreadRun| group.is_some() && run.by.group.as_ref() == group;
        is_part || self.spreads.all().iter().any(is_own)
    }
}

impl SpreadRun {
    /// True if a change is about one of its routes, or about a release that gets requests there.
    fn is_touched_by(&self, touched: &ChangeSet) -> bool {
        let mut routes = touched.routes.iter();
        routes.any(|route| self.is_about(route))
            || touched
                .releases
                .iter()
                .any(|release| self.has_release(release))
    }
}
