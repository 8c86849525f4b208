//! The configuration file as one type: static settings and the table.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    AccessLog, Admin, Discovery, HealthChecks, History, Limits, Listener, Log, Network, Observe,
    Rollback, Shutdown, Timeouts, Variables,
};
use crate::model::{ReleaseDocument, ReleaseName, RouteSpec, TableDocument};

/// The most workers that are started without being asked for.
const MOST_WORKERS: usize = 16;

/// A configuration. One that came from [`load`](super::load) is valid, and its paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads of the data plane; when absent, the cores that this process may use, at most 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Peers whose forwarding header fields are believed.
    pub trusted_proxies: Vec<Network>,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// The admin API.
    pub admin: Admin,
    /// A listener for metrics and probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<Observe>,
    /// Where revisions are kept.
    pub history: History,
    /// What is kept warm.
    pub rollback: Rollback,
    /// How requests are rewritten.
    pub headers: Headers,
    /// How much of anything.
    pub limits: Limits,
    /// How long anything.
    pub timeouts: Timeouts,
    /// How names become addresses.
    pub discovery: Discovery,
    /// Active health checks.
    pub health_checks: HealthChecks,
    /// The log of requests.
    pub access_log: AccessLog,
    /// The log of what happens.
    pub log: Log,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Releases by name.
    pub releases: BTreeMap<ReleaseName, ReleaseDocument>,
    /// The texts that hold variables of the environment.
    #[serde(skip)]
    pub variables: Variables,
    /// Routes; where two match a request equally well, the earlier one is taken.
    pub routes: Vec<RouteSpec>,
}

/// How requests are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Headers {
    /// What becomes of a request with a `_` in the name of a field.
    pub underscores: Underscores,
    /// Our name in `Via`. A request that carries it already has come in a circle, and is answered with 508. When absent,
    /// a name that no other instance has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Whether we write ourselves into `Via`. Without it a circle is not noticed; some servers do not compress what they
    /// send to a proxy that says that it is one.
    pub send_via: bool,
    /// What becomes of a request without `traceparent`.
    pub traceparent: Traceparent,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            underscores: Underscores::Refuse,
            via: None,
            send_via: true,
            traceparent: Traceparent::Pass,
        }
    }
}

/// What becomes of a request that belongs to no trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traceparent {
    /// It starts one here, which is not sampled.
    Create,
    /// It is passed on as it came, as what belongs to a trace always is.
    Pass,
}

/// What becomes of a request with a `_` in the name of a field, which some servers cannot tell from `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// The field is passed on.
    Pass,
    /// The request is answered with 400.
    Refuse,
}

impl Config {
    /// The table of the file.
    pub fn table(&self) -> TableDocument {
        TableDocument {
            releases: self.releases.clone(),
            routes: self.routes.clone(),
        }
    }

    /// How many workers to start.
    pub fn effective_workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers
            .unwrap_or_else(|| cores().min(MOST_WORKERS))
            .max(1)
    }

    /// Every path in the file, to be made absolute or to be looked at, with its place in the file.
    pub(super) fn each_path(&mut self, mut visit: impl FnMut(String, &mut PathBuf)) {
        visit("history.path".into(), &mut self.history.path);
        if let Some(path) = &mut self.access_log.path {
            visit("access_log.path".into(), path);
        }
        for (place, token) in self.admin.tokens.iter_mut().enumerate() {
            if let Some(file) = &mut token.file {
                visit(format!("admin.tokens.{place}.file"), file);
            }
        }
        let listeners = self.listeners.iter_mut().enumerate();
        let listeners = listeners
            .map(|(place, listener)| (format!("listeners.{place}"), listener.tls.as_mut()));
        let admin = ("admin".to_owned(), self.admin.tls.as_mut());
        for (at, tls) in listeners.chain([admin]) {
            let Some(tls) = tls else { continue };
            for (number, pair) in tls.certificates.iter_mut().enumerate() {
                let at = format!("{at}.tls.certificates.{number}");
                visit(format!("{at}.cert"), &mut pair.cert);
                visit(format!("{at}.key"), &mut pair.key);
            }
            if let Some(client_ca) = &mut tls.client_ca {
                visit(format!("{at}.tls.client_ca"), client_ca);
            }
        }
    }

    /// Makes every path absolute, seen from the folder of the file.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.each_path(|_, path| *path = folder.join(&path));
        let in_releases = self.releases.values_mut();
        for tls in in_releases.filter_map(|release| release.spec.tls.as_mut()) {
            for path in [&mut tls.ca, &mut tls.cert, &mut tls.key]
                .into_iter()
                .flatten()
            {
                *path = folder.join(&path).to_string_lossy().into_owned();
            }
        }
    }
}
