//! Queries about verifications, and the wait for the end of one.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use super::{Controller, StatusPart, verification_record::VerificationRecord};
use crate::{
    api::{Verification, VerificationStatus, VerificationSummary},
    model::{Revision, RouteName},
};

/// Largest number of routes in a status.
const SHOWN: usize = 50;

impl Controller {
    /// All verifications that run and the last ones that have ended, the latest first.
    pub fn verifications(&self) -> Vec<Verification> {
        let records = self.verifications.records();
        records.iter().rev().map(VerificationRecord::show).collect()
    }

    /// A verification by its id.
    pub fn verification(&self, id: &str) -> Option<Verification> {
        Some(self.verifications.record(revision(id)?)?.show())
    }

    /// Waits until a verification has ended, for a limited time. Cancel-safe.
    pub async fn wait_verification(&self, id: &str, longest: Duration) {
        let Some(revision) = revision(id) else { return };
        let mut ends = self.verifications.ends();
        let ended = async {
            loop {
                let record = self.verifications.record(revision);
                let is_running = record.is_some_and(|record| record.is_running());
                if !is_running || ends.changed().await.is_err() {
                    return;
                }
            }
        };
        let _in_time = timeout(longest, ended).await;
    }

    /// The verification of a rollback, in short.
    pub(super) fn verification_of(&self, rollback: Revision) -> Option<VerificationSummary> {
        Some(self.verifications.record(rollback)?.show().summary())
    }

    /// The latest verification of a rollback by this author, in short.
    pub(super) fn verification_by(&self, author: &str) -> Option<VerificationSummary> {
        let record = self.verifications.find(|record| record.author == author)?;
        Some(record.show().summary())
    }

    /// The latest verification of each route, the latest first.
    pub(super) fn verification_states(&self, part: &StatusPart) -> Vec<VerificationStatus> {
        let is_asked = |route: &RouteName| match part {
            StatusPart::Route(asked) => asked == route,
            _ => true,
        };
        let (records, mut seen) = (self.verifications.records(), BTreeSet::new());
        let mut states = Vec::new();
        for record in records.iter().rev() {
            for case in record.routes.iter().filter(|case| is_asked(&case.route)) {
                if states.len() < SHOWN && seen.insert(&case.route) {
                    states.push(VerificationStatus {
                        route: case.route.clone(),
                        id: record.id(),
                        state: record.state,
                        verdict: case.shown.verdict,
                        words: case.shown.words.clone(),
                    });
                }
            }
        }
        states
    }
}

/// The revision that an id names.
fn revision(id: &str) -> Option<Revision> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| is_plain).map(Revision)
}
