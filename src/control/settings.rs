//! Settings of the control plane.

use std::{path::PathBuf, time::Duration};

use crate::{
    config::{Backups, Calibrate, Config, Drills},
    history::KEPT_REVISIONS,
};

/// Lease of a node, unless a configuration says another one.
const FLEET_LEASE: Duration = Duration::from_secs(15);

/// The settings of a controller that an operator can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Number of revisions that are kept.
    pub keep: usize,
    /// Timeout for a publish to reach the disk; it is refused after that.
    pub durable_within: Duration,
    /// Longest time that a receipt waits for every worker to take up a change.
    pub converge_within: Duration,
    /// Number of earlier revisions that are kept compiled, checked and connected.
    pub warm_revisions: usize,
    /// Longest time that they are kept so.
    pub warm_for: Duration,
    /// Longest time that requests in flight may go on once their release has left the live table.
    pub drain: Duration,
    /// Drills: their defaults, and those that begin by themselves.
    pub drills: Drills,
    /// True if the table came from a file that people edit: only then can the live table drift from it.
    pub has_file: bool,
    /// Backups that are made by themselves.
    pub backups: Backups,
    /// The configuration file, which is part of a backup.
    pub file: Option<PathBuf>,
    /// The verification of rollbacks.
    pub verification: VerificationSettings,
    /// Rehearsals of the judge.
    pub calibrate: Calibrate,
    /// Lease of a node of a fleet.
    pub fleet_lease: Duration,
}

/// Settings of the verification of rollbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationSettings {
    /// True if rollbacks are verified.
    pub enabled: bool,
    /// Requests of a route after which a verification ends.
    pub requests: u64,
    /// Time after which it ends.
    pub within: Duration,
}

impl Settings {
    /// The settings of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            keep: config.history.keep,
            durable_within: config.history.durable_within.0,
            converge_within: config.timeouts.converge.0,
            warm_revisions: config.rollback.warm_revisions,
            warm_for: config.rollback.warm_for.0,
            drain: config.timeouts.drain.0,
            drills: config.drills.clone(),
            has_file: true,
            backups: config.backup.clone(),
            file: None,
            verification: VerificationSettings {
                enabled: config.verification.enabled,
                requests: config.verification.requests,
                within: config.verification.within.0,
            },
            calibrate: config.calibrate.clone(),
            fleet_lease: config
                .fleet
                .as_ref()
                .map_or(FLEET_LEASE, |fleet| fleet.lease.0),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: KEPT_REVISIONS,
            durable_within: Duration::from_secs(2),
            converge_within: Duration::from_millis(500),
            warm_revisions: 2,
            warm_for: Duration::from_secs(24 * 3600),
            drain: Duration::from_secs(15 * 60),
            drills: Drills::default(),
            has_file: true,
            backups: Backups::default(),
            file: None,
            verification: VerificationSettings::default(),
            calibrate: Calibrate::default(),
            fleet_lease: FLEET_LEASE,
        }
    }
}

impl Default for VerificationSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            requests: 2_000,
            within: Duration::from_secs(600),
        }
    }
}
