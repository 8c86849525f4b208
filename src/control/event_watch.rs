//! Changes of facts, seen once a second: health, ejections, readiness, drained releases, the disk.
//!
//! Facts change on the threads that carry traffic, where nothing is published; so they are compared with what they were.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    status::{ejection_cause, endpoint_health},
    watch_set::{ReleaseKey, key_of},
};
use crate::{
    api::{EjectionCause, EndpointHealth, EventBody},
    fleet::{Endpoint, Roster, RosterRole, WatchedRelease},
    history::HistoryHealth,
    model::ReleaseName,
};

/// Most events of endpoints in one look; the others come with the next one.
const MOST_ENDPOINTS: usize = 64;

/// The facts as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct EventWatch {
    /// By the address of the endpoint in memory, which this holds.
    endpoints: HashMap<usize, KnownEndpoint>,
    releases: HashMap<ReleaseKey, KnownRelease>,
    is_rollback_ready: Option<bool>,
    is_disk_ok: Option<bool>,
}

/// The facts now.
pub(super) struct Facts<'a> {
    pub(super) watched: &'a [WatchedRelease],
    /// Releases that a route of the live table gives requests to.
    pub(super) chosen: &'a HashSet<&'a ReleaseName>,
    /// True if nothing is in flight on a release and nothing can come.
    pub(super) is_drained: &'a dyn Fn(&Arc<Roster>) -> bool,
    /// True if a rollback is ready; none if there is nothing to go back to.
    pub(super) is_rollback_ready: Option<bool>,
    pub(super) disk: HistoryHealth,
}

type KnownEndpoint = (Arc<Endpoint>, EndpointState);

/// Health of an endpoint, and the reason of its ejection.
type EndpointState = (EndpointHealth, Option<EjectionCause>);

#[derive(Debug)]
struct KnownRelease {
    roster: Arc<Roster>,
    is_live: bool,
    is_ready: bool,
    is_drained: bool,
}

impl EventWatch {
    /// Events of the changes since the last look; none at the first one.
    pub(super) fn look(&mut self, facts: &Facts<'_>) -> Vec<EventBody> {
        let mut events = self.releases(facts);
        self.endpoints(facts, &mut events);
        events.extend(self.rollback_readiness(facts.is_rollback_ready));
        let ok = facts.disk.error.is_none();
        if self.is_disk_ok.replace(ok).unwrap_or(true) != ok {
            events.push(EventBody::Disk {
                ok,
                error: facts.disk.error.clone(),
                pending: facts.disk.pending,
            });
        }
        events
    }

    /// The event of a rollback that is ready now, or not any more. Where there is nothing to go back to, none is told of,
    /// and the first one after that counts as one that was ready.
    fn rollback_readiness(&mut self, now: Option<bool>) -> Option<EventBody> {
        let Some(ready) = now else {
            self.is_rollback_ready.get_or_insert(true);
            return None;
        };
        let was = self.is_rollback_ready.replace(ready)?;
        (was != ready).then_some(EventBody::RollbackReadiness { ready })
    }

    fn releases(&mut self, facts: &Facts<'_>) -> Vec<EventBody> {
        let mut events = Vec::new();
        let mut now = HashMap::new();
        for watched in facts.watched.iter().filter(|one| is_meant(one)) {
            let key = key_of(watched);
            let before = self.releases.remove(&key);
            let is_live = watched.role == RosterRole::Live;
            // The question walks over all routes, so it is asked only about what drains.
            let is_drained = match &before {
                _ if is_live && facts.chosen.contains(&key.0) => false,
                Some(before) if !before.is_drained => (facts.is_drained)(&watched.roster),
                _ => watched.roster.in_flight() == 0,
            };
            let known = KnownRelease {
                is_live,
                is_ready: watched.roster.is_ready(),
                is_drained,
                roster: Arc::clone(&watched.roster),
            };
            if let Some(before) = before {
                events.extend(before.changes(&key, &known));
            }
            now.insert(key, known);
        }
        // Those that are watched no more: what has drained is forgotten at once.
        for (key, gone) in std::mem::replace(&mut self.releases, now) {
            if !gone.is_drained && gone.roster.in_flight() == 0 {
                events.push(drained(&key));
            }
        }
        events
    }

    fn endpoints(&mut self, facts: &Facts<'_>, events: &mut Vec<EventBody>) {
        let mut now = HashMap::new();
        let mut room = MOST_ENDPOINTS;
        for watched in facts.watched.iter().filter(|one| is_meant(one)) {
            let is_checked = watched.spec.health.is_some();
            for endpoint in watched.roster.endpoints().iter() {
                let address = Arc::as_ptr(endpoint).addr();
                let ejected = endpoint.ejected().map(ejection_cause);
                let mut state = (endpoint_health(endpoint, is_checked), ejected);
                let before = self.endpoints.get(&address).map(|known| known.1);
                if let Some(before) = before.filter(|before| *before != state) {
                    if room == 0 {
                        state = before;
                    } else {
                        room -= 1;
                        events.push(changed(watched, endpoint, state));
                    }
                }
                now.insert(address, (Arc::clone(endpoint), state));
            }
        }
        self.endpoints = now;
    }
}

/// True for releases that serve, or would after a rollback.
fn is_meant(watched: &WatchedRelease) -> bool {
    watched.role != RosterRole::Candidate
}

impl KnownRelease {
    fn changes(&self, key: &ReleaseKey, now: &Self) -> Vec<EventBody> {
        let mut events = Vec::new();
        if now.is_live && self.is_ready != now.is_ready {
            events.push(EventBody::Release {
                release: key.0.clone(),
                version: key.1.clone(),
                ready: now.is_ready,
            });
        }
        if now.is_drained && !self.is_drained {
            events.push(drained(key));
        }
        events
    }
}

fn drained(key: &ReleaseKey) -> EventBody {
    EventBody::Drained {
        release: key.0.clone(),
        version: key.1.clone(),
    }
}

fn changed(
    watched: &WatchedRelease,
    endpoint: &Endpoint,
    (health, ejected): EndpointState,
) -> EventBody {
    EventBody::Endpoint {
        release: watched.roster.release().clone(),
        version: watched.roster.version().clone(),
        endpoint: endpoint.url().clone(),
        address: endpoint.address().to_string(),
        health,
        ejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::{Fleet, Health},
        model::{Hashed, ReleaseSpec, Version},
    };

    fn watched(fleet: &Fleet, name: &str, ports: std::ops::Range<u16>) -> WatchedRelease {
        let roster = fleet.roster(&name.parse().unwrap(), &Version::default());
        let endpoints: Vec<_> = ports
            .map(|port| {
                let address = format!("127.0.0.1:{port}");
                let url = format!("http://{address}").parse().unwrap();
                (url, address.parse().unwrap())
            })
            .collect();
        roster.set(&endpoints);
        let spec: ReleaseSpec = serde_json::from_str(r#"{"health":{"path":"/healthz"}}"#).unwrap();
        WatchedRelease {
            roster,
            spec: Arc::new(Hashed::new(spec)),
            urls: Arc::new([]),
            role: RosterRole::Live,
        }
    }

    struct Scene {
        watch: EventWatch,
        drained: Vec<String>,
        is_ready: Option<bool>,
        error: Option<String>,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                watch: EventWatch::default(),
                drained: Vec::new(),
                is_ready: Some(false),
                error: None,
            }
        }

        fn look(&mut self, watched: &[WatchedRelease]) -> Vec<String> {
            let drained = &self.drained;
            let live = watched.iter().map(|one| one.roster.release());
            let chosen = live.filter(|name| !drained.iter().any(|one| one == name.as_str()));
            let chosen = chosen.collect();
            let is_drained =
                |roster: &Arc<Roster>| drained.iter().any(|name| name == roster.release().as_str());
            let facts = Facts {
                watched,
                chosen: &chosen,
                is_drained: &is_drained,
                is_rollback_ready: self.is_ready,
                disk: HistoryHealth {
                    pending: 2,
                    error: self.error.clone(),
                },
            };
            let events = self.watch.look(&facts);
            let shown = |event: &EventBody| serde_json::to_string(event).unwrap();
            events.iter().map(shown).collect()
        }
    }

    #[test]
    fn what_has_changed_is_said_once_and_nothing_at_the_first_look() {
        let fleet = Fleet::new(1);
        let all = [
            watched(&fleet, "blue", 1..2),
            watched(&fleet, "green", 2..3),
        ];
        let mut scene = Scene::new();
        assert_eq!(scene.look(&all), [""; 0]);
        all[0].roster.endpoints()[0].set_health(Health::Unhealthy);
        scene.is_ready = Some(true);
        scene.error = Some("no space".to_owned());
        scene.drained = vec!["green".to_owned()];
        let events = scene.look(&all);
        let expected = [
            r#"{"type":"release","release":"blue","version":"unversioned","ready":false}"#,
            r#"{"type":"drained","release":"green","version":"unversioned"}"#,
            r#"{"type":"endpoint","release":"blue","version":"unversioned","endpoint":"http://127.0.0.1:1","address":"127.0.0.1:1","health":"unhealthy"}"#,
            r#"{"type":"rollback_readiness","ready":true}"#,
            r#"{"type":"disk","ok":false,"error":"no space","pending":2}"#,
        ];
        let version = Version::default();
        let expected = expected.map(|one| one.replace("unversioned", version.as_str()));
        assert_eq!(events, expected);
        assert_eq!(scene.look(&all), [""; 0]);
    }

    #[test]
    fn where_there_is_nothing_to_go_back_to_no_rollback_is_ready_or_not() {
        let mut scene = Scene::new();
        let mut said = |ready| {
            scene.is_ready = ready;
            scene.look(&[])
        };
        let event = |ready| {
            [format!(
                r#"{{"type":"rollback_readiness","ready":{ready}}}"#
            )]
        };
        assert_eq!(said(None), [""; 0]);
        assert_eq!(said(Some(true)), [""; 0], "the first way back is ready");
        assert_eq!(said(None), [""; 0], "it was taken");
        assert_eq!(said(Some(false)), event(false));
        assert_eq!(said(None), [""; 0]);
        assert_eq!(said(Some(true)), event(true));
    }

    #[test]
    fn a_release_that_is_forgotten_has_drained_unless_its_time_was_over() {
        let fleet = Fleet::new(1);
        let all = [
            watched(&fleet, "blue", 1..2),
            watched(&fleet, "green", 2..3),
        ];
        let mut scene = Scene::new();
        scene.look(&all);
        let pick = crate::fleet::Pick::random(0, 0, 0);
        let request = all[1].roster.pick(&pick).unwrap();
        let events = scene.look(&[]);
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(
            events[0].contains(r#""drained","release":"blue""#),
            "{events:?}"
        );
        drop(request);
    }

    #[test]
    fn a_whole_fleet_that_fails_at_once_comes_piece_by_piece() {
        let fleet = Fleet::new(1);
        let all = [watched(&fleet, "blue", 1..100)];
        let mut scene = Scene::new();
        scene.look(&all);
        for endpoint in all[0].roster.endpoints().iter() {
            endpoint.set_health(Health::Unhealthy);
        }
        let count = |events: Vec<String>| {
            let mut events = events.iter();
            events
                .by_ref()
                .filter(|one| one.contains("\"endpoint\""))
                .count()
        };
        assert_eq!(count(scene.look(&all)), MOST_ENDPOINTS);
        assert_eq!(count(scene.look(&all)), 99 - MOST_ENDPOINTS);
        assert_eq!(count(scene.look(&all)), 0);
    }
}
