//! Queries about flags: what a context gets, and which flags are stale.

use serde_json::{Map, Value};

use super::{ControlError, Controller};
use crate::{
    api::{FlagEvaluation, StaleFlag},
    model::{ChangeError, FlagName, FlagValue, TableSpec},
    table::{FlagContext, FlagError},
};

/// Most stale flags in a status.
const MOST_STALE: usize = 20;

impl Controller {
    /// The variant that the live table gives to a context.
    ///
    /// # Errors
    /// If there is no such flag, or if its split needs a key that the context does not have.
    pub fn evaluate_flag(
        &self,
        flag: &FlagName,
        attributes: Map<String, Value>,
    ) -> Result<FlagEvaluation, ControlError> {
        let live = self.table.load();
        let flags = live.compiled().flags();
        let found = flags.evaluate(flag.as_str(), &FlagContext::new(attributes));
        let found = found.map_err(|error| match error {
            FlagError::NotFound(name) => ControlError::Change(ChangeError::UnknownFlag {
                name,
                known: flags.iter().map(|(name, _)| name.clone()).collect(),
            }),
            FlagError::NoKey { .. } => ControlError::KeyMissing(error),
        })?;
        Ok(FlagEvaluation {
            flag: flag.clone(),
            revision: live.revision(),
            variant: found.variant.name().clone(),
            value: FlagValue(found.variant.value().clone()),
            reason: found.reason,
            rule: found.rule,
            unmet_prerequisite: found.unmet.cloned(),
        })
    }
}

/// The flags whose last day is over.
pub(super) fn stale(spec: &TableSpec, now_ms: u64) -> Vec<StaleFlag> {
    let stale = spec
        .flags()
        .iter()
        .filter(|(_, flag)| flag.is_stale(now_ms));
    let shown = stale.filter_map(|(name, flag)| {
        Some(StaleFlag {
            flag: name.clone(),
            expired: flag.expires?,
            owner: flag.owner.clone(),
        })
    });
    shown.take(MOST_STALE).collect()
}
