//! Reports of a node to its fleet: the rollbacks that were made on it, and how far it is.

use std::time::{Duration, Instant};

use super::{ControlError, Controller, clock::now, shared::Node, shared_state::parts_between};
use crate::{
    api::FleetNode,
    model::{Actor, Author, LocalRollback, RevisionRecord, TablePart},
    shared_table::{Reports, StoreError},
    telemetry::ErrorChain,
};

/// Most parts that a report names.
const MOST_KEPT: usize = 20;
/// Pause after a failure to wait for reports.
const AGAIN: Duration = Duration::from_millis(100);

/// Reason why a node could not follow.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store did not answer: it is tried again.
    Store(StoreError),
    /// A person has to decide.
    Stopped(String),
    /// Others were faster, or this node is busy: it is tried again at once.
    Again,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotShared { reason, is_unknown } => {
                Failure::Store(StoreError { reason, is_unknown })
            }
            ControlError::Overtaken | ControlError::Busy => Failure::Again,
            other => Failure::Stopped(ErrorChain(&other).to_string()),
        }
    }
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Stopped(reason) => Self::NotShared {
                reason,
                is_unknown: false,
            },
            Failure::Again => Self::Overtaken,
        }
    }
}

impl Controller {
    /// Publishes what was rolled back here and nobody contradicts: a revision for each step, with its author.
    pub(super) async fn publish_rollbacks(&self, node: &Node) -> Result<(), Failure> {
        while self.publish_step(node).await? {}
        Ok(())
    }

    /// Publishes the first step, or all where it fits the fleet only together with later ones; `false` if there is nothing to
    /// publish.
    async fn publish_step(&self, node: &Node) -> Result<bool, Failure> {
        if self.shared.state().rollbacks.all().is_empty() {
            return Ok(false);
        }
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        let all = self.publishable()?;
        let Some(step) = all.first().map(LocalRollback::step) else {
            return Ok(false);
        };
        let of_step = all.iter().filter(|one| one.step() == step);
        let first: Vec<_> = of_step.cloned().collect();
        let draft = |some: &[LocalRollback]| {
            let by = self.author_of_rollbacks(some);
            self.draft_of_rollbacks(node, by, some)
        };
        let draft = match draft(&first) {
            Err(error) if is_misfit(&error) => draft(&all),
            made => made,
        };
        match draft {
            Ok(draft) => {
                self.commit(node, draft).await?;
                Ok(true)
            }
            Err(error) if is_misfit(&error) => Ok(self.dispute_unfit(node, &all, &error)),
            Err(error) => Err(Failure::from(error)),
        }
    }

    /// The rollbacks that this node publishes by itself.
    fn publishable(&self) -> Result<Vec<LocalRollback>, Failure> {
        let live = self.table.load().state();
        let state = self.shared.state();
        let base = state.base().map_err(Failure::from)?;
        let differ = parts_between(base, &live);
        let is_as_kept = |part: &TablePart| !differ.contains(part);
        Ok(state.rollbacks.to_publish(is_as_kept))
    }

    /// Leaves to a person which of two sides stays, for each rollback that does not fit the fleet by itself, or for all; `false`
    /// if that is left to one already.
    fn dispute_unfit(
        &self,
        node: &Node,
        rollbacks: &[LocalRollback],
        error: &ControlError,
    ) -> bool {
        let fits = |one: &&LocalRollback| {
            let by = author("a trial".to_owned());
            let draft = self.draft_of_rollbacks(node, by, std::slice::from_ref(*one));
            !draft.is_err_and(|error| is_misfit(&error))
        };
        let mut unfit: Vec<&LocalRollback> = rollbacks.iter().filter(|one| !fits(one)).collect();
        if unfit.is_empty() {
            unfit = rollbacks.iter().collect();
        }
        let ids: Vec<String> = unfit.iter().map(|one| one.id.clone()).collect();
        let is_news = self.shared.state().rollbacks.dispute(&ids);
        if is_news {
            let reason = ErrorChain(error).to_string();
            tracing::warn!(%reason, "what was rolled back here does not fit what the fleet has: `switchback fleet keep mine|theirs` decides");
            self.shared.wake();
        }
        is_news
    }

    /// The author of the last of some rollbacks: that of the first record which has it.
    pub(super) fn author_of_rollbacks(&self, rollbacks: &[LocalRollback]) -> Author {
        let last = rollbacks.last();
        let has_it = |record: &RevisionRecord| {
            let mark = record.shared.as_ref();
            mark.is_some_and(|mark| {
                mark.rollbacks
                    .iter()
                    .any(|one| Some(&one.id) == last.map(|last| &last.id))
            })
        };
        let index = self.log.index();
        let mut all = index.kept().values();
        let made = all.find(|kept| has_it(&kept.record));
        let by = made.map(|kept| Author {
            idempotency_key: None,
            group: None,
            ..kept.record.author.clone()
        });
        by.unwrap_or_else(|| author("a rollback".to_owned()))
    }

    /// Says what all workers of this node have taken up, and reads what the others say.
    pub(super) async fn report_to_fleet(&self, node: &Node) -> Result<(), Failure> {
        let report = self.own_report(node);
        let text = serde_json::to_vec(&report).unwrap_or_default();
        let kept = node.store.report(text).await?;
        self.shared.leadership().keep(kept);
        if self.shared.is_awaited() || self.shared.state().is_report_due() {
            self.read_reports(node).await?;
        }
        Ok(())
    }

    fn own_report(&self, node: &Node) -> FleetNode {
        let (live, wanted, revision) = {
            let _index = self.log.index();
            let (live, state) = (self.table.load(), self.shared.state());
            let wanted = state.wanted(&live.state());
            (live, wanted, state.revision)
        };
        // A publish may be in the store, and not live yet.
        let is_live = wanted.is_ok_and(|table| parts_between(&live.state(), &table).is_empty());
        let has_all = self.table.waiting_for(live.revision()).is_empty();
        // After that look: what a worker selected before it took up the table is counted by then.
        let work = self.node_work(&live);
        let mut state = self.shared.state();
        if is_live && has_all && state.blocked.is_none() {
            state.taken_up = revision;
        }
        state.is_spreading = is_live && !has_all;
        let kept = state.rollbacks.all().iter().map(|one| one.part.clone());
        FleetNode {
            node: node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: state.taken_up,
            followed: revision,
            live: live.revision(),
            digest: live.digest(),
            rollbacks: state.rollbacks.all().len(),
            disputed: state.rollbacks.disputed().count(),
            kept: kept.take(MOST_KEPT).collect(),
            reason: state.blocked.clone(),
            reported_at: now(),
            work,
        }
    }

    async fn read_reports(&self, node: &Node) -> Result<(), StoreError> {
        let Reports { version, all } = node.store.reports().await?;
        let nodes = all
            .iter()
            .filter_map(|text| serde_json::from_slice(text).ok());
        let mut nodes: Vec<FleetNode> = nodes.collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        {
            let mut state = self.shared.state();
            state.hear_nodes(nodes, &node.name);
            state.nodes_version = version;
            (state.nodes_read_at, state.nodes_read) = (Some(now()), Some(Instant::now()));
        }
        self.shared.tell();
        Ok(())
    }

    /// Waits until there is something new to report: workers were late, and have taken up what is live.
    pub(super) async fn until_taken_up(&self) {
        if !self.shared.state().is_spreading {
            return std::future::pending().await;
        }
        self.table.converged(self.table.load().revision()).await;
    }

    /// Reads the reports of the nodes as they come, while somebody waits for them. Ends if the store fails.
    pub(super) async fn read_awaited(&self, node: &Node) {
        while self.shared.is_awaited() {
            let since = self.shared.state().nodes_version;
            let read = match node.store.reports_changed(since).await {
                Ok(()) => self.read_reports(node).await,
                error => error,
            };
            if read.is_err() {
                return tokio::time::sleep(AGAIN).await;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// True if it is the table that is refused, and not the moment.
const fn is_misfit(error: &ControlError) -> bool {
    matches!(error, ControlError::Change(_) | ControlError::Invalid(_))
}

/// The author of what nobody has asked for on this node.
pub(super) fn author(message: String) -> Author {
    Author {
        actor: Actor::Api,
        name: "fleet".to_owned(),
        message: Some(message),
        idempotency_key: None,
        group: None,
    }
}
