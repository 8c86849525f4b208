//! Verifications: the loop that looks at each once a second.
//!
//! What decides is `analysis::Recovery`. A verification begins with the swap of a rollback
//! (`VerificationRegistry::after_swap`), delays nothing and refuses nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    Controller, event_bodies, metrics,
    route_counts::{self, Totals},
    route_shares,
    verification_changes::other_changes,
    verification_record::{RouteCase, VerificationRecord},
    verification_registry::VerificationEntry,
};
use crate::{api::VerificationVerdict, model::TableState};

/// Interval at which each verification is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time that one look adds: a machine that stood still has seen nothing.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// Looks after which the verifications are saved.
const SAVED_EVERY: u32 = 5;

impl Controller {
    /// Looks at every running verification once a second, for as long as it is polled. With none it waits without a timer.
    pub(super) async fn run_verifications(&self) {
        metrics::show_verifications();
        // Of one that was interrupted, nothing was saved.
        self.verifications.save(self.settings.durable_within).await;
        let mut next = Instant::now();
        let mut looks = 0;
        loop {
            if !self.verifications.is_running() {
                self.verifications.begun.notified().await;
                self.verifications.save(self.settings.durable_within).await;
            }
            next = (next + LOOK).max(Instant::now());
            sleep_until(next).await;
            let has_ended = self.look_at_verifications();
            looks += 1;
            if has_ended || looks % SAVED_EVERY == 0 {
                self.verifications.save(self.settings.durable_within).await;
            }
        }
    }

    /// Looks at all that run; `true` if one of them has ended.
    fn look_at_verifications(&self) -> bool {
        let mut has_ended = false;
        let live = self.table.load().state();
        for mut entry in self.verifications.running() {
            let now = std::time::Instant::now();
            let elapsed = now.duration_since(std::mem::replace(&mut entry.looked_at, now));
            entry.record.held += elapsed.min(LONGEST_LOOK);
            for place in 0..entry.record.routes.len() {
                self.look_at_route(&mut entry, place, &live);
            }
            if entry.record.end_if_over() {
                self.conclude(&mut entry.record);
                has_ended = true;
            }
            self.verifications.put(entry);
        }
        has_ended
    }

    fn look_at_route(&self, entry: &mut VerificationEntry, place: usize, live: &TableState) {
        let held = entry.record.held;
        let (Some(case), Some(counts)) =
            (entry.record.routes.get(place), entry.counts.get_mut(place))
        else {
            return;
        };
        if entry.record.is_over(case) {
            return;
        }
        let mut case = case.clone();
        let shares = route_shares::shares(&live.spec, &case.route);
        let then = case.shares.iter().cloned().collect();
        if shares.is_none_or(|shares| !route_shares::are_same(&shares, &then)) {
            let changed = self.log.index().route_changed(&case.route);
            case.shown.superseded_by =
                Some(changed.unwrap_or_else(|| self.table.load().revision()));
        } else {
            self.count(&mut case, counts, held);
        }
        entry.record.routes[place] = case;
    }

    /// Adds what was counted since the last look, and asks for the verdict.
    fn count(&self, case: &mut RouteCase, last: &mut route_counts::RouteCounts, held: Duration) {
        let releases = case.shares.iter().map(|(key, _)| key);
        let releases = releases.chain(&case.taken_back);
        let now = route_counts::read(&self.fleet, &case.route, releases);
        let mut added = Totals::default();
        for (key, totals) in &now {
            if case.is_since(key) {
                added.add(
                    &last
                        .get(key)
                        .map_or(totals.clone(), |last| totals.since(last)),
                );
            }
        }
        *last = now;
        case.since.is_settled = held >= case.settled_after;
        case.since.looks += u64::from(added.units > 0);
        let added = added.period(case.recovery.thresholds.as_ref());
        case.since.period = case.since.period.plus(added);
        case.judge();
    }

    /// Says what has come of a verification.
    fn conclude(&self, record: &mut VerificationRecord) {
        if record.verdict() != VerificationVerdict::Recovered {
            let opened_at = self.verifications.opened_at;
            record.also_changed = other_changes(record, &self.log, &self.fleet, opened_at);
        }
        let shown = record.show();
        metrics::count_verification(shown.verdict);
        self.events.publish(event_bodies::verification(&shown));
        let verdict = shown.verdict.as_str();
        tracing::info!(
            target: "audit",
            verification = shown.id, verdict, words = shown.words, "a rollback is verified"
        );
        if matches!(
            shown.verdict,
            VerificationVerdict::NotRecovered | VerificationVerdict::Worse
        ) {
            tracing::error!(
                verification = shown.id,
                verdict,
                words = shown.words,
                "a rollback has not helped"
            );
        }
    }
}
