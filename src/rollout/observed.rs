//! Observation of a rollout: the routes each, and together.

use std::time::Duration;

use super::{gate::GateAnswer, place::PauseReason};
use crate::analysis::Finding;

/// Observation since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Time since then.
    pub elapsed: Duration,
    /// Finding on the release; of several routes the worst one.
    pub finding: Finding,
    /// True if the release got requests at this place, on every route.
    pub has_traffic: bool,
    /// True if nothing can be compared on a route, for another reason than the release's large share.
    pub is_blocked: bool,
    /// Answer of the gate of this place, if it has given one since.
    pub gate: Option<GateAnswer>,
}

/// One route in an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSeen {
    /// Finding on the release by the requests of the route.
    pub finding: Finding,
    /// True if the release got requests of the route at this place.
    pub has_traffic: bool,
    /// True if nothing can be compared on it, for another reason than the release's large share.
    pub is_blocked: bool,
}

impl Observed {
    /// All routes together: *worse* if one is, *fine* if all are.
    pub fn of_routes(elapsed: Duration, routes: &[RouteSeen]) -> Self {
        let findings = routes.iter().map(|route| route.finding);
        Self {
            elapsed,
            finding: findings
                .min_by_key(|finding| rank(*finding))
                .unwrap_or(Finding::NotEnoughData),
            has_traffic: !routes.is_empty() && routes.iter().all(|route| route.has_traffic),
            is_blocked: routes.iter().any(|route| route.is_blocked),
            gate: None,
        }
    }
}

impl RouteSeen {
    /// True if a pause is because of this route, among all of them.
    pub fn is_paused_for(self, reason: PauseReason, routes: &[Self]) -> bool {
        match reason {
            PauseReason::NoTraffic => !self.has_traffic,
            PauseReason::Inconclusive if routes.iter().any(|route| route.is_blocked) => {
                self.is_blocked
            }
            PauseReason::Inconclusive => self.finding != Finding::Fine,
            PauseReason::Manual | PauseReason::Approval | PauseReason::Gate | PauseReason::Data => {
                false
            }
        }
    }
}

/// Place of a finding among those of several routes: the first decides.
const fn rank(finding: Finding) -> u8 {
    match finding {
        Finding::Worse => 0,
        Finding::Unmeasurable => 1,
        Finding::NotEnoughData => 2,
        Finding::Fine => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finding() -> impl Strategy<Value = Finding> {
        prop::sample::select(vec![
            Finding::Worse,
            Finding::Fine,
            Finding::NotEnoughData,
            Finding::Unmeasurable,
        ])
    }

    fn route() -> impl Strategy<Value = RouteSeen> {
        (finding(), any::<bool>(), any::<bool>()).prop_map(|(finding, has_traffic, is_blocked)| {
            RouteSeen {
                finding,
                has_traffic,
                is_blocked,
            }
        })
    }

    proptest! {
        #[test]
        fn one_route_that_is_worse_decides_and_fine_takes_all(routes in prop::collection::vec(route(), 1..6)) {
            let seen = Observed::of_routes(Duration::ZERO, &routes);
            let any = |finding| routes.iter().any(|route| route.finding == finding);
            prop_assert_eq!(seen.finding == Finding::Worse, any(Finding::Worse));
            let all_fine = routes.iter().all(|route| route.finding == Finding::Fine);
            prop_assert_eq!(seen.finding == Finding::Fine, all_fine);
            prop_assert_eq!(seen.has_traffic, routes.iter().all(|route| route.has_traffic));
            prop_assert_eq!(seen.is_blocked, routes.iter().any(|route| route.is_blocked));
        }

        #[test]
        fn a_pause_for_want_of_evidence_names_a_route(routes in prop::collection::vec(route(), 1..6)) {
            let seen = Observed::of_routes(Duration::ZERO, &routes);
            let named = |reason| routes.iter().any(|route| route.is_paused_for(reason, &routes));
            prop_assert_eq!(named(PauseReason::NoTraffic), !seen.has_traffic);
            let lacks = seen.is_blocked || seen.finding != Finding::Fine;
            prop_assert_eq!(named(PauseReason::Inconclusive), lacks);
            prop_assert!(!named(PauseReason::Manual));
        }
    }
}
