//! The office of the node that leads its fleet: a document under the lease of its holder.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Controller, clock::now, shared::Node};
use crate::{
    api::{FleetLeader, FleetState, Timestamp},
    model::RouteName,
    shared_table::{
        Document, Documents, Expected, Lifetime, Office, StoreError, Write, Written, packed,
        unpacked,
    },
};

/// Folder of the documents.
pub(super) const FOLDER: &str = "leader";
/// Document of the office.
const OFFICE: &str = "leader/leader";
/// Document with the ends of the last drills that began by themselves.
const DRILLS: &str = "leader/drills";
/// Format of the documents.
const FORMAT: u32 = 1;
/// Longest time for giving the office up.
const LEAVE: Duration = Duration::from_secs(1);

/// Value of the office.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    format: u32,
    #[serde(flatten)]
    leader: FleetLeader,
}

/// Value of the other document.
#[derive(Debug, Serialize, Deserialize)]
struct LastDrills {
    format: u32,
    ends: BTreeMap<RouteName, Timestamp>,
}

impl Controller {
    /// True if this node runs what is scheduled: on a proxy of its own, and on the node that leads a fleet.
    pub(super) fn runs_schedules(&self) -> bool {
        self.shared.node().is_none() || self.leads()
    }

    /// True if this node leads its fleet.
    pub(super) fn leads(&self) -> bool {
        !self.log.history.is_released() && self.shared.leadership().leads()
    }

    /// The node that leads, as long as this one follows the store that says so.
    pub(super) fn fleet_leader(&self) -> Option<FleetLeader> {
        let is_following = self.shared.state().standing == FleetState::Following;
        let leadership = self.shared.leadership();
        leadership.leader().filter(|_| is_following).cloned()
    }

    /// Takes the office if nobody holds it, and gives it up if this node cannot lead. The version of the store at which it
    /// was read.
    pub(super) async fn elect(&self, node: &Node) -> Result<u64, StoreError> {
        let kept = self.shared.leadership().kept();
        let found = node.store.documents(FOLDER).await?;
        self.read_drills(&found);
        let version = found.version;
        let office = found.all.into_iter().find(|one| one.name == OFFICE);
        let (office, leader, own) = match office {
            None if self.may_lead() => self.take_office(node).await?,
            None => (Office::Vacant, None, None),
            Some(document) if document.is_mine && !self.may_lead() => {
                let expected = Expected::Version(document.version);
                node.store.remove(OFFICE, expected).await?;
                (Office::Vacant, None, None)
            }
            // No node has written this, so none would ever give it up.
            Some(document) if document.lifetime == Lifetime::Kept => {
                tracing::warn!(
                    "the office of the leader had a document that is no node's, which is removed"
                );
                let expected = Expected::Version(document.version);
                node.store.remove(OFFICE, expected).await?;
                (Office::Vacant, None, None)
            }
            Some(document) => {
                let is_mine = document.is_mine;
                let office = if is_mine { Office::Own } else { Office::Held };
                let own = is_mine.then_some(document.version);
                (office, holder(&document), own)
            }
        };
        let seen = (office, kept);
        self.shared.leadership().saw(seen, leader, own);
        Ok(version)
    }

    /// True if this node can carry out what it would lead: it follows, and nothing of the fleet's table is blocked here.
    fn may_lead(&self) -> bool {
        let is_able = {
            let state = self.shared.state();
            state.standing == FleetState::Following && state.blocked.is_none()
        };
        is_able && !self.log.history.is_released() && !self.shared.leadership().has_left()
    }

    async fn take_office(
        &self,
        node: &Node,
    ) -> Result<(Office, Option<FleetLeader>, Option<u64>), StoreError> {
        let leader = FleetLeader {
            node: node.name.clone(),
            since: now(),
        };
        let write = Write {
            name: OFFICE.to_owned(),
            value: packed(&Holder {
                format: FORMAT,
                leader: leader.clone(),
            }),
            lifetime: Lifetime::Node,
            expected: Expected::Absent,
        };
        Ok(match node.store.write(write).await? {
            Written::Done(version) => (Office::Own, Some(leader), Some(version)),
            // The next look says who.
            Written::Overtaken => (Office::Unknown, None, None),
        })
    }

    /// Gives up the office, if this node holds it, so that another one leads at once. To be called at the end, once the loops
    /// have ended; it takes a second at most.
    pub async fn leave_fleet(&self) {
        let Some(node) = self.shared.node() else {
            return;
        };
        let held = self.shared.leadership().leave();
        if let Some(version) = held {
            let left = node.store.remove(OFFICE, Expected::Version(version));
            // Who is not told so finds it when the lease ends.
            let _told_or_not = tokio::time::timeout(LEAVE, left).await;
        }
    }

    fn read_drills(&self, found: &Documents) {
        let document = found.all.iter().find(|one| one.name == DRILLS);
        if let Some(LastDrills { ends, .. }) = document.and_then(readable) {
            self.shared.leadership().set_drills(ends);
        }
    }

    /// Ends of the last drills of the routes: those of this node, and in a fleet those that the leaders have noted.
    pub(super) fn drill_ends(&self) -> BTreeMap<RouteName, Timestamp> {
        let mut ends = self.drills.ends();
        if self.shared.node().is_some() {
            for (route, end) in self.shared.leadership().drills() {
                let latest = ends.entry(route.clone()).or_insert(*end);
                *latest = (*latest).max(*end);
            }
        }
        ends
    }

    /// Notes the ends of the last drills for whoever leads next, if they are news.
    pub(super) async fn share_drill_ends(&self) {
        let Some(node) = self.shared.node().filter(|_| self.leads()) else {
            return;
        };
        let state = self.table.load().state();
        let mut ends = self.drill_ends();
        ends.retain(|route, _| state.spec.place(route).is_some());
        if ends == *self.shared.leadership().drills() {
            return;
        }
        let write = Write {
            name: DRILLS.to_owned(),
            value: packed(&LastDrills {
                format: FORMAT,
                ends: ends.clone(),
            }),
            lifetime: Lifetime::Kept,
            expected: Expected::Anything,
        };
        match node.store.write(write).await {
            Ok(_) => self.shared.leadership().set_drills(ends),
            Err(error) => {
                tracing::debug!(%error, "the ends of drills are noted with the next look");
            }
        }
    }
}

fn holder(document: &Document) -> Option<FleetLeader> {
    readable(document).map(|holder: Holder| holder.leader)
}

/// The value of a document; of one that this version cannot read nothing is known.
fn readable<T: DeserializeOwned>(document: &Document) -> Option<T> {
    let value = unpacked(&document.value);
    value
        .map_err(|error| tracing::warn!(name = document.name, %error, "a document of the fleet cannot be read"))
        .ok()
}
