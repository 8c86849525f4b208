//! Certificates from an authority: their status, and events about them.

use std::sync::Arc;

use super::{Controller, certificate_desk::CertificateSource};
use crate::api::{CertificateStatus, EventBody, Timestamp};

impl Controller {
    /// Lets the status show the certificates of this process.
    pub fn set_certificates(&self, source: Arc<dyn CertificateSource>) {
        self.certificates.set(source);
    }

    /// Status of the certificates that an authority issues.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates.status()
    }

    /// Tells clients of the events that a certificate was issued, or could not be.
    pub fn certificate_ordered(
        &self,
        domain: String,
        not_after: Option<Timestamp>,
        error: Option<String>,
    ) {
        self.events.publish(EventBody::Certificate {
            domain,
            not_after,
            error,
        });
    }
}
