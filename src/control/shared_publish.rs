//! A publish on a node of a fleet: proposal → one transaction of the store → live, here as on every other node.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    clock::now_ms,
    proposal::Proposal,
    shared::Node,
    shared_live::Occasion,
    shared_state::{kind_of, parts_between},
    swap::AppliedSwap,
    withdrawal::Withdrawal,
};
use crate::{
    model::{Author, ChangeSet, LocalRollback, TablePart, TableState},
    shared_table::{
        Appended, ChangeKind, NewRevision, SharedRevision, apply_all, changes_between,
        encode_table, keep_parts,
    },
    table::{Leave, RoutingTable, compile},
};

/// Every so many revisions the whole table is stored beside one, so that a new node need not read all.
const WHOLE_EVERY: u64 = 64;
/// Largest revision with a whole table beside it, in bytes: etcd takes requests of 1.5 MiB. Without a table a new node reads
/// more revisions, all of which are kept then.
const LARGEST: usize = 1_400_000;
/// Number of revisions that the store keeps.
const KEPT: u64 = 1_024;
/// Number of times that a change is tried again while other nodes are faster.
pub(super) const MOST_OVERTAKEN: usize = 5;

/// A revision of the fleet that is to be committed.
pub(super) struct Draft {
    number: u64,
    revision: SharedRevision,
    table: TableState,
}

impl Controller {
    /// Commits a proposal to the fleet and makes it live. The caller holds the publish lock.
    ///
    /// # Errors
    /// [`ControlError::Overtaken`] when another node was faster, and nothing has changed.
    /// [`ControlError::NotShared`] when the store did not take it.
    pub(super) async fn publish_to_fleet(
        &self,
        node: &Node,
        live: &RoutingTable,
        proposal: Proposal,
        by: Author,
    ) -> Result<AppliedSwap<'_>, ControlError> {
        let draft = self.draft_of(node, live, &proposal, &by)?;
        let order = proposal.order.as_ref();
        if order.is_some_and(Withdrawal::is_withdrawn) {
            return Err(ControlError::Overtaken);
        }
        self.commit(node, draft).await?;
        let request = self.idempotency.request_of(&by).or(proposal.request);
        let occasion = Occasion {
            kind: kind_of(&by),
            by,
            leave: proposal.leave(),
            asked: Some((proposal.change, proposal.cause, request)),
            offered: Vec::new(),
        };
        let Some(swap) = self.bring_live(&occasion).await? else {
            return Err(ControlError::NotShared {
                reason: "the fleet has the change, and a rollback on this node was made meanwhile: `switchback fleet status`".to_owned(),
                is_unknown: true,
            });
        };
        self.shared.wake();
        self.log.wait_durable(swap.record.revision).await;
        if order.is_some_and(Withdrawal::is_withdrawn) {
            return Err(self.undo_withdrawn(swap, occasion.by).await);
        }
        if let Some(file) = &proposal.imported {
            let within = self.settings.durable_within;
            if let Err(error) = self.log.remember_import(file, within).await {
                tracing::warn!(%error, "the imported file is not remembered; the next start compares with the one before it");
            }
            self.log.index().imported = Some(Arc::clone(file));
        }
        Ok(swap)
    }

    /// Takes back an order that was withdrawn while the store had it already.
    async fn undo_withdrawn(&self, swap: AppliedSwap<'_>, by: Author) -> ControlError {
        let live = Expected::Unchanged(swap.record.revision);
        drop(swap);
        let consent = Consent {
            force: true,
            ..Consent::default()
        };
        let back = Box::pin(self.rollback(RollbackTo::Step, by, live, consent));
        match back.await {
            Ok(_) => ControlError::Overtaken,
            Err(error) => error,
        }
    }

    /// The revision of the fleet that a proposal leads to: what it touches, and nothing that this node has beside the fleet.
    fn draft_of(
        &self,
        node: &Node,
        live: &RoutingTable,
        proposal: &Proposal,
        by: &Author,
    ) -> Result<Draft, ControlError> {
        let state = self.shared.state();
        let base = state.base()?;
        let changes = changes_between(&live.state(), &proposal.state);
        let table = apply_all(&changes, base)?;
        let parts = parts_between(base, &table);
        let kind = kind_of(by);
        let settled = state.rollbacks.of_parts(&parts);
        if kind == ChangeKind::Machine && !settled.is_empty() {
            return Err(ControlError::NotShared {
                reason:
                    "a person rolled this back on this node, and the fleet does not have that yet"
                        .to_owned(),
                is_unknown: false,
            });
        }
        let (number, changes) = (state.revision + 1, changes_between(base, &table));
        drop(state);
        self.check_fits(&table)?;
        let Leave {
            cause,
            by_route,
            cut,
        } = proposal.leave();
        let revision = SharedRevision {
            kind,
            changes,
            digest: table.spec.digest(),
            leave: cause,
            leave_by_route: by_route.map(|all| (*all).clone()).unwrap_or_default(),
            cut,
            ..new_revision(node, by.clone()).settling(&settled)
        };
        Ok(Draft {
            number,
            revision,
            table,
        })
    }

    /// The revision of the fleet that publishes rollbacks of this node.
    pub(super) fn draft_of_rollbacks(
        &self,
        node: &Node,
        by: Author,
        rollbacks: &[LocalRollback],
    ) -> Result<Draft, ControlError> {
        let (number, changes, table) = {
            let _index = self.log.index();
            let live = self.table.load().state();
            let state = self.shared.state();
            let base = state.base()?;
            let parts: BTreeSet<&TablePart> = rollbacks.iter().map(|one| &one.part).collect();
            let table = keep_parts(base, parts, &live)?;
            (state.revision + 1, changes_between(base, &table), table)
        };
        self.check_fits(&table)?;
        Ok(Draft {
            number,
            revision: SharedRevision {
                kind: ChangeKind::Rollback,
                changes,
                digest: table.spec.digest(),
                leave: Leave::ROLLBACK.cause,
                ..new_revision(node, by).settling(rollbacks)
            },
            table,
        })
    }

    /// Checks that a table can be live on the nodes of the fleet, before they have it.
    fn check_fits(&self, table: &TableState) -> Result<(), ControlError> {
        let live = self.table.load();
        let touched = ChangeSet::between(&live.state(), table);
        let compiled = compile(table.clone(), &touched, Some(live.compiled()), &self.fleet);
        compiled.map(drop).map_err(ControlError::Invalid)
    }

    /// A revision of the fleet that changes nothing.
    ///
    /// # Errors
    /// When the node does not follow the store.
    pub(super) fn draft_of_nothing(&self, node: &Node, by: Author) -> Result<Draft, ControlError> {
        let state = self.shared.state();
        let table = state.base()?.clone();
        Ok(Draft {
            number: state.revision + 1,
            revision: SharedRevision {
                kind: ChangeKind::Machine,
                digest: table.spec.digest(),
                ..new_revision(node, by)
            },
            table,
        })
    }

    /// The revision of the fleet that gives it a table of this node: its first one, or the end of a stop.
    pub(super) fn draft_of_state(&self, node: &Node, by: Author, live: TableState) -> Draft {
        let state = self.shared.state();
        let base = state.table.clone().unwrap_or_default();
        Draft {
            number: state.revision + 1,
            revision: SharedRevision {
                changes: changes_between(&base, &live),
                digest: live.spec.digest(),
                ..new_revision(node, by)
            },
            table: live,
        }
    }

    /// Appends a revision to the store, and takes it up.
    pub(super) async fn commit(&self, node: &Node, draft: Draft) -> Result<(), ControlError> {
        let Draft {
            number,
            revision,
            table,
        } = draft;
        let bytes = revision.encode();
        let whole = (number % WHOLE_EVERY == 1).then(|| encode_table(&table));
        let whole = whole.filter(|whole| bytes.len() + whole.len() <= LARGEST);
        let next = NewRevision {
            number,
            revision: bytes,
            oldest: (whole.is_some() && number > KEPT).then(|| number - KEPT),
            table: whole,
        };
        match node.store.append(next).await {
            Ok(Appended::Done) => {}
            Ok(Appended::Overtaken) => return Err(ControlError::Overtaken),
            Err(error) => {
                self.shared.wake();
                return Err(error.into());
            }
        }
        let mut state = self.shared.state();
        state.answered();
        state
            .take(number, &revision)
            .map_err(|reason| ControlError::NotShared {
                reason,
                is_unknown: true,
            })
    }
}

fn new_revision(node: &Node, by: Author) -> SharedRevision {
    let at_ms = now_ms();
    let id = format!("{}-{at_ms}-{:x}", node.name, rand::random::<u64>());
    SharedRevision::new(id, node.name.clone(), at_ms, by)
}
