//! Check of a rollback that another node of the fleet offers: whether this node makes it as well, and the table that it leads
//! to.

use super::shared_state::SharedState;
use crate::{
    api::OfferedRollback,
    model::{ChangeError, Problem, TableState},
    shared_table::{Offered, apply_all, part_of},
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
/// When one of them does not apply, or is about something else than the part that it names.
pub(super) fn with_offered(
    live: &TableState,
    offered: &[OfferedRollback],
) -> Result<TableState, ChangeError> {
    for one in offered {
        let part = &one.rollback.part;
        if part_of(&one.change).as_ref() != Some(part) {
            let message = format!("the change does not put or remove the {part}, which it names");
            let problem = Problem::new("rollbacks", message);
            return Err(ChangeError::Invalid(vec![problem]));
        }
    }
    let changes: Vec<_> = offered.iter().map(|one| one.change.clone()).collect();
    apply_all(&changes, live)
}
