//! The place of this process in a fleet of proxies: the store that it follows, and the other nodes.

use std::sync::Arc;

use super::{ServerError, etcd_store::EtcdStore, fleet_peers};
use crate::{config::Config, control::Controller, model::Problem};

/// Makes the controller a node of the fleet of the configuration, if there is one.
pub(super) fn join(config: &Config, controller: &Controller) -> Result<(), ServerError> {
    let Some(fleet) = &config.fleet else {
        return Ok(());
    };
    let store = EtcdStore::load(fleet).map_err(ServerError::Fleet)?;
    controller.join_fleet(store.node.clone(), Arc::new(store));
    if let Some(peers) = &fleet.peers {
        controller.offer_rollbacks_to(fleet_peers::load(peers).map_err(ServerError::Fleet)?);
    }
    Ok(())
}

/// Problem of the settings of a fleet that prevents serving; nothing is asked over the network.
pub(super) fn check(config: &Config) -> Option<Problem> {
    let fleet = config.fleet.as_ref()?;
    let peers = fleet.peers.as_ref().map(fleet_peers::load);
    let peers = peers.and_then(Result::err);
    EtcdStore::load(fleet).err().or(peers)
}
