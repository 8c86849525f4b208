//! The model: the decisions that are live, and how the releases without a weight left their routes.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// A release with its version.
pub(super) type Versioned = (String, String);

/// Sessions with a pin move if their release leaves for these causes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy(pub(super) &'static [&'static str]);

/// All decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Version and endpoints of each release.
    pub(super) releases: BTreeMap<String, (String, Vec<String>)>,
    /// Weights of each route.
    pub(super) routes: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The place that a request of a session must reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'m> {
    /// The release of its pin.
    Release(&'m str),
    /// Any release with a weight.
    Split,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) table: Table,
    /// True if sessions with a pin to it move, by route.
    left: HashMap<(String, Versioned), bool>,
}

impl Policy {
    /// The lines of a route.
    pub(super) fn lines(self) -> String {
        let causes = ["switch", "split", "rollback", "remove"].map(|cause| {
            let session = if self.0.contains(&cause) {
                "move"
            } else {
                "keep"
            };
            format!("{cause} = {{ session = {session:?} }}")
        });
        format!("in_flight = {{ {} }}\n", causes.join(", "))
    }
}

impl Table {
    /// The table as the admin API shows it.
    pub(super) fn read(table: &Value) -> Self {
        let texts = |list: &Value| {
            let list = list.as_array().unwrap().iter();
            list.map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let release = |(name, release): (&String, &Value)| {
            let version = release["version"].as_str().unwrap_or_default().to_owned();
            (name.clone(), (version, texts(&release["endpoints"])))
        };
        let weights = |route: &Value| {
            let split = route["split"].as_object().unwrap().iter();
            split
                .map(|(name, weight)| (name.clone(), weight.as_u64().unwrap()))
                .collect()
        };
        let route = |route: &Value| (route["name"].as_str().unwrap().to_owned(), weights(route));
        Self {
            releases: table["releases"]
                .as_object()
                .unwrap()
                .iter()
                .map(release)
                .collect(),
            routes: table["routes"]
                .as_array()
                .unwrap()
                .iter()
                .map(route)
                .collect(),
        }
    }

    pub(super) fn version(&self, release: &str) -> Option<&str> {
        self.releases
            .get(release)
            .map(|(version, _)| version.as_str())
    }

    /// The release as it is now.
    pub(super) fn versioned(&self, release: &str) -> Versioned {
        (
            release.to_owned(),
            self.version(release).unwrap().to_owned(),
        )
    }

    pub(super) fn weight(&self, route: &str, release: &str) -> u64 {
        self.routes[route].get(release).copied().unwrap_or_default()
    }

    /// The releases of a route that have a weight.
    pub(super) fn weighed(&self, route: &str) -> impl Iterator<Item = Versioned> {
        let weights = self.routes[route].iter();
        let weighed = weights.filter(|(_, weight)| **weight > 0);
        weighed.map(|(release, _)| self.versioned(release))
    }
}

impl Model {
    /// Takes a change over: by the cause, releases that had a weight and have none any more left. Returns those, by route.
    pub(super) fn become_live(
        &mut self,
        after: Table,
        (cause, is_cut): (&str, bool),
        policy: Policy,
    ) -> Vec<(String, Versioned)> {
        let before = std::mem::replace(&mut self.table, after);
        let mut gone = Vec::new();
        for route in before.routes.keys() {
            let is: Vec<_> = self.table.weighed(route).collect();
            for release in before
                .weighed(route)
                .filter(|release| !is.contains(release))
            {
                let is_there = self.table.version(&release.0) == Some(&release.1);
                let cause = if is_there || cause == "rollback" {
                    cause
                } else {
                    "remove"
                };
                let moves = is_cut || policy.0.contains(&cause);
                self.left.insert((route.clone(), release.clone()), moves);
                gone.push((route.clone(), release));
            }
            for release in is {
                self.left.remove(&(route.clone(), release));
            }
        }
        gone
    }

    /// The place that a session with this pin must reach.
    pub(super) fn place<'m>(&self, route: &str, pin: &'m Versioned) -> Place<'m> {
        let is_there = self.table.version(&pin.0) == Some(&pin.1);
        let is_in_split = self.table.routes[route].contains_key(&pin.0);
        let moves = self.left.get(&(route.to_owned(), pin.clone()));
        if is_there && is_in_split && !moves.copied().unwrap_or_default() {
            Place::Release(&pin.0)
        } else {
            Place::Split
        }
    }
}
