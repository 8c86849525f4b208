//! Active checks and name lookups, which keep the facts of the fleet. They begin before the history of a process that takes
//! over is there.

use std::{net::SocketAddr, sync::Arc};

use tokio::task::JoinSet;

use super::ServerError;
use crate::{
    config::Config,
    discovery::{self, ApiServer, Resolver},
    fleet::Fleet,
    health::{self, Checks},
};

/// The running checks and lookups.
pub(super) struct FleetTasks {
    pub(super) checks: Checks,
    pub(super) tasks: JoinSet<()>,
}

impl FleetTasks {
    /// Starts them. `own` are the addresses of our own listeners. Called within the control runtime.
    pub(super) fn start(
        config: &Config,
        fleet: &Arc<Fleet>,
        own: Vec<SocketAddr>,
    ) -> Result<Self, ServerError> {
        let checks = health::start(Arc::clone(fleet), config.health_checks.clone())
            .map_err(ServerError::Thread)?;
        let timeout = config.discovery.timeout.0;
        let resolver = Resolver::of_system(timeout)?;
        let variable = |name: &str| std::env::var(name).ok();
        let api = config.discovery.kubernetes.as_ref();
        let api = api.map(|settings| ApiServer::new(settings, timeout, variable));
        let api = api.transpose().map_err(ServerError::ApiServer)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(discovery::run(
            Arc::clone(fleet),
            (resolver, api),
            config.discovery.clone(),
            own,
        ));
        Ok(Self { checks, tasks })
    }
}
