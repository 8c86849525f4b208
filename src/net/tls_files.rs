//! Loads certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore};

use super::error::NetError;

/// Paths of a certificate chain and its key.
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
        CertifiedKey::from_der(chain, key, provider).map_err(|error| pair(&self.key, &error))
    }
}

/// All certificates of a file; an error if there are none.
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
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        Error::NoItemsFound => pem(path, "it holds no private key"),
        error => pem(path, error),
    })
}

/// The certificates of a file, as authorities.
pub(super) fn authorities(
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| pem(path, error))?;
    }
    Ok(Arc::new(roots))
}

/// The authorities that this machine trusts.
pub(super) fn native_authorities() -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(tls("this machine has no CA certificates; set a `ca` file"));
    }
    Ok(Arc::new(roots))
}

/// Cipher suites and key exchanges, the preferred ones first: AES with 128 bits before 256. It is as strong as the key
/// exchanges beside it, and comes with SHA-256, which has CPU instructions; SHA-384 took a tenth of a handshake.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| match suite.suite() {
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 2,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => 1,
            _ => 0,
        });
    Arc::new(provider)
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

/// Error for a certificate and a key that do not belong together.
pub(super) fn pair(key: &Path, error: &rustls::Error) -> NetError {
    match error {
        rustls::Error::InconsistentKeys(_) => pem(key, "it is not the key of the certificate"),
        error => pem(key, error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_strong_cipher_comes_first_in_each_version() {
        let suites: Vec<CipherSuite> = provider()
            .cipher_suites
            .iter()
            .map(rustls::SupportedCipherSuite::suite)
            .collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(
            suites[1],
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        );
        assert!(suites.contains(&CipherSuite::TLS13_AES_256_GCM_SHA384));
    }
}
