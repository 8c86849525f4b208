//! Record of a verification: everything that is saved of it, and how it is shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    clock::now,
    verification_shown::{names, rank, reference, signal, verdict},
    watch_set::ReleaseKey,
};
use crate::{
    analysis::{PeriodNames, Recovery, RecoveryVerdict, Since},
    api::{
        OtherChange, RouteVerification, Timestamp, Verification, VerificationState,
        VerificationVerdict,
    },
    model::{HumanDuration, Revision, RevisionRecord, RouteName},
};

/// Number of other changes in the words of a verdict.
const IN_WORDS: usize = 3;

/// Looks with requests before a verification ends for their number: where a second brings thousands, a moment would
/// decide.
const FEWEST_LOOKS: u64 = 5;

/// A verification, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct VerificationRecord {
    pub(super) revision: Revision,
    pub(super) author: String,
    message: Option<String>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) state: VerificationState,
    pub(super) held: Duration,
    within: Duration,
    requests: u64,
    pub(super) routes: Vec<RouteCase>,
    more_routes: usize,
    pub(super) also_changed: Vec<OtherChange>,
    /// Revisions that made the release live, and those that the rollback undid: they are not changes beside it.
    pub(super) own_revisions: Vec<Revision>,
}

/// One route of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteCase {
    pub(super) route: RouteName,
    pub(super) taken_back: Vec<ReleaseKey>,
    /// Shares since the rollback.
    pub(super) shares: Vec<(ReleaseKey, f64)>,
    /// Time after which what began before the rollback has ended.
    pub(super) settled_after: Duration,
    pub(super) recovery: Recovery,
    pub(super) since: Since,
    pub(super) shown: RouteVerification,
}

/// Bounds of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) within: Duration,
    pub(super) requests: u64,
}

impl VerificationRecord {
    pub(super) fn new(
        record: &RevisionRecord,
        (routes, more_routes): (Vec<RouteCase>, usize),
        own_revisions: Vec<Revision>,
        bounds: Bounds,
    ) -> Self {
        Self {
            revision: record.revision,
            author: record.author.name.clone(),
            message: record.author.message.clone(),
            started_at: Timestamp::from_millis(record.published_at_ms),
            ended_at: None,
            state: VerificationState::Running,
            held: Duration::ZERO,
            within: bounds.within,
            requests: bounds.requests,
            routes,
            more_routes,
            also_changed: Vec::new(),
            own_revisions,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == VerificationState::Running
    }

    /// True if a route needs to be looked at no more.
    pub(super) fn is_over(&self, case: &RouteCase) -> bool {
        let is_full = case.since.period.units >= self.requests;
        case.is_decided() || (is_full && case.since.looks >= FEWEST_LOOKS)
    }

    /// Ends it if all routes are decided, or its time is over; `true` if it has ended by this.
    pub(super) fn end_if_over(&mut self) -> bool {
        let is_late = self.held >= self.within;
        if !self.is_running() || !(is_late || self.routes.iter().all(|case| self.is_over(case))) {
            return false;
        }
        let is_moved = |case: &RouteCase| case.shown.superseded_by.is_some();
        let is_superseded = !self.routes.is_empty() && self.routes.iter().all(is_moved);
        self.end(if is_superseded {
            VerificationState::Superseded
        } else {
            VerificationState::Ended
        });
        true
    }

    pub(super) fn end(&mut self, state: VerificationState) {
        self.state = state;
        self.ended_at = Some(now());
    }

    /// The worst verdict of the routes; those without a request in any period count only if all are so.
    pub(super) fn verdict(&self) -> VerificationVerdict {
        let has_requests = |case: &&RouteCase| {
            let before = case.recovery.before.map_or(0, |period| period.units);
            before + case.recovery.with.units + case.since.period.units > 0
        };
        let verdicts = self.routes.iter().filter(has_requests);
        let worst = verdicts
            .map(|case| case.shown.verdict)
            .min_by_key(|verdict| rank(*verdict));
        worst.unwrap_or(VerificationVerdict::NotEnoughData)
    }

    fn words(&self) -> String {
        let verdict = self.verdict();
        let telling = self
            .routes
            .iter()
            .find(|case| case.shown.verdict == verdict);
        let words = match telling {
            _ if self.state == VerificationState::Interrupted => {
                "interrupted by a restart before anything was counted".to_owned()
            }
            None => "not enough data: the rollback moved no requests".to_owned(),
            Some(case) => case.words(),
        };
        let is_bad = matches!(
            verdict,
            VerificationVerdict::NotRecovered | VerificationVerdict::Worse
        );
        if !is_bad || self.is_running() {
            return words;
        }
        let changes = self.also_changed.iter().take(IN_WORDS);
        let changes: Vec<_> = changes.map(|change| change.words.as_str()).collect();
        if changes.is_empty() {
            return format!("{words}; nothing else is known to have changed in the last hour");
        }
        format!("{words}; also changed lately: {}", changes.join("; "))
    }

    /// The verification, as it is shown.
    pub(super) fn show(&self) -> Verification {
        let mut routes: Vec<_> = self.routes.iter().map(|case| case.shown.clone()).collect();
        for (route, case) in routes.iter_mut().zip(&self.routes) {
            route.words = case.words();
        }
        Verification {
            id: self.id(),
            revision: self.revision,
            state: self.state,
            verdict: self.verdict(),
            words: self.words(),
            author: self.author.clone(),
            message: self.message.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            held: HumanDuration::seconds(self.held.as_secs()),
            within: HumanDuration(self.within),
            requests: self.requests,
            routes,
            more_routes: self.more_routes,
            also_changed: self.also_changed.clone(),
        }
    }

    pub(super) fn id(&self) -> String {
        self.revision.to_string()
    }
}

impl RouteCase {
    pub(super) fn new(
        route: RouteName,
        (taken_back, restored): (Vec<ReleaseKey>, &[ReleaseKey]),
        shares: Vec<(ReleaseKey, f64)>,
        (recovery, settled_after): (Recovery, Duration),
    ) -> Self {
        let shown = RouteVerification {
            route: route.clone(),
            taken_back: names(&taken_back, restored),
            restored: names(restored, &taken_back),
            verdict: VerificationVerdict::NotEnoughData,
            words: String::new(),
            improved: false,
            compared_with: None,
            requests: 0,
            signals: Vec::new(),
            superseded_by: None,
        };
        let mut case = Self {
            route,
            taken_back,
            shares,
            settled_after,
            recovery,
            since: Since::default(),
            shown,
        };
        case.judge();
        case
    }

    /// True if what a release has ended since the last look began after the rollback. Of one that was taken back, that
    /// is so once all from before it had ended at that look.
    pub(super) fn is_since(&self, release: &ReleaseKey) -> bool {
        self.since.is_settled || !self.taken_back.contains(release)
    }

    /// Asks for the verdict on what has been counted.
    pub(super) fn judge(&mut self) {
        let names = PeriodNames {
            route: self.route.as_str(),
            taken_back: &self.shown.taken_back,
            stable: &self.shown.restored,
        };
        let found = self.recovery.verdict(&self.since, names);
        self.shown.requests = self.since.period.units;
        self.take_over(found);
    }

    fn take_over(&mut self, found: RecoveryVerdict) {
        let shown = &mut self.shown;
        shown.verdict = verdict(found.outcome);
        shown.words = found.words;
        shown.improved = found.improved;
        shown.compared_with = found.reference.map(reference);
        shown.signals = found.signals.into_iter().map(signal).collect();
    }

    /// True if its verdict is final: it is shown, or the route was changed.
    pub(super) fn is_decided(&self) -> bool {
        let is_shown = self.shown.verdict != VerificationVerdict::NotEnoughData;
        is_shown || self.shown.superseded_by.is_some()
    }

    fn words(&self) -> String {
        let words = &self.shown.words;
        match self.shown.superseded_by {
            Some(revision) => format!("{words}; revision {revision} has moved its requests since"),
            None => words.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    #[test]
    fn what_was_taken_back_counts_once_it_was_settled_at_the_look_before() {
        let key = |name: &str| -> ReleaseKey { (name.parse().unwrap(), Version::default()) };
        let (blue, green) = (key("blue"), key("green"));
        let mut case = RouteCase::new(
            "chat".parse().unwrap(),
            (vec![green.clone()], std::slice::from_ref(&blue)),
            vec![(blue.clone(), 1.0)],
            (Recovery::default(), Duration::ZERO),
        );
        assert!(case.is_since(&blue) && !case.is_since(&green));
        case.since.is_settled = true;
        assert!(case.is_since(&blue) && case.is_since(&green));
    }
}
