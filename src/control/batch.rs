//! The check of a batch: the problems of all its changes at once, each with its place.

use super::{Consent, ControlError, Controller};
use crate::{
    model::{Change, Problem, TableState},
    table::{RoutingTable, compile},
};

impl Controller {
    /// Checks all changes of a batch: that they can be applied, that the result is valid, and that they take nothing
    /// away that is of use.
    pub(super) fn check_batch(
        &self,
        live: &RoutingTable,
        before: &TableState,
        batch: &Change,
        consent: Consent,
    ) -> Result<(), ControlError> {
        let (applied, mut problems) = batch.apply_possible(before);
        let compiled = Some(&**live.compiled());
        if let Err(more) = compile(applied.state, &applied.touched, compiled, &self.fleet) {
            problems.extend(batch.place_problems(more));
        }
        for (place, part) in batch.parts().iter().enumerate() {
            let used = self.check_use(before, part, consent);
            problems.extend(used.err().map(|error| in_use(place, &error)));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(ControlError::Invalid(problems))
    }
}

/// The problem for a change that would take away what is of use.
fn in_use(place: usize, error: &ControlError) -> Problem {
    let hint = match error {
        ControlError::WouldDrop { .. } => {
            "give it a weight of 0, send `\"drop\": true`, or name percents with `split`"
        }
        _ => "`?force=true` removes it anyway",
    };
    Problem::new(format!("changes[{place}]"), error.to_string()).hint(hint)
}
