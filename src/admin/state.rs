//! State that the admin API's handlers share, and look-ups of the names in a path.

use std::sync::Arc;

use axum::extract::FromRef;

use super::{
    error::ApiError,
    feedback_desk::FeedbackState,
    pages::Pages,
    probes::ProbeState,
    reload_queue::RunningSettings,
    unknown_name::{unknown, unknown_route},
    waits::Waits,
};
use crate::{
    control::Controller,
    model::{FlagName, ReleaseName, RouteName},
    seal::KeyRing,
};

/// State of the handlers.
#[derive(Clone)]
pub struct AdminState {
    /// The only writer.
    pub(super) controller: Arc<Controller>,
    /// Metrics and readiness.
    pub(super) observed: ProbeState,
    /// The static settings, and the sender of reload requests.
    pub(super) settings: Arc<RunningSettings>,
    /// Large responses, rendered once for all concurrent requests.
    pub(super) pages: Pages,
    /// Keys of preview tokens.
    pub(super) seal: Arc<KeyRing>,
    /// Places of requests that wait.
    pub(super) waits: Waits,
    /// The desk that takes feedback.
    pub(super) feedback: FeedbackState,
}

impl AdminState {
    /// Creates the state for a controller, with metrics, readiness, the running settings and the keys of preview tokens.
    pub fn new(
        controller: Arc<Controller>,
        observed: ProbeState,
        settings: Arc<RunningSettings>,
        feedback: FeedbackState,
        seal: Arc<KeyRing>,
    ) -> Self {
        Self {
            feedback,
            pages: Pages::of(&controller),
            waits: Waits::default(),
            seal,
            controller,
            observed,
            settings,
        }
    }

    /// Metrics and readiness.
    pub fn probes(&self) -> ProbeState {
        self.observed.clone()
    }

    /// The route in a path.
    pub(super) fn route(&self, text: &str) -> Result<RouteName, ApiError> {
        let state = self.controller.live().state();
        let name = text.parse().ok();
        let found = name.filter(|name| state.spec.place(name).is_some());
        found.ok_or_else(|| {
            let routes = state.spec.routes().iter();
            unknown_route(text, routes.map(|route| &route.name))
        })
    }

    /// The flag in a path.
    pub(super) fn flag(&self, text: &str) -> Result<FlagName, ApiError> {
        let state = self.controller.live().state();
        let flags = state.spec.flags();
        let name = text.parse().ok();
        name.filter(|name| flags.get(name).is_some())
            .ok_or_else(|| unknown("flag", text, flags.iter().map(|(name, _)| name.as_str())))
    }

    /// The release in a path.
    pub(super) fn release(&self, text: &str) -> Result<ReleaseName, ApiError> {
        let state = self.controller.live().state();
        let releases = state.spec.releases();
        releases
            .get_key_value(text)
            .map(|(name, _)| name.clone())
            .ok_or_else(|| unknown("release", text, releases.keys().map(ReleaseName::as_str)))
    }
}

impl FromRef<AdminState> for ProbeState {
    fn from_ref(state: &AdminState) -> Self {
        state.observed.clone()
    }
}
