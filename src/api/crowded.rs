//! A release that is too small for the requests that it would get.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::ReleaseName;

/// A release without room for the requests in flight that it would get by a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Crowded {
    /// The release.
    pub release: ReleaseName,
    /// Requests in flight that it has room for: `in_flight_per_endpoint` of its healthy endpoints, or `concurrency`.
    pub room: u64,
    /// Requests in flight that it would have, by those that are in flight now and the shares of their routes.
    pub load: u64,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            release,
            room,
            load,
        } = self;
        let percents = room * 100 / (*load).max(1);
        write!(
            f,
            "`{release}` has room for {room} requests in flight, {percents} percent of the {load} that it would get"
        )
    }
}
