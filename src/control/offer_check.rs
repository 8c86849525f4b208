//! Check of a rollback that another node of the fleet offers: whether this node makes it as well, and the table that it leads
//! to.

use super::shared_state::{SharedState, parts_between};
use crate::{
    api::OfferedRollback,
    model::{ChangeError, Problem, TableState},
    shared_table::{Offered, apply_all},
};

impl SharedState {
    fn answer(&self, offered: &OfferedRollback) -> Offered {
        let known = self.known(&offered.rollback.part);
        self.rollbacks
            .answer(&offered.rollback, offered.changed, known)
    }

    /// The reason for which a rollback of another node is not made here.
    pub(super) fn reason(&self, offered: &OfferedRollback) -> Option<String> {
        let part = &offered.rollback.part;
        let reason = match self.answer(offered) {
            Offered::Taken | Offered::Known => return None,
            Offered::Behind => "this node has not heard of what it takes back",
            Offered::Changed => "it was changed since, as far as this node knows",
            Offered::Contradicted => "this node has a rollback of its own of it",
        };
        Some(format!("{part}: {reason}"))
    }

    /// Those that are not here already.
    pub(super) fn new_of(&self, offered: Vec<OfferedRollback>) -> Vec<OfferedRollback> {
        let is_new = |one: &OfferedRollback| self.answer(one) != Offered::Known;
        offered.into_iter().filter(is_new).collect()
    }

    /// True if all of them can be made here, in the state of this moment.
    pub(super) fn takes(&self, offered: &[OfferedRollback]) -> bool {
        let mut all = offered.iter();
        all.all(|one| self.answer(one) == Offered::Taken)
    }
}

/// A table with the rollbacks of another node.
///
/// # Errors
/// When one of them does not apply, or changes something else than the part that it names.
pub(super) fn with_offered(
    live: &TableState,
    offered: &[OfferedRollback],
) -> Result<TableState, ChangeError> {
    let changes: Vec<_> = offered.iter().map(|one| one.change.clone()).collect();
    let after = apply_all(&changes, live)?;
    let named: Vec<_> = offered.iter().map(|one| &one.rollback.part).collect();
    let mut changed = parts_between(live, &after).into_iter();
    match changed.find(|part| !named.contains(&part)) {
        Some(part) => {
            let message = format!("the offer changes the {part}, which it does not name");
            Err(ChangeError::Invalid(vec![Problem::new(
                "rollbacks",
                message,
            )]))
        }
        None => Ok(after),
    }
}
