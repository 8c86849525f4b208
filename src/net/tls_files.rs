//! Certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::NetError;

/// Where a certificate chain and its key are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateFiles {
    /// The chain, leaf first, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl CertificateFiles {
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, NetError> {
        let chain = certificates(&self.cert)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| pem(&self.key, error))
    }
}

/// All certificates of a file; none is an error.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| pem(path, error))?
        .collect();
    let chain = chain.map_err(|error| pem(path, error))?;
    if chain.is_empty() {
        return Err(pem(path, "it holds no certificate"));
    }
    Ok(chain)
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, NetError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| pem(path, error))
}

/// The authorities of a file.
pub(super) fn authorities(path: &Path) -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| pem(path, error))?;
    }
    Ok(Arc::new(roots))
}

/// The authorities that this machine trusts.
pub(super) fn native_authorities() -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(tls(
            "this machine has no certificate authorities; name a `ca` file",
        ));
    }
    Ok(Arc::new(roots))
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "errors are handed over by `map_err`"
)]
pub(super) fn tls(error: impl ToString) -> NetError {
    NetError::Tls {
        message: error.to_string(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "errors are handed over by `map_err`"
)]
fn pem(path: &Path, error: impl ToString) -> NetError {
    NetError::Pem {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
