//! Checks of data guards before a change: what is declared refuses, and a hook is asked where one is named.
//!
//! This is the operator's own declaration, so that it refuses a rollback too; force passes it, whatever the hook does.

use super::{
    Consent, ControlError, Controller,
    data_answers::{DataAnswers, ask_checks},
    data_guard::crossed,
};
use crate::{api::DataGuard, model::TableSpec, table::RoutingTable};

impl Controller {
    /// The guards that a change of the live table crosses.
    pub(super) fn crossed(&self, live: &RoutingTable, after: &TableSpec) -> Vec<DataGuard> {
        let before = (live.revision(), live.compiled().spec());
        crossed(&self.log.index(), before, after)
    }

    /// Refuses a change that crosses a guard, and returns those whose hooks are still to be asked.
    pub(super) fn check_data(
        &self,
        live: &RoutingTable,
        after: &TableSpec,
        consent: Consent,
        answers: &DataAnswers,
    ) -> Result<Vec<DataGuard>, ControlError> {
        let guards = self.crossed(live, after);
        if consent.data {
            for guard in &guards {
                tracing::warn!(target: "audit", route = %guard.route, %guard, "a release is left for an earlier one, though its data may not allow it");
            }
            return Ok(Vec::new());
        }
        answers.apply(guards)
    }

    /// Asks the hooks of guards, and adds their answers.
    pub(super) async fn ask_checks(&self, guards: Vec<DataGuard>, answers: &mut DataAnswers) {
        let asked = ask_checks(self.hooks.set(), guards).await;
        answers.add(asked);
    }
}
