//! The election of the node that leads, as this process knows it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    api::{FleetLeader, Timestamp},
    model::RouteName,
    shared_table::{Election, Office, Standing},
};

/// The election, and what it has come to.
#[derive(Debug)]
pub(super) struct Leadership {
    begun: Instant,
    election: Election,
    /// Time since the begin at which the lease was asked to be kept, the last time that this was answered.
    kept: Duration,
    leader: Option<FleetLeader>,
    /// Version of the document of this node, while it holds the office.
    version: Option<u64>,
    /// Ends of the last drills, as the leaders have noted them.
    drills: BTreeMap<RouteName, Timestamp>,
    has_left: bool,
}

impl Default for Leadership {
    /// The election of a proxy that is in no fleet: it never leads.
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

impl Leadership {
    /// Nothing is known yet.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            begun: Instant::now(),
            election: Election::new(lease),
            kept: Duration::ZERO,
            leader: None,
            version: None,
            drills: BTreeMap::new(),
            has_left: false,
        }
    }

    /// The store has kept the lease, for which it was asked then.
    pub(super) fn keep(&mut self, asked: Instant) {
        self.kept = asked.saturating_duration_since(self.begun);
    }

    pub(super) const fn kept(&self) -> Duration {
        self.kept
    }

    /// Takes what the store said; the version is that of the own document.
    pub(super) fn saw(
        &mut self,
        (office, kept): (Office, Duration),
        leader: Option<FleetLeader>,
        version: Option<u64>,
    ) {
        self.election.saw(office, kept);
        let node = |leader: &Option<FleetLeader>| leader.as_ref().map(|one| one.node.clone());
        if node(&leader) != node(&self.leader) {
            tracing::info!(leader = ?node(&leader), "the node that leads the fleet");
        }
        (self.leader, self.version) = (leader, version);
    }

    /// True if this node leads now, and so no other one.
    pub(super) fn leads(&self) -> bool {
        self.election.standing(self.begun.elapsed()) == Standing::Leading
    }

    /// The node that leads; none while it is this one and not sure of it.
    pub(super) fn leader(&self) -> Option<&FleetLeader> {
        let is_unsure = self.election.standing(self.begun.elapsed()) == Standing::Unsure;
        self.leader.as_ref().filter(|_| !is_unsure)
    }

    pub(super) const fn has_left(&self) -> bool {
        self.has_left
    }

    /// Gives the office up for good: the version of the document that is to be removed.
    pub(super) fn leave(&mut self) -> Option<u64> {
        self.has_left = true;
        self.election.saw(Office::Unknown, Duration::ZERO);
        self.leader = None;
        self.version.take()
    }

    pub(super) const fn drills(&self) -> &BTreeMap<RouteName, Timestamp> {
        &self.drills
    }

    pub(super) fn set_drills(&mut self, drills: BTreeMap<RouteName, Timestamp>) {
        self.drills = drills;
    }
}
