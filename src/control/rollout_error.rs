//! The error of a request about a rollout. Nothing has changed then, unless it says so.

use thiserror::Error;

use super::ControlError;
use crate::{
    model::{HumanDuration, PlanName, Problem, ReleaseName, RouteName},
    rollout::Refused,
};

/// The error of a request about a rollout.
#[derive(Debug, Error)]
pub enum RolloutError {
    /// The change that it makes is refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A rollout is running on the route.
    #[error("rollout {id} is running on route `{route}`")]
    Active {
        /// The rollout.
        id: String,
        /// The route.
        route: RouteName,
    },
    /// A drill gives requests of the route to its predecessor.
    #[error("drill {id} is running on route `{route}`")]
    Drill {
        /// The drill.
        id: String,
        /// The route.
        route: RouteName,
    },
    /// The plan asks for a drill that has passed not so long ago.
    #[error("{}", too_old(.route, .max_age, .age.as_ref()))]
    DrillTooOld {
        /// The route.
        route: RouteName,
        /// The largest age by the plan.
        max_age: HumanDuration,
        /// Age of the last drill that has passed, if there was one.
        age: Option<HumanDuration>,
    },
    /// The plan, or what the rollout is about, is not valid.
    #[error("the rollout is not valid")]
    Invalid(Vec<Problem>),
    /// One route of several is in the way.
    #[error("route `{route}`: {error}")]
    OnRoute {
        /// The route.
        route: RouteName,
        /// The error of a rollout of this route alone.
        error: Box<RolloutError>,
    },
    /// The release has requests of the route already.
    #[error("release `{release}` gets requests of route `{route}` already")]
    HasWeight {
        /// The release.
        release: ReleaseName,
        /// The route.
        route: RouteName,
    },
    /// It is not known which release the requests are taken from.
    #[error("no release of route `{0}` has requests that could be given to another one")]
    NoStable(RouteName),
    /// The command does not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The command is carried out, and is not on the disk.
    #[error("the command is carried out, but a restart may forget it: the disk did not take it")]
    NotSaved,
    /// Others have changed a route of it, or a release.
    #[error("{0}")]
    Changed(String),
    /// Too many run.
    #[error("too many rollouts are running")]
    TooMany,
    /// No such rollout.
    #[error("no rollout is called `{0}`")]
    Unknown(String),
    /// No plan of that name.
    #[error("no plan is called `{name}`")]
    UnknownPlan {
        /// The unknown name.
        name: PlanName,
        /// Existing names.
        known: Vec<PlanName>,
    },
}

impl RolloutError {
    /// The error with the route that it is about, where there are several and it does not name it.
    pub(super) fn on_route(self, route: &RouteName, is_train: bool) -> Self {
        match self {
            Self::Control(_) if is_train => Self::OnRoute {
                route: route.clone(),
                error: Box::new(self),
            },
            error => error,
        }
    }
}

fn too_old(route: &RouteName, max_age: &HumanDuration, age: Option<&HumanDuration>) -> String {
    let last = age.map_or_else(
        || "none has passed yet".to_owned(),
        |age| format!("the last one that has passed is {age} old"),
    );
    format!("the plan asks for a drill of route `{route}` in the last {max_age}, and {last}")
}
