//! The source of the status of certificates, which another part of the process orders.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::api::CertificateStatus;

/// Source of the status of certificates.
pub trait CertificateSource: Send + Sync {
    /// Status of each domain.
    fn certificates(&self) -> Vec<CertificateStatus>;
}

/// The source, once it is there.
#[derive(Default)]
pub(super) struct CertificateDesk(OnceLock<Arc<dyn CertificateSource>>);

impl CertificateDesk {
    /// Sets the source. A process has one set of listeners, so the first one stays.
    pub(super) fn set(&self, source: Arc<dyn CertificateSource>) {
        let _first = self.0.set(source);
    }

    pub(super) fn status(&self) -> Vec<CertificateStatus> {
        let source = self.0.get();
        source.map_or_else(Vec::new, |source| source.certificates())
    }
}

impl fmt::Debug for CertificateDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateDesk")
    }
}
