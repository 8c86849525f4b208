//! Data guards: releases that do not allow the way back to an earlier one.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{HookName, ReleaseName, RouteName, Version};

/// A release that a change would leave for an earlier one, though it declares that its data does not allow that, or that a
/// check has to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataGuard {
    /// The route.
    pub route: RouteName,
    /// The release that has had requests, and declares it.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// The earlier releases that would get more.
    pub to: Vec<ReleaseName>,
    /// Reason, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Hook that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<HookName>,
    /// Refusal of that hook, or the reason for which it gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl fmt::Display for DataGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to: Vec<_> = self.to.iter().map(|name| format!("`{name}`")).collect();
        let (release, to, route) = (&self.release, to.join(", "), &self.route);
        write!(f, "`{release}` in version `{}`", self.version)?;
        match &self.check {
            None => write!(f, " does not allow the way back to {to} on `{route}`")?,
            Some(check) => write!(
                f,
                " allows the way back to {to} on `{route}` only if the check `{check}` does"
            )?,
        }
        if let Some(answer) = &self.answer {
            write!(f, ", and it does not: {answer}")?;
        }
        match &self.reason {
            Some(reason) if self.answer.is_none() => write!(f, ": {reason}"),
            _ => Ok(()),
        }
    }
}
