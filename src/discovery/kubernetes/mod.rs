//! Endpoints of Services in a Kubernetes cluster, by a watch of their `EndpointSlice` objects.
//!
//! Each Service that an endpoint names is watched on its own, with what the API offers for it: a list, then a stream of
//! changes. A Service of which the API server has never told anything is left to DNS, so that a missing right or a server
//! that is away at the start costs nothing but the speed of changes.

mod api_server;
mod error;
mod known_slices;
mod service_port;
mod slice;
mod slice_set;
mod watch_event;
mod watcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use tokio::{sync::Notify, task::AbortHandle};
use tracing::warn;

pub use self::api_server::ApiServer;
use self::{
    known_slices::KnownSlices,
    service_port::{ServiceName, service_of},
    watcher::Watcher,
};
use crate::{
    fleet::{Fleet, ServiceWatch},
    model::EndpointUrl,
};

/// Most Services that are watched, each with a connection; further ones stay with DNS.
const MOST_SERVICES: usize = 200;

/// Watches of all Services that endpoints name.
pub(super) struct ServiceWatches {
    /// `None` outside of a cluster: everything is left to DNS.
    api: Option<Arc<ApiServer>>,
    fleet: Arc<Fleet>,
    watches: BTreeMap<ServiceName, RunningWatch>,
    changed: Arc<Notify>,
    is_crowded: bool,
}

/// Addresses of an endpoint, as the watches know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceAnswer {
    /// DNS is to be asked.
    Unwatched,
    /// The API server has not answered yet.
    Waiting,
    /// These, and no other.
    Known(BTreeSet<SocketAddr>),
}

/// A watch; it ends when it is dropped.
struct RunningWatch {
    known: Arc<KnownSlices>,
    task: AbortHandle,
}

impl Drop for RunningWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServiceWatches {
    pub(super) fn new(api: Option<ApiServer>, fleet: Arc<Fleet>) -> Self {
        Self {
            api: api.map(Arc::new),
            fleet,
            watches: BTreeMap::new(),
            changed: Arc::default(),
            is_crowded: false,
        }
    }

    /// Watches the Services of these endpoints, and no other.
    pub(super) fn watch<'a>(&mut self, urls: impl Iterator<Item = &'a EndpointUrl>) {
        let Some(api) = &self.api else {
            return;
        };
        let service = |url| service_of(url, api.cluster_domain()).map(|(service, _)| service);
        let needed: BTreeSet<_> = urls.filter_map(service).collect();
        if needed.iter().eq(self.watches.keys()) {
            return;
        }
        self.watches.retain(|service, _| needed.contains(service));
        let is_new = |service: &ServiceName| !self.watches.contains_key(service);
        let room = MOST_SERVICES - self.watches.len();
        let mut new: Vec<_> = needed.into_iter().filter(is_new).collect();
        let is_crowded = new.len() > room;
        if is_crowded && !self.is_crowded {
            warn!(
                most = MOST_SERVICES,
                "more Services than are watched: DNS has to do for the others"
            );
        }
        self.is_crowded = is_crowded;
        new.truncate(room);
        for service in new {
            let watch = self.start(Arc::clone(api), &service);
            self.watches.insert(service, watch);
        }
        let watches = self.watches.values();
        let watches = watches.map(|one| one.known.shared_watch());
        self.fleet.set_service_watches(watches.collect());
    }

    fn start(&self, api: Arc<ApiServer>, service: &ServiceName) -> RunningWatch {
        let watch = Arc::new(ServiceWatch::new(service.to_string()));
        let known = Arc::new(KnownSlices::new(watch, Arc::clone(&self.changed)));
        let watcher = Watcher::new(api, service.clone(), Arc::clone(&known));
        let task = tokio::spawn(watcher.run()).abort_handle();
        RunningWatch { known, task }
    }

    /// Addresses of an endpoint.
    pub(super) fn answer(&self, url: &EndpointUrl) -> ServiceAnswer {
        let found = self.api.as_ref().and_then(|api| {
            let (service, port) = service_of(url, api.cluster_domain())?;
            Some((&self.watches.get(&service)?.known, port))
        });
        let Some((known, port)) = found else {
            return ServiceAnswer::Unwatched;
        };
        match known.slices() {
            Some(slices) => ServiceAnswer::Known(slices.addresses(port)),
            None if known.is_waiting() => ServiceAnswer::Waiting,
            None => ServiceAnswer::Unwatched,
        }
    }

    /// Waits until one of them knows something else. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
