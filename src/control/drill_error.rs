//! The error of a drill that does not begin.

use thiserror::Error;

use super::ControlError;
use crate::model::{ReleaseName, RouteName};

/// The error of a drill that does not begin. Nothing has changed then.
#[derive(Debug, Error)]
pub enum DrillError {
    /// The route is unknown, or the state of the drill cannot be written.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A rollout runs on the route.
    #[error("rollout {id} is running on route `{route}`")]
    Rollout {
        /// The rollout.
        id: String,
        /// The route.
        route: RouteName,
    },
    /// Weights of the route are going back in parts.
    #[error("route `{0}` is going back in parts")]
    GoesBack(RouteName),
    /// Another drill runs on the route.
    #[error("drill {id} is running on route `{route}`")]
    Active {
        /// The drill.
        id: String,
        /// The route.
        route: RouteName,
    },
    /// Too many run.
    #[error("too many drills are running")]
    TooMany,
    /// There is no predecessor.
    #[error("route `{route}` has no predecessor: {reason}")]
    NoPredecessor {
        /// The route.
        route: RouteName,
        /// The reason.
        reason: String,
    },
    /// The predecessor has requests of the route.
    #[error("release `{release}` gets requests of route `{route}` already")]
    HasWeight {
        /// The predecessor.
        release: ReleaseName,
        /// The route.
        route: RouteName,
    },
    /// The predecessor is not in the split, so no request can name it.
    #[error("release `{release}`, the predecessor, is not in the split of route `{route}`")]
    NotInSplit {
        /// The predecessor.
        release: ReleaseName,
        /// The route.
        route: RouteName,
    },
    /// The route has no synthetic requests.
    #[error("route `{0}` has no synthetic requests")]
    NoRequests(RouteName),
    /// A full drill was not permitted.
    #[error("a full drill gives all requests of route `{0}` to the predecessor for a time")]
    Visible(RouteName),
    /// An option is out of its bounds, or of another level.
    #[error("{0}")]
    Option(&'static str),
    /// There is no proxy in this process.
    #[error("there is no proxy to send synthetic requests to")]
    NoProxy,
    /// No such drill.
    #[error("no drill is called `{0}`")]
    Unknown(String),
}
