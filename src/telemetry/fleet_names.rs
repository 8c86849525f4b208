//! Metrics of a node of a fleet: a proxy that shares its table with others.

use super::metric::{Kind, Metric};

/// State of this node towards its fleet.
pub const FLEET_FOLLOWING: Metric = (
    "switchback_fleet_following",
    Kind::Gauge,
    "1 while this node follows the store of its fleet; 0 while it serves what it had",
);
/// Revision of the fleet that all workers have taken up.
pub const FLEET_REVISION: Metric = (
    "switchback_fleet_revision",
    Kind::Gauge,
    "Revision of the fleet that all workers of this node have taken up",
);
/// Rollbacks about which a person has to decide.
pub const FLEET_DISPUTED: Metric = (
    "switchback_fleet_disputed_rollbacks",
    Kind::Gauge,
    "Rollbacks of this node that a change elsewhere contradicts",
);
/// True if the table of the fleet cannot be live here.
pub const FLEET_BLOCKED: Metric = (
    "switchback_fleet_blocked",
    Kind::Gauge,
    "1 while the table of the fleet cannot be live on this node",
);
/// Time of the last answer of the store.
pub const FLEET_CONTACT: Metric = (
    "switchback_fleet_last_contact_timestamp_seconds",
    Kind::Gauge,
    "Time of the last answer of the store of the fleet",
);
/// Offers of rollbacks to the other nodes.
pub const FLEET_OFFERS: Metric = (
    "switchback_fleet_offers_total",
    Kind::Counter,
    "Rollbacks that this node has offered to another one while the store was away, by outcome",
);
/// True if this node leads its fleet.
pub const FLEET_LEADER: Metric = (
    "switchback_fleet_leader",
    Kind::Gauge,
    "1 while this node leads its fleet: it runs what is scheduled, and takes over rollouts",
);
