//! The configuration file as one type: static settings and the table.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    AccessLog, Admin, Backups, Calibrate, Cloudwatch, Datadog, Discovery, Drills, Feedback,
    FleetSettings, HealthChecks, History, HookSpec, Listener, Log, Network, Observe, Ofrep,
    Opentelemetry, Prometheus, ResourceLimits, Rollback, Sessions, Shutdown, Timeouts, Variables,
    Verification,
};
use crate::model::{
    FlagName, FlagSpec, HookName, PlanName, PlanSpec, ReleaseDocument, ReleaseName, RouteSpec,
    TableDocument,
};

/// Default limit on the number of workers.
const MOST_WORKERS: usize = 16;

/// A configuration. One that came from [`load`](super::load) is valid, and its paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Data plane threads; when absent, the cores available to this process, at most 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Peers whose forwarding header fields are trusted.
    pub trusted_proxies: Vec<Network>,
    /// Listeners for clients.
    pub listeners: Vec<Listener>,
    /// The admin API.
    pub admin: Admin,
    /// Listener for metrics and probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<Observe>,
    /// Feedback: the opinions that users have of answers.
    pub feedback: Feedback,
    /// Flags for applications.
    pub ofrep: Ofrep,
    /// Storage of revisions.
    pub history: History,
    /// Proxies that share one table; this one has a table of its own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetSettings>,
    /// Backups that the proxy makes by itself.
    pub backup: Backups,
    /// Retention of warm revisions.
    pub rollback: Rollback,
    /// Rehearsals of the way back.
    pub drills: Drills,
    /// Verification of rollbacks.
    pub verification: Verification,
    /// Rehearsals of the judge on the operator's own traffic.
    pub calibrate: Calibrate,
    /// Sessions of clients.
    pub sessions: Sessions,
    /// Rewriting of request headers.
    pub headers: Headers,
    /// Limits on sizes and counts.
    pub limits: ResourceLimits,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// DNS resolution.
    pub discovery: Discovery,
    /// Active health checks.
    pub health_checks: HealthChecks,
    /// Access log.
    pub access_log: AccessLog,
    /// Metrics and events for Datadog's agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datadog: Option<Datadog>,
    /// Metrics for `CloudWatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<Cloudwatch>,
    /// Metrics for a collector of OpenTelemetry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opentelemetry: Option<Opentelemetry>,
    /// Event log.
    pub log: Log,
    /// Shutdown of the process.
    pub shutdown: Shutdown,
    /// Prometheus that plans of rollouts query.
    pub prometheus: Prometheus,
    /// Hooks of rollouts by name.
    pub hooks: BTreeMap<HookName, HookSpec>,
    /// Plans of rollouts by name.
    pub plans: BTreeMap<PlanName, PlanSpec>,
    /// Releases by name.
    pub releases: BTreeMap<ReleaseName, ReleaseDocument>,
    /// Feature flags by name.
    pub flags: BTreeMap<FlagName, FlagSpec>,
    /// The strings that contain environment variables.
    #[serde(skip)]
    pub variables: Variables,
    /// Routes; of two equally specific matches, the earlier one wins.
    pub routes: Vec<RouteSpec>,
}

/// Rewriting of request headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Headers {
    /// Action for a request with a `_` in a field name.
    pub underscores: Underscores,
    /// Our name in `Via`. A request that already carries it has looped and gets a 508. When absent, a name unique to
    /// this instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// True if `Via` gets our name. Without it loops are not detected; on the other hand, some servers do not compress
    /// responses to a proxy that identifies itself.
    pub send_via: bool,
    /// Action for a request without `traceparent`.
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

/// Action for a request that belongs to no trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traceparent {
    /// Starts a new trace, not sampled.
    Create,
    /// Passes the request on unchanged, as for a request that has a trace.
    Pass,
}

/// Action for a request with a `_` in a field name, which some servers cannot distinguish from `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// Forwards the field.
    Pass,
    /// Rejects the request with 400.
    Refuse,
}

impl Config {
    /// The table of the file.
    pub fn table(&self) -> TableDocument {
        TableDocument {
            releases: self.releases.clone(),
            routes: self.routes.clone(),
            flags: self.flags.clone(),
        }
    }

    /// Number of workers to start.
    pub fn effective_workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers
            .unwrap_or_else(|| cores().min(MOST_WORKERS))
            .max(1)
    }

    /// Visits every file path with its configuration path, to resolve or to check it.
    pub(super) fn each_path(&mut self, mut visit: impl FnMut(String, &mut PathBuf)) {
        visit("history.path".into(), &mut self.history.path);
        let backup = self.backup.path.iter_mut();
        backup.for_each(|path| visit("backup.path".into(), path));
        let access_log = self.access_log.path.iter_mut();
        access_log.for_each(|path| visit("access_log.path".into(), path));
        if let Some(path) = self.datadog.as_mut().and_then(|one| one.socket.as_mut()) {
            visit("datadog.socket".into(), path);
        }
        if let Some(opentelemetry) = &mut self.opentelemetry {
            opentelemetry.each_path(&mut visit);
        }
        for (place, token) in self.admin.tokens.iter_mut().enumerate() {
            if let Some(file) = &mut token.file {
                visit(format!("admin.tokens.{place}.file"), file);
            }
        }
        for (place, key) in self.sessions.keys.iter_mut().enumerate() {
            if let Some(file) = &mut key.file {
                visit(format!("sessions.keys.{place}.file"), file);
            }
        }
        for (place, token) in self.ofrep.tokens.iter_mut().enumerate() {
            if let Some(file) = &mut token.file {
                visit(format!("ofrep.tokens.{place}.file"), file);
            }
        }
        for (name, hook) in &mut self.hooks {
            for (place, secret) in hook.secrets.iter_mut().enumerate() {
                if let Some(file) = &mut secret.file {
                    visit(format!("hooks.{name}.secrets.{place}.file"), file);
                }
            }
            if let Some(ca) = &mut hook.ca {
                visit(format!("hooks.{name}.ca"), ca);
            }
        }
        self.prometheus.each_path(&mut visit);
        let fleet = self.fleet.iter_mut();
        fleet.for_each(|fleet| fleet.each_path(&mut visit));
        if let Some(kubernetes) = &mut self.discovery.kubernetes {
            kubernetes.each_path(&mut visit);
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
            if let Some(acme) = &mut tls.acme {
                acme.each_path(&format!("{at}.tls.acme"), &mut visit);
            }
        }
    }

    /// Makes every path absolute, relative to the folder of the file. An empty one stays so, and is a problem.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.each_path(|_, path| {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        });
        let in_releases = self.releases.values_mut();
        for tls in in_releases.filter_map(|release| release.spec.tls.as_mut()) {
            for path in [&mut tls.ca, &mut tls.cert, &mut tls.key]
                .into_iter()
                .flatten()
                .filter(|path| !path.is_empty())
            {
                *path = folder.join(&path).to_string_lossy().into_owned();
            }
        }
    }
}
