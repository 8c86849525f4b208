//! The addresses of endpoints that a change brings: they are looked up before it is live.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    recompile::set_static_endpoints,
    reconcile::{Reconciler, UpcomingGuard},
    upcoming::Upcoming,
};
use crate::{
    fleet::{Fleet, Roster, RosterRole, WatchedRelease},
    model::{ChangeSet, EndpointSpec},
    table::{Draft, Release},
};

/// Longest time that a publish waits for the addresses of releases and of names that are new.
pub(super) const RESOLVING: Duration = Duration::from_secs(2);

/// Endpoints and their addresses.
pub(super) type Members = Vec<(EndpointSpec, SocketAddr)>;

/// The addresses that were looked up for a change; they are watched until this is dropped.
#[derive(Debug, Default)]
pub(super) struct ResolvedNames<'a> {
    /// The addresses of names that are new in a roster.
    pub(super) addresses: Members,
    _upcoming: Option<UpcomingGuard<'a>>,
}

/// Waits, within a limit, until the releases that a change touches have addresses, and names that are to join a roster
/// are looked up: endpoints that the change removes then go at once. All of them are watched until the result is
/// dropped.
pub(super) async fn await_addresses<'a>(
    reconciler: &'a Reconciler,
    fleet: &Fleet,
    draft: &Draft,
    touched: &ChangeSet,
) -> ResolvedNames<'a> {
    let upcoming = unresolved(fleet, draft, touched);
    let rosters = |all: &[WatchedRelease]| -> Vec<Arc<Roster>> {
        all.iter().map(|one| Arc::clone(&one.roster)).collect()
    };
    let (releases, names) = (rosters(&upcoming.rosters), rosters(&upcoming.names));
    if releases.is_empty() && names.is_empty() {
        return ResolvedNames::default();
    }
    let guard = reconciler.watch_upcoming(upcoming);
    let resolved = async {
        for roster in releases.iter().chain(&names) {
            roster.wait_resolved().await;
        }
    };
    if tokio::time::timeout(RESOLVING, resolved).await.is_err() {
        tracing::warn!(
            "the endpoints of a release could not be resolved in time; the change continues without them"
        );
    }
    ResolvedNames {
        addresses: members(&names),
        _upcoming: Some(guard),
    }
}

/// The releases and names of a change that have to be looked up.
fn unresolved(fleet: &Fleet, draft: &Draft, touched: &ChangeSet) -> Upcoming {
    let state = draft.state();
    let releases = draft.compiled().releases();
    let mut upcoming = Upcoming::default();
    for name in &touched.releases {
        let Some(release) = releases.get(name) else {
            continue;
        };
        let urls = state.endpoints(name);
        if release.roster().resolved() {
            upcoming.names.extend(new_names(fleet, release, urls));
        } else if !set_static_endpoints(release.roster(), urls) {
            let roster = Arc::clone(release.roster());
            upcoming.rosters.push(warm(release, roster, urls.into()));
        }
    }
    upcoming
}

/// Detached rosters for names that a roster is to hold and has no address for.
fn new_names(fleet: &Fleet, release: &Release, urls: &[EndpointSpec]) -> Vec<WatchedRelease> {
    let endpoints = release.roster().endpoints();
    let is_new = |new: &&EndpointSpec| {
        let url = new.url();
        url.ip().is_none() && !endpoints.iter().any(|one| one.url() == url)
    };
    let detached = |url: &EndpointSpec| {
        let (name, version) = (release.name(), release.version());
        let roster = fleet.candidate(name, version);
        warm(release, roster, Arc::new([url.clone()]))
    };
    urls.iter().filter(is_new).map(detached).collect()
}

fn warm(release: &Release, roster: Arc<Roster>, urls: Arc<[EndpointSpec]>) -> WatchedRelease {
    WatchedRelease {
        roster,
        spec: Arc::clone(release.spec()),
        urls,
        role: RosterRole::Warm,
    }
}

fn members(rosters: &[Arc<Roster>]) -> Members {
    let mut members = Members::new();
    for roster in rosters {
        let endpoints = roster.endpoints();
        let endpoints = endpoints.iter();
        members.extend(endpoints.map(|one| (one.spec(), one.address())));
    }
    members
}

/// Sets the endpoints of the releases that a change touches, with the addresses that are known.
pub(super) fn set_rosters(draft: &Draft, touched: &ChangeSet, known: &Members) {
    let state = draft.state();
    let releases = draft.compiled().releases();
    for name in &touched.releases {
        if let Some(release) = releases.get(name) {
            release.roster().configure(state.endpoints(name), known);
        }
    }
}
