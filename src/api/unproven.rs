//! A release that would get more requests than it has shown to answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::ReleaseName;

/// A release that would get more requests a second than it has had in the last day. It may well answer them: no change is
/// refused for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Unproven {
    /// The release.
    pub release: ReleaseName,
    /// The most requests a second that it has had, for its healthy endpoints of now.
    pub shown: f64,
    /// Requests a second that it would get, by those of the last minutes.
    pub expected: f64,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            release,
            shown,
            expected,
        } = self;
        let percents = shown * 100.0 / expected.max(f64::MIN_POSITIVE);
        write!(
            f,
            "`{release}` has shown {shown:.1} requests a second in the last day, {percents:.0} percent of the {expected:.1} that it would get"
        )
    }
}
