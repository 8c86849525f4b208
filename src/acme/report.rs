//! Reports of orders: log, metrics, and the outcome for events.

use metrics::{counter, gauge};

use super::problem::OrderFailure;
use crate::{api::Timestamp, telemetry::names};

/// The outcome of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOutcome {
    /// The domain.
    pub domain: String,
    /// End of the certificate that is served now; `None` if there is none.
    pub not_after: Option<Timestamp>,
    /// Reason of a failure.
    pub error: Option<String>,
}

/// Time in the API of some seconds since 1970.
pub(super) const fn timestamp(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1_000))
}

/// Sets what is known of a certificate.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and good to the second"
)]
pub(super) fn set(domain: &str, not_after: Option<u64>, failures: u32) {
    let ends = not_after.unwrap_or(0) as f64;
    gauge!(names::ACME_EXPIRY.0, "domain" => domain.to_owned()).set(ends);
    gauge!(names::ACME_FAILURES.0, "domain" => domain.to_owned()).set(f64::from(failures));
}

pub(super) fn issued(domain: &str, not_after: u64) -> CertificateOutcome {
    count(domain, "issued");
    let ends = timestamp(not_after);
    tracing::info!(domain, not_after = %ends, "certificate issued; new handshakes use it");
    CertificateOutcome {
        domain: domain.to_owned(),
        not_after: Some(ends),
        error: None,
    }
}

pub(super) fn failed(
    domain: &str,
    failure: &OrderFailure,
    (not_after, next): (Option<u64>, u64),
) -> CertificateOutcome {
    count(domain, "failed");
    let (not_after, next) = (not_after.map(timestamp), timestamp(next));
    let served = match not_after {
        Some(until) => format!("the one until {until} stays in use"),
        None => "handshakes are refused until there is one".to_owned(),
    };
    let hint = failure.hint();
    tracing::error!(domain, error = %failure, next_try = %next, hint, "no certificate: {served}");
    CertificateOutcome {
        domain: domain.to_owned(),
        not_after,
        error: Some(failure.to_string()),
    }
}

fn count(domain: &str, outcome: &'static str) {
    let labels = [
        ("domain", domain.to_owned()),
        ("outcome", outcome.to_owned()),
    ];
    counter!(names::ACME_ORDERS.0, &labels).increment(1);
}
