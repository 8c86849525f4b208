//! State of one endpoint between serving and ejected: failures in a row, the ejection, the probe that ends it.
//!
//! Serving → ejected: a refused connection, or as many failures in a row as the release's policy says. Ejected → probing:
//! the first request after the ejection time. Probing → serving: the probe succeeds. Probing → ejected, for longer: it
//! fails. A probe that ends without either (its client left) makes room for another one after five seconds.
//!
//! The endpoint's flag changes under the same lock: otherwise a refusal and a connection at the same moment could leave an
//! endpoint that is ejected without the flag, which no later connection returns to service.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::{balance::EjectionPolicy, endpoint_flags::EndpointFlags};

/// Initial ejection time after a refused connection.
const FIRST_REFUSAL_MS: u64 = 1_000;
/// Maximum ejection time after a refused connection; it doubles with each one.
const LONGEST_REFUSAL_MS: u64 = 30_000;
/// Time for which a probe keeps other requests away.
const PROBE_MS: u64 = 5_000;

/// Reason for an ejection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EjectionReason {
    /// No connection could be made.
    #[default]
    ConnectFailed,
    /// Failures in a row.
    ConsecutiveFailures,
    /// Gateway failures in a row.
    ConsecutiveGatewayFailures,
}

/// Ejections of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    // In milliseconds of the caller's clock; 0 while it serves.
    until_ms: AtomicU64,
    failures: AtomicU32,
    gateway_failures: AtomicU32,
    counts: [AtomicU64; EjectionReason::ALL.len()],
    record: Mutex<Record>,
}

/// Facts that an ejection is decided by; locked only when an endpoint fails or recovers.
#[derive(Debug, Default)]
struct Record {
    reason: EjectionReason,
    // Refused connections since the last one that was accepted.
    refusals: u32,
    // Ejections for failures, less those that were forgotten.
    times: u32,
    returned_ms: u64,
    is_probing: bool,
}

impl EjectionReason {
    /// All reasons, in the order of their index.
    pub const ALL: [Self; 3] = [
        Self::ConnectFailed,
        Self::ConsecutiveFailures,
        Self::ConsecutiveGatewayFailures,
    ];

    /// Name in status, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::ConsecutiveGatewayFailures => "consecutive_gateway_failures",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl Ejection {
    /// End of the ejection, or of its probe; 0 while the endpoint serves.
    pub(super) fn until_ms(&self) -> u64 {
        self.until_ms.load(Ordering::Relaxed)
    }

    /// Reason of the ejection, if there is one.
    pub(super) fn reason(&self) -> Option<EjectionReason> {
        (self.until_ms() != 0).then(|| self.lock().reason)
    }

    /// Number of ejections for a reason.
    pub(super) fn count(&self, reason: EjectionReason) -> u64 {
        self.counts[reason.index()].load(Ordering::Relaxed)
    }

    /// Ejects after a refused connection: for 1 s, then 2 s, up to 30 s.
    pub(super) fn refused(&self, now_ms: u64, flags: &EndpointFlags) {
        let mut record = self.lock();
        if now_ms < self.until_ms() && !record.is_probing {
            // One of many that were begun before the ejection, or for want of another endpoint: it says nothing new.
            return;
        }
        let span = (FIRST_REFUSAL_MS << record.refusals.min(5)).min(LONGEST_REFUSAL_MS);
        record.refusals = record.refusals.saturating_add(1);
        let reason = EjectionReason::ConnectFailed;
        self.begin(&mut record, reason, now_ms + span, flags);
    }

    /// Records an accepted connection; true if that ends an ejection.
    pub(super) fn connected(&self, flags: &EndpointFlags) -> bool {
        let mut record = self.lock();
        record.refusals = 0;
        if self.until_ms() == 0 || record.reason != EjectionReason::ConnectFailed {
            return false;
        }
        self.end(&mut record, flags);
        true
    }

    /// Counts a failure; the reason if it is one too many, or the probe's.
    pub(super) fn failed(
        &self,
        is_gateway: bool,
        policy: &EjectionPolicy,
    ) -> Option<EjectionReason> {
        let reached = |count: u32, limit: u32| limit > 0 && count >= limit;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let gateway_failures = if is_gateway {
            self.gateway_failures.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.gateway_failures.store(0, Ordering::Relaxed);
            0
        };
        let record = self.lock();
        if self.until_ms() != 0 {
            // A request that was sent before the ejection, or for want of another endpoint, says nothing new.
            return record.is_probing.then_some(record.reason);
        }
        drop(record);
        if reached(gateway_failures, policy.gateway_failures) {
            return Some(EjectionReason::ConsecutiveGatewayFailures);
        }
        reached(failures, policy.failures).then_some(EjectionReason::ConsecutiveFailures)
    }

    /// Ejects for a reason that [`Ejection::failed`] gave; false if another failure did so in the meantime.
    pub(super) fn eject(
        &self,
        reason: EjectionReason,
        policy: &EjectionPolicy,
        now_ms: u64,
        flags: &EndpointFlags,
    ) -> bool {
        let mut record = self.lock();
        if self.until_ms() != 0 && !record.is_probing {
            return false;
        }
        let served_ms = if record.is_probing {
            0
        } else {
            now_ms.saturating_sub(record.returned_ms)
        };
        record.times = policy.times(record.times, served_ms);
        let until = now_ms + policy.span_ms(record.times);
        self.begin(&mut record, reason, until, flags);
        true
    }

    /// Takes the single probe after an ejection.
    pub(super) fn take_probe(&self, until: u64, now_ms: u64) -> bool {
        let mut record = self.lock();
        if self.until_ms() != until {
            return false;
        }
        record.is_probing = true;
        self.until_ms.store(now_ms + PROBE_MS, Ordering::Relaxed);
        true
    }

    /// Ends the ejection if its probe is under way; false otherwise.
    pub(super) fn probe_succeeded(&self, now_ms: u64, flags: &EndpointFlags) -> bool {
        let mut record = self.lock();
        let is_probing = record.is_probing;
        if is_probing {
            record.returned_ms = now_ms;
            self.end(&mut record, flags);
        }
        is_probing
    }

    /// Forgets the failures in a row.
    pub(super) fn reset_failures(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.gateway_failures.store(0, Ordering::Relaxed);
    }

    fn begin(
        &self,
        record: &mut Record,
        reason: EjectionReason,
        until_ms: u64,
        flags: &EndpointFlags,
    ) {
        record.reason = reason;
        record.is_probing = false;
        self.reset_failures();
        self.counts[reason.index()].fetch_add(1, Ordering::Relaxed);
        self.until_ms.store(until_ms.max(1), Ordering::Relaxed);
        flags.set(EndpointFlags::EJECTED);
    }

    fn end(&self, record: &mut Record, flags: &EndpointFlags) {
        record.is_probing = false;
        self.reset_failures();
        self.until_ms.store(0, Ordering::Relaxed);
        flags.clear(EndpointFlags::EJECTED);
    }

    // Safe to ignore poisoning: no step under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::BalancePolicy;
    use crate::model::{EjectionSpec, ReleaseSpec};

    fn policy(spec: EjectionSpec) -> EjectionPolicy {
        let spec = ReleaseSpec {
            ejection: Some(spec),
            ..ReleaseSpec::default()
        };
        *BalancePolicy::of(&spec).ejection().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_eject_and_a_success_between_them_forgets_them() {
        let policy = policy(EjectionSpec::default());
        let state = Ejection::default();
        (0..4).for_each(|_| assert_eq!(state.failed(false, &policy), None));
        state.reset_failures();
        (0..4).for_each(|_| assert_eq!(state.failed(false, &policy), None));
        let reason = state.failed(false, &policy);
        assert_eq!(reason, Some(EjectionReason::ConsecutiveFailures));
    }

    #[test]
    fn gateway_failures_have_a_limit_of_their_own() {
        let policy = policy(EjectionSpec {
            consecutive_failures: 0,
            consecutive_gateway_failures: 2,
            ..EjectionSpec::default()
        });
        let state = Ejection::default();
        assert_eq!(state.failed(true, &policy), None);
        (0..9).for_each(|_| assert_eq!(state.failed(false, &policy), None));
        assert_eq!(state.failed(true, &policy), None);
        let reason = state.failed(true, &policy);
        assert_eq!(reason, Some(EjectionReason::ConsecutiveGatewayFailures));
    }

    #[test]
    fn a_failed_probe_ejects_for_longer_and_a_good_one_ends_it() {
        let policy = policy(EjectionSpec::default());
        let (state, flags) = (Ejection::default(), EndpointFlags::new(0));
        let reason = EjectionReason::ConsecutiveFailures;
        state.eject(reason, &policy, 1_000, &flags);
        assert_eq!(state.until_ms(), 31_000);
        assert_eq!(
            state.failed(false, &policy),
            None,
            "sent before the ejection"
        );
        assert!(!state.probe_succeeded(31_000, &flags), "no probe yet");
        assert!(state.take_probe(31_000, 31_000) && !state.take_probe(31_000, 31_000));
        assert_eq!(state.failed(false, &policy), Some(reason));
        state.eject(reason, &policy, 32_000, &flags);
        assert_eq!(state.until_ms(), 92_000);
        assert!(state.take_probe(92_000, 92_000) && state.probe_succeeded(92_000, &flags));
        assert_eq!((state.until_ms(), state.reason()), (0, None));
        state.eject(reason, &policy, 112_000, &flags);
        assert_eq!(state.until_ms(), 142_000, "forgotten after two intervals");
        assert_eq!(state.count(reason), 3);
    }

    #[test]
    fn many_connections_that_are_refused_at_once_eject_for_one_second() {
        let (state, flags) = (Ejection::default(), EndpointFlags::new(0));
        (0..50).for_each(|millisecond| state.refused(10_000 + millisecond, &flags));
        assert_eq!(state.until_ms(), 11_000);
        assert_eq!(state.count(EjectionReason::ConnectFailed), 1);
        assert!(state.take_probe(11_000, 11_000));
        (0..50).for_each(|millisecond| state.refused(11_000 + millisecond, &flags));
        assert_eq!(state.until_ms(), 13_000, "the probe's, and no other");
        assert_eq!(state.count(EjectionReason::ConnectFailed), 2);
    }

    #[test]
    fn an_accepted_connection_ends_the_ejection_of_a_refused_one_alone() {
        let policy = policy(EjectionSpec::default());
        let (state, flags) = (Ejection::default(), EndpointFlags::new(0));
        state.refused(0, &flags);
        assert_eq!(state.until_ms(), 1_000);
        assert!(state.connected(&flags) && !state.connected(&flags));
        state.eject(EjectionReason::ConsecutiveFailures, &policy, 0, &flags);
        state.refused(10, &flags);
        assert!(!state.connected(&flags));
        assert_eq!(state.until_ms(), 30_000);
    }

    #[test]
    fn two_failures_at_once_eject_once() {
        let policy = policy(EjectionSpec::default());
        let (state, flags) = (Ejection::default(), EndpointFlags::new(0));
        let reasons: Vec<_> = (0..6).filter_map(|_| state.failed(true, &policy)).collect();
        let ejected = reasons
            .iter()
            .filter(|reason| state.eject(**reason, &policy, 1_000, &flags));
        assert_eq!((reasons.len(), ejected.count()), (2, 1));
        assert_eq!(state.until_ms(), 31_000);
    }

    #[test]
    fn the_flag_changes_before_another_worker_may_look_at_the_ejection() {
        let (state, flags) = (Ejection::default(), EndpointFlags::new(0));
        let mut record = state.lock();
        state.begin(&mut record, EjectionReason::ConnectFailed, 1_000, &flags);
        assert!(flags.has(EndpointFlags::EJECTED));
        state.end(&mut record, &flags);
        assert!(!flags.has(EndpointFlags::EJECTED));
        drop(record);
        state.refused(0, &flags);
        assert!(flags.has(EndpointFlags::EJECTED));
        assert!(state.connected(&flags) && !flags.has(EndpointFlags::EJECTED));
    }
}
