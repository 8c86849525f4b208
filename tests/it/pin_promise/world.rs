//! Three releases of two agents each, a proxy before them, the sessions, and the steps that happen to all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::agent::Agent;
use super::model::{Model, Place, Policy, Table, Versioned};
use super::session::{Kind, Session, Tunnel};
use crate::support::random::Random;
use crate::support::{Client, Response, Served, wait_until};

const RELEASES: [&str; 3] = ["blue", "green", "red"];
const ROUTES: [&str; 5] = ["header", "cookie", "mcp", "a2a", "socket"];
/// Largest number of sessions and of WebSockets.
const MOST: usize = 40;

pub(super) struct World {
    random: Random,
    policy: Policy,
    // In the order of `RELEASES`.
    agents: [[Agent; 2]; 3],
    proxy: Option<Served>,
    model: Model,
    sessions: Vec<Session>,
    tunnels: Vec<Tunnel>,
}

impl World {
    pub(super) fn start(seed: u64, policy: Policy) -> Self {
        let agents =
            RELEASES.map(|name| [1, 2].map(|number| Agent::start(&format!("{name}-{number}"))));
        // So long waits a request for a release whose agents are all down.
        let mut lines = String::from("[timeouts]\nconnect = \"200ms\"\n");
        for (name, agents) in RELEASES.iter().zip(&agents) {
            let urls = urls(agents);
            writeln!(
                lines,
                "[releases.{name}]\nversion = \"1\"\nendpoints = {urls:?}"
            )
            .unwrap();
        }
        for name in ROUTES {
            let of_kind = Kind::ALL.iter().find(|kind| kind.route() == name);
            writeln!(
                lines,
                "[[routes]]\nname = {name:?}\npath_prefix = \"/{name}/\"\nsplit = {{ blue = 5, green = 3, red = 2 }}\n{}{}",
                policy.lines(),
                of_kind.map_or("", |kind| kind.lines())
            )
            .unwrap();
        }
        let mut world = Self {
            random: Random(seed),
            policy,
            agents,
            proxy: Some(Served::start(&lines)),
            model: Model::default(),
            sessions: Vec::new(),
            tunnels: Vec::new(),
        };
        world.model.table = world.read();
        world
    }

    /// Lets random things happen, then asks every session once more, and looks that nothing stays in flight.
    pub(super) fn run(mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
        for place in 0..self.sessions.len() {
            self.ask(place);
        }
        self.tunnels.clear();
        for family in [
            "switchback_requests_in_flight",
            "switchback_endpoint_requests_in_flight",
        ] {
            wait_until("nothing is in flight", || {
                let counters = self.proxy().counters(family);
                counters.iter().all(|counter| counter.ends_with(" 0"))
            });
        }
        self.proxy.take().unwrap().running.stop();
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0 => self.restart(),
            1 | 2 => self.fail_or_recover(),
            3 => self.set_endpoints(),
            4 => self.replace_version(),
            5 => self.remove(),
            6..=8 => self.split(),
            9..=10 => self.switch(),
            11..=13 => self.rollback(),
            14..=16 => self.forge(),
            17..=20 => self.begin(),
            21 => self.open_tunnel(),
            22..=24 => self.exchange(),
            _ if !self.sessions.is_empty() => {
                let place = self.below(self.sessions.len());
                self.ask(place);
            }
            _ => {}
        }
    }

    // === what is there ===

    fn proxy(&self) -> &Served {
        self.proxy.as_ref().expect("it runs")
    }

    fn client(&self) -> Client {
        self.proxy().client()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    fn route(&mut self) -> &'static str {
        ROUTES[self.below(ROUTES.len())]
    }

    fn read(&self) -> Table {
        Table::read(&self.proxy().done("GET", "/v1/table", &Value::Null))
    }

    /// True if an endpoint of a release is up.
    fn can_answer(&self, release: &str) -> bool {
        let Some((_, endpoints)) = self.model.table.releases.get(release) else {
            return false;
        };
        let mut agents = self.agents.iter().flatten();
        agents.any(|agent| agent.is_up() && endpoints.contains(&agent.url()))
    }

    /// True if every release with a weight can answer.
    fn is_sound(&self, route: &str) -> bool {
        let mut weighed = self.model.table.weighed(route);
        weighed.all(|(release, _)| self.can_answer(&release))
    }

    // === changes ===

    /// Makes a change for a cause; where it is refused nothing changes.
    fn change(&mut self, method: &str, path: &str, body: &Value, cause: &str) {
        let is_cut = path.ends_with("?cut=true");
        let (status, receipt) = self.proxy().admin(method, path, body);
        let after = self.read();
        if !matches!(status, 200 | 201) {
            assert!(
                matches!(status, 404 | 409 | 422),
                "{path}: {status} {receipt}"
            );
            assert_eq!(after, self.model.table, "{path} was refused: {receipt}");
            return;
        }
        let gone = self.model.become_live(after, (cause, is_cut), self.policy);
        if is_cut {
            let left = |release: &Versioned| gone.contains(&("socket".to_owned(), release.clone()));
            let tunnels = std::mem::take(&mut self.tunnels);
            let (cut, kept) = tunnels
                .into_iter()
                .partition(|tunnel| left(&tunnel.release));
            self.tunnels = kept;
            Vec::into_iter(cut).for_each(Tunnel::assert_cut);
        }
    }

    fn query(&mut self) -> &'static str {
        if self.random.below(4) == 0 {
            "?cut=true"
        } else {
            ""
        }
    }

    fn split(&mut self) {
        let route = self.route();
        let names: Vec<_> = self.model.table.releases.keys().cloned().collect();
        let mut weights: BTreeMap<_, _> = names
            .iter()
            .map(|name| (name, self.random.below(3)))
            .collect();
        *weights.get_mut(&names[self.below(names.len())]).unwrap() += 1;
        let (path, body) = (
            format!("/v1/routes/{route}/split"),
            json!({ "weights": weights }),
        );
        self.change("PUT", &path, &body, "split");
    }

    fn switch(&mut self) {
        let (route, release) = (self.route(), RELEASES[self.below(3)]);
        let path = format!("/v1/routes/{route}/switch{}", self.query());
        self.change("POST", &path, &json!({ "to": release }), "switch");
    }

    fn rollback(&mut self) {
        let (route, query) = (self.route(), self.query());
        let path = match self.random.below(3) {
            0 => format!("/v1/rollback{query}"),
            _ => format!("/v1/routes/{route}/rollback{query}"),
        };
        self.change("POST", &path, &json!({}), "rollback");
    }

    /// A release has one endpoint more or less, or is there again.
    fn set_endpoints(&mut self) {
        let (place, stays) = (self.below(3), self.below(3));
        let version = self
            .model
            .table
            .version(RELEASES[place])
            .unwrap_or("1")
            .to_owned();
        self.put(place, &version, stays);
    }

    fn replace_version(&mut self) {
        let place = self.below(3);
        let version = match self.model.table.version(RELEASES[place]) {
            Some("1") => "2",
            _ => "1",
        };
        self.put(place, version, 2);
    }

    /// Writes a release with the first agent, the second or both.
    fn put(&mut self, place: usize, version: &str, stays: usize) {
        let urls = urls(&self.agents[place]);
        let urls = urls.get(stays..=stays).unwrap_or(&urls);
        let body = json!({ "version": version, "endpoints": urls });
        self.change(
            "PUT",
            &format!("/v1/releases/{}", RELEASES[place]),
            &body,
            "split",
        );
    }

    /// Takes a release out of every split, and then out of the table.
    fn remove(&mut self) {
        let release = RELEASES[self.below(3)];
        let others: Vec<_> = self
            .model
            .table
            .releases
            .keys()
            .filter(|name| *name != release)
            .cloned()
            .collect();
        let Some(other) = others.first() else { return };
        for route in ROUTES {
            if !self.model.table.routes[route].contains_key(release) {
                continue;
            }
            let mut weights = self.model.table.routes[route].clone();
            weights.remove(release);
            if weights.values().all(|weight| *weight == 0) {
                weights.insert(other.clone(), 1);
            }
            let path = format!("/v1/routes/{route}/split");
            self.change(
                "PUT",
                &path,
                &json!({ "weights": weights, "drop": true }),
                "split",
            );
        }
        let path = format!("/v1/releases/{release}?force=true");
        self.change("DELETE", &path, &Value::Null, "remove");
    }

    // === failures ===

    fn fail_or_recover(&mut self) {
        // Mostly one that is down recovers, so that few requests wait for a release that is not there.
        let mut agents = self.agents.iter().flatten();
        let down = agents.position(|agent| !agent.is_up());
        let chosen = match down {
            Some(place) if self.random.below(3) > 0 => place,
            _ => self.below(6),
        };
        let agent = &mut self.agents[chosen / 2][chosen % 2];
        agent.set_up(!agent.is_up());
        let (name, is_up) = (agent.name.clone(), agent.is_up());
        if !is_up {
            let tunnels = std::mem::take(&mut self.tunnels);
            let (ended, kept) = tunnels.into_iter().partition(|tunnel| tunnel.agent == name);
            self.tunnels = kept;
            Vec::into_iter(ended).for_each(Tunnel::assert_ended);
        }
    }

    fn restart(&mut self) {
        self.proxy = self.proxy.take().map(Served::restart);
        self.sessions.iter_mut().for_each(Session::forget);
        self.tunnels.drain(..).for_each(Tunnel::assert_ended);
        assert_eq!(self.read(), self.model.table);
    }

    // === sessions ===

    fn begin(&mut self) {
        let kind = Kind::ALL[self.below(4)];
        if self.sessions.len() >= MOST || !self.is_sound(kind.route()) {
            return;
        }
        let response = kind.begin(&mut self.client());
        let (release, id) = (
            self.reached(kind.route(), &response),
            kind.id_in(&response).unwrap(),
        );
        let session = Session {
            kind,
            inner: match kind {
                Kind::Header | Kind::Cookie => response.text(),
                Kind::Mcp | Kind::A2a => String::new(),
            },
            id,
            pin: release.clone(),
            sealed: release,
            is_remembered: true,
        };
        assert!(session.is_ready(&mut self.client()), "{session:?}");
        self.sessions.push(session);
    }

    /// The release that has answered a request which may go by the split.
    fn reached(&self, route: &str, response: &Response) -> Versioned {
        let release = release_of(response);
        assert!(
            self.model.table.weight(route, release) > 0,
            "{release} has no weight on {route}: {:?}\n{}",
            self.model.table,
            response.head
        );
        self.model.table.versioned(release)
    }

    /// One request of a session.
    fn ask(&mut self, place: usize) {
        let session = self.sessions[place].clone();
        let (kind, route) = (session.kind, session.kind.route());
        let is_pinned = kind != Kind::A2a || session.is_remembered;
        let expected = match self.model.place(route, &session.pin) {
            Place::Release(release) if is_pinned => Place::Release(release),
            _ => Place::Split,
        };
        let is_sound = match expected {
            Place::Release(release) => self.can_answer(release),
            Place::Split => self.is_sound(route),
        };
        if kind == Kind::Mcp && !is_sound {
            // What opens a session waits for a release that starts.
            return;
        }
        let response = kind.ask(&mut self.client(), &session.id);
        if response.status != 200 {
            let is_lost = response.value("x-switchback-reason") == Some("session_lost");
            let may_be_lost = kind == Kind::Mcp && !session.is_remembered;
            assert!(
                !is_sound || is_lost && may_be_lost,
                "{session:?}: {expected:?}\n{}{}",
                response.head,
                response.text()
            );
            return;
        }
        let reached = match expected {
            Place::Release(release) => {
                assert_eq!(
                    release_of(&response),
                    release,
                    "a live pin: {session:?}\n{:?}",
                    self.model
                );
                session.pin.clone()
            }
            Place::Split => self.reached(route, &response),
        };
        let session = &mut self.sessions[place];
        session.pin = reached;
        match kind {
            Kind::Mcp => {}
            Kind::A2a => session.is_remembered = true,
            Kind::Header | Kind::Cookie => {
                assert_eq!(response.text(), session.inner, "the agent knows its own id");
                session.id = kind.id_in(&response).unwrap();
                session.sealed = session.pin.clone();
            }
        }
    }

    /// A forged id: the agent gets it as it is, and the request goes by the split.
    fn forge(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let place = self.below(self.sessions.len());
        let session = self.sessions[place].clone();
        let (kind, route) = (session.kind, session.kind.route());
        let Some(forged) = session.forged(&mut self.random) else {
            return;
        };
        if !self.is_sound(route) {
            return;
        }
        let response = kind.ask(&mut self.client(), &forged);
        if kind == Kind::Mcp {
            assert_eq!(
                (response.status, &response.text()[..]),
                (404, "no such session")
            );
        } else {
            assert_eq!(response.text(), forged, "{session:?}");
        }
        self.reached(route, &response);
    }

    // === WebSockets ===

    fn open_tunnel(&mut self) {
        if self.tunnels.len() >= MOST || !self.is_sound("socket") {
            return;
        }
        let mut tunnel = Tunnel::open(self.client()).expect("a release can answer");
        let release = tunnel.agent.split('-').next().unwrap();
        assert!(self.model.table.weight("socket", release) > 0, "{release}");
        tunnel.release = self.model.table.versioned(release);
        self.tunnels.push(tunnel);
    }

    /// A message of each WebSocket is answered by the agent that it began with.
    fn exchange(&mut self) {
        for tunnel in &mut self.tunnels {
            assert_eq!(tunnel.exchange(), tunnel.agent);
        }
    }
}

fn urls(agents: &[Agent]) -> Vec<String> {
    agents.iter().map(Agent::url).collect()
}

fn release_of(response: &Response) -> &str {
    let agent = response.value("x-agent");
    let agent = agent.unwrap_or_else(|| panic!("{}{}", response.head, response.text()));
    agent.split('-').next().unwrap()
}
