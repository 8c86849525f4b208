//! Metrics of certificates that an authority issues.

use super::metric::{Kind, Metric};

/// End of each certificate.
pub const ACME_EXPIRY: Metric = (
    "switchback_acme_certificate_expiry_timestamp_seconds",
    Kind::Gauge,
    "End of the certificate of a domain, in seconds since 1970; 0 if there is none",
);
/// Orders in a row that have failed.
pub const ACME_FAILURES: Metric = (
    "switchback_acme_failures",
    Kind::Gauge,
    "Orders for a domain that have failed since its last certificate",
);
/// Orders by outcome.
pub const ACME_ORDERS: Metric = (
    "switchback_acme_orders_total",
    Kind::Counter,
    "Orders for certificates by domain and outcome: issued or failed",
);
