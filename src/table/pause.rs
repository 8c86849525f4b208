//! A compiled pause of a route.

use std::{sync::Arc, time::Duration};

use crate::{
    fleet::{Fleet, PausedRequest, PausedRequests},
    model::{PauseSpec, RouteName},
};

/// Pause of a route.
#[derive(Debug)]
pub struct Pause {
    route: RouteName,
    spec: PauseSpec,
    requests: Arc<PausedRequests>,
}

impl Pause {
    pub(super) fn new(route: &RouteName, spec: &PauseSpec, fleet: &Fleet) -> Self {
        Self {
            route: route.clone(),
            spec: spec.clone(),
            requests: fleet.paused_requests(route),
        }
    }

    /// The route.
    pub fn route(&self) -> &RouteName {
        &self.route
    }

    /// Longest wait of a request.
    pub fn max_wait(&self) -> Duration {
        self.spec.max_wait.0
    }

    /// A place for a request to wait, if there is one.
    pub fn enter(&self) -> Option<PausedRequest> {
        self.requests.enter(self.spec.max_waiting)
    }
}
