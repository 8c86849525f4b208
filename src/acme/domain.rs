//! A domain with its certificate, and the attempts to renew that.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    leaf::{LeafFacts, LeafId},
    problem::OrderFailure,
    renewal::{Failures, RenewalFacts, RenewalWindow, next_order},
    report::timestamp,
    shared_view::CertificateFacts,
    turn::Turn,
};
use crate::api::CertificateStatus;

/// A domain.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) name: String,
    state: Mutex<DomainState>,
}

#[derive(Debug, Default)]
struct DomainState {
    leaf: Option<LeafFacts>,
    /// Time since when this process has it; 0 if it was there at the start.
    obtained: u64,
    /// Time of the file that it was read from.
    modified: Option<SystemTime>,
    window: Option<RenewalWindow>,
    /// Time to ask the authority for its window again.
    ask_at: u64,
    failures: Option<Failures>,
    error: Option<String>,
    draw: f64,
}

impl Domain {
    pub(super) fn new(name: String, draw: f64) -> Self {
        let state = DomainState {
            draw,
            ..DomainState::default()
        };
        Self {
            name,
            state: Mutex::new(state),
        }
    }

    /// Time of the next order, and that of the next question for a window: it is never asked for without a certificate.
    pub(super) fn times(&self) -> (u64, u64) {
        let state = self.state();
        let has_id = state.leaf.as_ref().is_some_and(|leaf| leaf.id.is_some());
        let ask_at = if has_id { state.ask_at } else { u64::MAX };
        (state.next(), ask_at)
    }

    /// Name of its certificate at the authority.
    pub(super) fn id(&self) -> Option<LeafId> {
        self.state().leaf.as_ref()?.id.clone()
    }

    /// End of its certificate.
    pub(super) fn not_after(&self) -> Option<u64> {
        let state = self.state();
        state.leaf.as_ref().map(|leaf| leaf.lifetime.not_after)
    }

    /// Its certificate, as other nodes of a fleet know it.
    pub(super) fn facts(&self) -> Option<CertificateFacts> {
        let state = self.state();
        let leaf = state.leaf.as_ref()?;
        Some(CertificateFacts {
            lifetime: leaf.lifetime,
            digest: leaf.digest.clone(),
        })
    }

    /// The certificate that its renewal replaces, if the authority has suggested a time for that.
    pub(super) fn replaces(&self) -> Option<LeafId> {
        let state = self.state();
        let _suggested = state.window?;
        state.leaf.as_ref()?.id.clone()
    }

    pub(super) fn failures(&self) -> u32 {
        self.state().failures.map_or(0, |failures| failures.count)
    }

    /// True if the file of its certificate is not the one that was read last.
    pub(super) fn is_other(&self, modified: Option<SystemTime>) -> bool {
        modified.is_some() && self.state().modified != modified
    }

    /// Notes a certificate, which this process has since `obtained`.
    pub(super) fn renewed(
        &self,
        leaf: LeafFacts,
        (obtained, modified): (u64, Option<SystemTime>),
        draw: f64,
    ) {
        *self.state() = DomainState {
            leaf: Some(leaf),
            obtained,
            modified,
            draw,
            ..DomainState::default()
        };
    }

    /// Notes a failure at a time, and returns that of the next attempt.
    pub(super) fn failed(&self, failure: &OrderFailure, now: u64) -> u64 {
        let mut state = self.state();
        let count = state.failures.map_or(0, |failures| failures.count);
        state.failures = Some(Failures {
            count: count.saturating_add(1),
            last: now,
            asked: failure.asked,
        });
        state.error = Some(failure.to_string());
        state.next()
    }

    /// Notes the reason for which a certificate from elsewhere is not used.
    pub(super) fn refuse(&self, reason: String) {
        self.state().error = Some(reason);
    }

    /// Notes the authority's window, and the time to ask for it again.
    pub(super) fn suggested(&self, window: Option<RenewalWindow>, ask_at: u64) {
        let mut state = self.state();
        state.window = window;
        state.ask_at = ask_at;
    }

    /// Asks for the window no sooner than then; the one that is known stays.
    pub(super) fn ask_later(&self, ask_at: u64) {
        self.state().ask_at = ask_at;
    }

    /// Makes the next attempt come at once, unless the authority asked to wait.
    pub(super) fn try_again(&self) {
        let mut state = self.state();
        state.failures = state.failures.filter(|failures| failures.asked.is_some());
    }

    /// Its status at a time, with the process whose turn it is to order.
    pub(super) fn status(&self, directory: &str, turn: &Turn, now: u64) -> CertificateStatus {
        let state = self.state();
        let lifetime = state.leaf.as_ref().map(|leaf| leaf.lifetime);
        let (is_elsewhere, ordered_by) = match turn {
            Turn::Elsewhere(node) => (true, node.clone()),
            Turn::Here | Turn::Away(_) => (false, None),
        };
        let held_up = turn.hindrance().filter(|_| state.next() <= now);
        CertificateStatus {
            domain: self.name.clone(),
            directory: directory.to_owned(),
            not_before: lifetime.map(|lifetime| timestamp(lifetime.not_before)),
            not_after: lifetime.map(|lifetime| timestamp(lifetime.not_after)),
            next_order: Some(state.next()).filter(|_| turn.is_here()).map(timestamp),
            failures: state.failures.map_or(0, |failures| failures.count),
            error: held_up.or_else(|| state.error.clone()),
            ordered_elsewhere: is_elsewhere,
            ordered_by,
        }
    }

    fn state(&self) -> MutexGuard<'_, DomainState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DomainState {
    fn next(&self) -> u64 {
        next_order(&RenewalFacts {
            lifetime: self.leaf.as_ref().map(|leaf| leaf.lifetime),
            obtained: self.obtained,
            window: self.window,
            failures: self.failures,
            draw: self.draw,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::{problem::FailureKind, renewal::Lifetime};

    #[test]
    fn a_failure_is_forgotten_with_the_next_certificate_or_by_an_operator() {
        let domain = Domain::new("a.test".to_owned(), 0.0);
        assert_eq!(domain.times(), (0, u64::MAX));
        let mut failure = OrderFailure::new(FailureKind::NotValidated, "validation", "no");
        assert_eq!(domain.failed(&failure, 1_000), 1_060);
        assert_eq!(domain.failed(&failure, 1_060), 1_180);
        domain.try_again();
        assert_eq!(domain.times().0, 0);
        failure.asked = Some(500);
        assert_eq!(domain.failed(&failure, 2_000), 2_500);
        domain.try_again();
        assert_eq!(domain.times().0, 2_500, "the authority asked for that");
        let status = domain.status("https://acme.example/dir", &Turn::Here, 2_000);
        assert_eq!(
            (status.failures, status.error.as_deref()),
            (1, Some("validation: no"))
        );
        let lifetime = Lifetime {
            not_before: 3_000,
            not_after: 3_300,
        };
        domain.renewed(leaf(lifetime), (0, None), 0.0);
        assert_eq!((domain.times(), domain.failures()), ((3_200, u64::MAX), 0));
    }

    fn leaf(lifetime: Lifetime) -> LeafFacts {
        LeafFacts {
            lifetime,
            id: None,
            digest: "00".to_owned(),
        }
    }

    #[test]
    fn a_status_says_who_orders_and_what_holds_up_an_order() {
        let domain = Domain::new("a.test".to_owned(), 0.0);
        let lifetime = Lifetime {
            not_before: 3_000,
            not_after: 3_300,
        };
        domain.renewed(leaf(lifetime), (0, None), 0.0);
        let status = |turn: &Turn, now| domain.status("https://acme.example/dir", turn, now);
        let elsewhere = status(&Turn::Elsewhere(Some("b".to_owned())), 3_250);
        assert!(elsewhere.ordered_elsewhere && elsewhere.next_order.is_none());
        assert_eq!(elsewhere.ordered_by.as_deref(), Some("b"));
        let away = Turn::Away("etcd: timeout".to_owned());
        let reason = status(&away, 3_250).error.unwrap();
        assert!(reason.contains("store") && reason.ends_with("etcd: timeout"));
        assert_eq!(status(&away, 3_250).next_order, None, "nobody orders");
        assert_eq!(status(&away, 3_100).error, None, "nothing is due");
        assert_eq!(status(&Turn::Here, 3_250).error, None);
    }
}
