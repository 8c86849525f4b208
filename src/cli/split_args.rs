//! Arguments of a split.

use clap::Args;

use super::{change::SplitBy, part::Part};
use crate::model::RouteName;

/// The new split of a route.
#[derive(Debug, Args)]
pub(super) struct SplitArgs {
    /// The route
    pub(super) route: RouteName,
    /// A release and its percent, such as green=5
    #[arg(required = true, value_name = "RELEASE=PERCENT")]
    pub(super) parts: Vec<Part>,
    /// The numbers are weights, and only those that are named change
    #[arg(long)]
    patch: bool,
    /// The numbers are weights, and they replace the whole split
    #[arg(long, conflicts_with = "patch")]
    replace: bool,
}

impl SplitArgs {
    /// The meaning of the numbers. `drop` permits a replacement to leave out what gets requests.
    pub(super) const fn by(&self, drop: bool) -> SplitBy {
        match (self.patch, self.replace) {
            (true, _) => SplitBy::Patch,
            (_, true) => SplitBy::Replace { drop },
            _ => SplitBy::Percent,
        }
    }
}
