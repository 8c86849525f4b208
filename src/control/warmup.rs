//! What is made ready before a swap: compiled forms of earlier tables, and rosters that nobody has resolved yet.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    ControlError, Controller,
    receipt::with_rosters,
    upcoming::{Upcoming, UpcomingGuard},
};
use crate::{
    fleet::{Role, Roster, WatchedRelease},
    model::{ChangeSet, EndpointUrl, TableSpec},
    table::{Draft, Release, RoutingTable, UndoEntry, compile},
};

/// How long a publish waits for the addresses of releases and of names that are new.
pub(super) const RESOLVING: Duration = Duration::from_secs(2);

/// Endpoints and their addresses.
pub(super) type Members = Vec<(EndpointUrl, SocketAddr)>;

/// What was looked up for a change; it stays looked after until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// The addresses of names that are new in a roster.
    pub(super) addresses: Members,
    _coming: Option<UpcomingGuard<'a>>,
}

impl Controller {
    /// Compiles a level that is not warm any more.
    pub(super) fn ensure_compiled(
        &self,
        live: &RoutingTable,
        level: &UndoEntry,
    ) -> Result<(), ControlError> {
        if level.compiled.is_some() {
            return Ok(());
        }
        let draft = self.compile_again(live, &level.spec)?;
        self.cell.mark_warm(level.revision, draft.compiled());
        Ok(())
    }

    /// Compiles decisions that were live once, beside the facts of now.
    pub(super) fn compile_again(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
    ) -> Result<Draft, ControlError> {
        let state = with_rosters(spec, live);
        let touched = ChangeSet::between(&live.state(), &state);
        let draft = compile(state, &touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?;
        seed_all(&draft);
        Ok(draft)
    }

    /// Waits, within a limit, until releases that the change touches have addresses, and names that are to join a roster
    /// are looked up: what the change lets go stays in nobody's way for want of them. All that is looked after until what
    /// is answered is dropped.
    pub(super) async fn await_rosters(&self, draft: &Draft, touched: &ChangeSet) -> Found<'_> {
        let state = draft.state();
        let releases = draft.compiled().releases();
        let mut upcoming = Upcoming::default();
        for name in &touched.releases {
            let Some(release) = releases.get(name) else {
                continue;
            };
            let urls = state.endpoints(name);
            if release.roster().resolved() {
                upcoming.names.extend(self.new_names(release, urls));
            } else if !set_static_endpoints(release.roster(), urls) {
                let roster = Arc::clone(release.roster());
                upcoming.rosters.push(warm(release, roster, urls.into()));
            }
        }
        let named = upcoming.names.iter();
        let names: Vec<_> = named.map(|one| Arc::clone(&one.roster)).collect();
        let all = upcoming.rosters.iter().map(|one| Arc::clone(&one.roster));
        let all: Vec<_> = all.chain(names.iter().cloned()).collect();
        if all.is_empty() {
            return Found::default();
        }
        let coming = self.watch_upcoming(upcoming);
        let resolved = async {
            for roster in &all {
                roster.wait_resolved().await;
            }
        };
        if tokio::time::timeout(RESOLVING, resolved).await.is_err() {
            tracing::warn!(
                "the endpoints of a release could not be resolved in time; the change goes on without"
            );
        }
        let mut addresses = Members::new();
        for roster in &names {
            let endpoints = roster.endpoints();
            let endpoints = endpoints.iter();
            addresses.extend(endpoints.map(|one| (one.url().clone(), one.address())));
        }
        Found {
            addresses,
            _coming: Some(coming),
        }
    }

    /// Detached rosters for names that a roster is to hold and has no address for.
    fn new_names(&self, release: &Release, urls: &[EndpointUrl]) -> Vec<WatchedRelease> {
        let endpoints = release.roster().endpoints();
        let is_new = |url: &&EndpointUrl| {
            url.ip().is_none() && !endpoints.iter().any(|one| one.url() == *url)
        };
        let detached = |url: &EndpointUrl| {
            let (name, version) = (release.name(), release.version());
            let roster = self.fleet.candidate(name, version);
            warm(release, roster, Arc::new([url.clone()]))
        };
        urls.iter().filter(is_new).map(detached).collect()
    }
}

fn warm(release: &Release, roster: Arc<Roster>, urls: Arc<[EndpointUrl]>) -> WatchedRelease {
    WatchedRelease {
        roster,
        spec: Arc::clone(release.spec()),
        urls,
        role: Role::Warm,
    }
}

/// Sets the members of a roster, if all its endpoints are addresses already.
pub(super) fn set_static_endpoints(roster: &Roster, urls: &[EndpointUrl]) -> bool {
    let member = |url: &EndpointUrl| Some((url.clone(), SocketAddr::new(url.ip()?, url.port())));
    let members: Option<Vec<_>> = urls.iter().map(member).collect();
    let Some(members) = members else {
        return false;
    };
    roster.set(&members);
    true
}

/// Gives rosters whose endpoints are addresses their members: that needs no look-up.
fn seed_all(draft: &Draft) {
    let state = draft.state();
    for (name, release) in draft.compiled().releases() {
        if !release.roster().resolved() {
            set_static_endpoints(release.roster(), state.endpoints(name));
        }
    }
}

/// Tells the rosters of releases that a change touches which endpoints they have from now on.
pub(super) fn set_rosters(draft: &Draft, touched: &ChangeSet, known: &Members) {
    let state = draft.state();
    let releases = draft.compiled().releases();
    for name in &touched.releases {
        if let Some(release) = releases.get(name) {
            release.roster().tell(state.endpoints(name), known);
        }
    }
}
