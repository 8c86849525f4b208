//! The current endpoints of one version of one release.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use tokio::sync::watch;

use super::{
    Health,
    choice::Choice,
    concurrency_limit::ConcurrencyLimit,
    endpoint::Endpoint,
    in_flight::{InFlight, Load, WorkerCounters},
    pick::{Pick, PickError},
};
use crate::model::{EndpointSpec, EndpointUrl, ReleaseName, Version};

/// The endpoints of one version of one release.
#[derive(Debug)]
pub struct Roster {
    release: ReleaseName,
    version: Version,
    pub(super) members: ArcSwap<EndpointSet>,
    pub(super) load: Arc<Load>,
    // Requests in flight in the process that was taken over from.
    elsewhere: AtomicU64,
    workers: usize,
    concurrency_limit: Arc<ConcurrencyLimit>,
    /// Connections to its endpoints, including idle ones and those to removed endpoints.
    pub(super) connections: AtomicUsize,
    // Held while it is decided if one more endpoint is ejected.
    pub(super) ejecting: Mutex<()>,
    // Configured endpoints, once set. Locked while members are replaced, so that the last configuration wins.
    configured: Mutex<Option<Arc<[EndpointSpec]>>>,
    // Number of times the members were set.
    generation: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct EndpointSet {
    endpoints: Arc<Vec<Arc<Endpoint>>>,
    // Removed endpoints; requests in flight keep them alive.
    removed: Vec<Weak<Endpoint>>,
    // Per worker, each with its own reference count.
    counters: Box<[Arc<CachePadded<WorkerCounters>>]>,
    // Weights differ: the pick leaves its fast path.
    is_weighted: bool,
}

impl EndpointSet {
    fn new(
        endpoints: Vec<Arc<Endpoint>>,
        removed: Vec<Weak<Endpoint>>,
        load: &Arc<Load>,
        workers: usize,
    ) -> Self {
        let endpoints = Arc::new(endpoints);
        let hold = |slot| {
            Arc::new(CachePadded::new(WorkerCounters {
                turns: turns(endpoints.len(), slot),
                endpoints: Arc::clone(&endpoints),
                load: Arc::clone(load),
            }))
        };
        let first = endpoints.first().map(|endpoint| endpoint.weight());
        let is_weighted = endpoints
            .iter()
            .any(|endpoint| Some(endpoint.weight()) != first || endpoint.weight() == 0);
        Self {
            counters: (0..workers.max(1)).map(hold).collect(),
            is_weighted,
            endpoints,
            removed,
        }
    }

    fn draining(&self) -> Vec<Arc<Endpoint>> {
        let removed = self.removed.iter().filter_map(Weak::upgrade);
        removed.filter(|old| old.in_flight() > 0).collect()
    }
}

/// Round robin of a worker: each one begins with another endpoint.
fn turns(endpoints: usize, slot: usize) -> Box<[AtomicI64]> {
    let first = slot.checked_rem(endpoints);
    (0..endpoints)
        .map(|index| AtomicI64::new(i64::from(Some(index) == first)))
        .collect()
}

impl Roster {
    pub(super) fn new(release: ReleaseName, version: Version, workers: usize) -> Self {
        let load = Arc::new(Load::new(workers));
        Self {
            release,
            version,
            members: ArcSwap::from_pointee(EndpointSet::new(
                Vec::new(),
                Vec::new(),
                &load,
                workers,
            )),
            load,
            elsewhere: AtomicU64::new(0),
            workers,
            concurrency_limit: Arc::default(),
            connections: AtomicUsize::new(0),
            ejecting: Mutex::default(),
            configured: Mutex::default(),
            generation: watch::Sender::new(0),
        }
    }

    /// Name of the release.
    pub fn release(&self) -> &ReleaseName {
        &self.release
    }

    /// Concurrency limit of the release, used if its spec sets one.
    pub fn concurrency_limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.concurrency_limit
    }

    /// Version of the release.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The endpoints, in the order of the configuration.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        Arc::clone(&self.members.load().endpoints)
    }

    /// Removed endpoints that still have requests in flight.
    pub fn draining(&self) -> Vec<Arc<Endpoint>> {
        self.members.load().draining()
    }

    /// Replaces the members by resolved addresses. An endpoint that stays keeps its counts and its health;
    /// one that returns while it drains keeps its counts. Does nothing if the addresses were resolved for
    /// an outdated configuration.
    pub fn set(&self, members: &[(EndpointSpec, SocketAddr)]) {
        let configured = self.lock_configured();
        let is_of = |specs: &Arc<[EndpointSpec]>| {
            let mut members = members.iter();
            members.all(|(spec, _)| specs.contains(spec))
        };
        if configured.as_ref().is_none_or(is_of) {
            self.replace(members);
        }
    }

    /// Sets the configured endpoints, and addresses known for them. Members outside the configuration leave at once;
    /// addresses and resolved names join at once, so that later picks use only these; other names join once they are
    /// resolved. Old members stay only if the roster would be empty otherwise.
    pub fn configure(&self, specs: &[EndpointSpec], known: &[(EndpointSpec, SocketAddr)]) {
        let mut configured = self.lock_configured();
        *configured = Some(specs.into());
        let now = self.endpoints();
        let mut members = Vec::new();
        for spec in specs {
            let url = spec.url();
            if let Some(ip) = url.ip() {
                members.push((spec.clone(), SocketAddr::new(ip, url.port())));
                continue;
            }
            let held = now
                .iter()
                .map(|endpoint| (endpoint.url(), endpoint.address()));
            let known = known.iter().map(|(spec, address)| (spec.url(), *address));
            let new = held.chain(known).filter(|(other, _)| *other == url);
            for (_, address) in new {
                let member = (spec.clone(), address);
                if !members.contains(&member) {
                    members.push(member);
                }
            }
        }
        let is_there = |(spec, address): &(EndpointSpec, SocketAddr), endpoint: &Arc<Endpoint>| {
            endpoint.spec() == *spec && endpoint.address() == *address
        };
        let same = members.len() == now.len()
            && members.iter().zip(now.iter()).all(|(a, b)| is_there(a, b));
        if !same && (specs.is_empty() || !members.is_empty()) {
            self.replace(&members);
        }
    }

    /// Configured names without an address, and endpoints outside the configuration that stay because the roster
    /// would be empty without them.
    pub fn unresolved(&self) -> (Vec<EndpointUrl>, Vec<EndpointUrl>) {
        let configured = self.lock_configured();
        let specs = configured.as_deref().unwrap_or_default();
        let urls: Vec<_> = specs.iter().map(EndpointSpec::url).collect();
        if urls.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let endpoints = self.endpoints();
        let held: BTreeSet<_> = endpoints.iter().map(|one| one.url().clone()).collect();
        let is_missing = |url: &&&EndpointUrl| url.ip().is_none() && !held.contains(**url);
        let missing = urls.iter().filter(is_missing).copied().cloned().collect();
        let stays = |url: &EndpointUrl| !urls.contains(&url);
        (missing, held.into_iter().filter(stays).collect())
    }

    // Safe to ignore poisoning: the value is valid between any two statements.
    fn lock_configured(&self) -> MutexGuard<'_, Option<Arc<[EndpointSpec]>>> {
        self.configured
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, members: &[(EndpointSpec, SocketAddr)]) {
        let before = self.members.load();
        let draining = before.draining();
        let keep = |(spec, address): &(EndpointSpec, SocketAddr)| {
            let same = |endpoint: &&Arc<Endpoint>| {
                endpoint.url() == spec.url() && endpoint.address() == *address
            };
            let back = || {
                let back = draining.iter().find(same).cloned()?;
                back.set_health(Health::Unknown);
                Some(back)
            };
            let stays = before.endpoints.iter().find(same).cloned();
            let kept = stays.or_else(back).inspect(|endpoint| {
                endpoint.set_weight(spec.weight());
            });
            kept.unwrap_or_else(|| Arc::new(Endpoint::new(spec, *address)))
        };
        let endpoints: Vec<_> = members.iter().map(keep).collect();
        let is_gone = |old: &&Arc<Endpoint>| !endpoints.iter().any(|new| Arc::ptr_eq(old, new));
        // An endpoint removed just now may still be picked by a request that has loaded the old members.
        let removed = before.endpoints.iter().chain(&draining).filter(is_gone);
        let removed = removed.map(Arc::downgrade).collect();
        let members = EndpointSet::new(endpoints, removed, &self.load, self.workers);
        self.members.store(Arc::new(members));
        self.generation.send_modify(|count| *count += 1);
    }

    /// True once the members were set.
    pub fn resolved(&self) -> bool {
        *self.generation.borrow() > 0
    }

    /// Waits until the members were set. Cancel-safe.
    pub async fn wait_resolved(&self) {
        let mut settings = self.generation.subscribe();
        // The sender is ours, so it cannot be dropped during the wait.
        let _ = settings.wait_for(|count| *count > 0).await;
    }

    /// Subscribes to changes of the members.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Sets the number of requests in flight in the process that was taken over from.
    pub fn set_elsewhere(&self, requests: u64) {
        self.elsewhere.store(requests, Ordering::Relaxed);
    }

    /// Requests in flight on the release, including those on removed endpoints and in the process that was taken over
    /// from.
    pub fn in_flight(&self) -> u64 {
        self.load.sum() + self.elsewhere.load(Ordering::Relaxed)
    }

    /// Number of endpoints that are not unhealthy and take new work.
    pub fn healthy(&self) -> usize {
        self.members
            .load()
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.health() != Health::Unhealthy && endpoint.weight() > 0)
            .count()
    }

    /// True if a request could be served: at least one endpoint is not unhealthy.
    pub fn is_ready(&self) -> bool {
        self.healthy() > 0
    }

    /// Picks an endpoint and counts the request on it, in one step.
    ///
    /// # Errors
    /// If all endpoints are unhealthy or full, or there are none.
    pub fn pick(&self, pick: &Pick<'_>) -> Result<InFlight, PickError> {
        let members = self.members.load();
        let counters = &members.counters[pick.slot % members.counters.len()];
        let at = (pick.slot, pick.now_ms);
        if !members.is_weighted
            && let Some(index) = pick.plain_index(&members.endpoints)
        {
            return InFlight::new(counters, index, at).ok_or(PickError::NoEndpoint);
        }
        let choice = Choice {
            pick,
            endpoints: &members.endpoints,
            turns: &counters.turns,
        };
        if !pick.policy.limits_endpoints() {
            return InFlight::new(counters, choice.index()?, at).ok_or(PickError::NoEndpoint);
        }
        self.pick_limited(&choice, counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(count: u16) -> Roster {
        let roster = Roster::new(ReleaseName::new("blue").unwrap(), Version::default(), 2);
        let member = |port: u16| {
            (
                format!("http://127.0.0.1:{port}").parse().unwrap(),
                SocketAddr::from(([127, 0, 0, 1], port)),
            )
        };
        roster.set(&(1..=count).map(member).collect::<Vec<_>>());
        roster
    }

    /// A spread of random numbers that is the same on every run.
    fn draws(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn a_removed_endpoint_is_draining_until_its_last_request_ends() {
        let roster = roster(2);
        let all: Vec<_> = roster.endpoints().iter().cloned().collect();
        let members: Vec<_> = all
            .iter()
            .map(|endpoint| (endpoint.spec(), endpoint.address()))
            .collect();
        let in_flight: Vec<_> = (0..2)
            .map(|_| {
                roster
                    .pick(&Pick {
                        tried: &[all[1].address()],
                        ..Pick::random(0, 0, 0)
                    })
                    .unwrap()
            })
            .collect();
        roster.set(&members[1..]);
        roster.set(&members[1..]);
        assert!(Arc::ptr_eq(&roster.draining()[0], &all[0]));
        assert_eq!((roster.draining().len(), roster.in_flight()), (1, 2));
        all[0].set_health(Health::Unhealthy);
        roster.set(&members);
        assert!(Arc::ptr_eq(&roster.endpoints()[0], &all[0]), "its counts");
        assert_eq!(all[0].health(), Health::Unknown);
        assert!(roster.draining().is_empty());
        roster.set(&members[1..]);
        assert_eq!(roster.draining().len(), 1);
        drop(in_flight);
        assert!(roster.draining().is_empty());
    }

    #[test]
    fn picking_and_counting_is_one_step_and_dropping_counts_down() {
        let roster = roster(3);
        let held: Vec<_> = draws(300)
            .map(|draw| roster.pick(&Pick::random(draw, 0, 1)).unwrap())
            .collect();
        assert_eq!(roster.in_flight(), 300);
        for endpoint in roster.endpoints().iter() {
            assert!(
                (90..=110).contains(&endpoint.in_flight()),
                "two choices keep loads close: {}",
                endpoint.in_flight()
            );
        }
        drop(held);
        assert_eq!(roster.in_flight(), 0);
        assert!(
            roster
                .endpoints()
                .iter()
                .all(|endpoint| endpoint.in_flight() == 0)
        );
    }

    #[test]
    fn counts_come_back_wherever_they_are_dropped_while_the_members_change() {
        let roster = Arc::new(roster(4));
        let all: Vec<_> = roster.endpoints().iter().cloned().collect();
        let member = |endpoint: &Arc<Endpoint>| (endpoint.spec(), endpoint.address());
        let members: Vec<_> = all.iter().map(member).collect();
        let (give, take) = std::sync::mpsc::sync_channel(64);
        std::thread::scope(|scope| {
            for slot in 0..2 {
                let (roster, give) = (Arc::clone(&roster), give.clone());
                scope.spawn(move || {
                    for draw in draws(20_000) {
                        let picked = roster.pick(&Pick::random(draw, 0, slot)).unwrap();
                        assert!(picked.endpoint().in_flight() > 0);
                        give.send(picked).unwrap();
                    }
                });
            }
            drop(give);
            scope.spawn(move || take.into_iter().for_each(drop));
            for turn in 0..2_000 {
                roster.set(&members[turn % 3..]);
            }
        });
        assert_eq!(roster.in_flight(), 0);
        assert!(all.iter().all(|endpoint| endpoint.in_flight() == 0));
        let held = roster.pick(&Pick::random(0, 0, 0)).unwrap();
        roster.set(&[]);
        let (endpoint, kept) = (Arc::downgrade(held.endpoint()), Arc::downgrade(&all[3]));
        drop(all);
        assert!(endpoint.upgrade().is_some());
        drop(held);
        assert!(endpoint.upgrade().is_none() && kept.upgrade().is_none());
    }

    #[test]
    fn an_unhealthy_endpoint_is_never_picked_and_none_left_is_none() {
        let roster = roster(2);
        roster.endpoints()[0].set_health(Health::Unhealthy);
        assert!(draws(100).all(|draw| {
            roster
                .pick(&Pick::random(draw, 0, 0))
                .unwrap()
                .endpoint()
                .address()
                .port()
                == 2
        }));
        roster.endpoints()[1].set_health(Health::Unhealthy);
        assert_eq!(
            roster.pick(&Pick::random(1, 0, 0)).unwrap_err(),
            PickError::NoEndpoint
        );
        assert!(!roster.is_ready());
    }

    #[test]
    fn a_refused_endpoint_is_skipped_then_tried_once_and_never_the_last_one() {
        let roster = roster(2);
        roster.endpoints()[0].refused(0);
        assert!(draws(50).all(|draw| {
            roster
                .pick(&Pick::random(draw, 999, 0))
                .unwrap()
                .endpoint()
                .address()
                .port()
                == 2
        }));
        let tried = draws(50)
            .filter(|draw| {
                roster
                    .pick(&Pick::random(*draw, 1_000, 0))
                    .unwrap()
                    .endpoint()
                    .address()
                    .port()
                    == 1
            })
            .count();
        assert_eq!(tried, 1);
        roster.endpoints()[1].refused(1_000);
        assert!(
            roster.pick(&Pick::random(7, 1_001, 0)).is_ok(),
            "a refusal never empties a release"
        );
    }

    #[test]
    fn what_was_tried_is_not_picked_again() {
        let roster = roster(2);
        let tried = [SocketAddr::from(([127, 0, 0, 1], 2))];
        assert!(draws(50).all(|draw| {
            roster
                .pick(&Pick {
                    tried: &tried,
                    ..Pick::random(draw, 0, 0)
                })
                .unwrap()
                .endpoint()
                .address()
                .port()
                == 1
        }));
        let all = [tried[0], SocketAddr::from(([127, 0, 0, 1], 1))];
        assert!(
            roster
                .pick(&Pick {
                    tried: &all,
                    ..Pick::random(3, 0, 0)
                })
                .is_err()
        );
    }

    #[test]
    fn the_preferred_endpoint_is_picked_while_it_is_available() {
        let roster = roster(3);
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let port = |preferred, tried: &[SocketAddr], draw| {
            let pick = Pick {
                preferred: Some(preferred),
                tried,
                ..Pick::random(draw, 0, 0)
            };
            roster.pick(&pick).unwrap().endpoint().address().port()
        };
        assert!(draws(50).all(|draw| port(address(2), &[], draw) == 2));
        assert!(draws(50).all(|draw| port(address(2), &[address(2)], draw) != 2));
        assert!(draws(50).any(|draw| port(address(9), &[], draw) == 2));
        roster.endpoints()[1].refused(0);
        assert!(draws(50).all(|draw| port(address(2), &[], draw) != 2));
        roster.endpoints()[2].set_health(Health::Unhealthy);
        assert!(draws(50).all(|draw| port(address(3), &[], draw) == 1));
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_counts() {
        let roster = roster(2);
        let held = roster.pick(&Pick::random(0, 0, 0)).unwrap();
        let member = |endpoint: &Arc<Endpoint>| (endpoint.spec(), endpoint.address());
        let kept = member(held.endpoint());
        roster.set(&[kept]);
        assert_eq!(roster.endpoints()[0].in_flight(), 1);
        roster.set(&[]);
        assert_eq!(
            roster.in_flight(),
            1,
            "what is in flight on an endpoint that left still counts for the release"
        );
    }
}
