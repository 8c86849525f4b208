//! Certificates of a listener that an authority issues while the proxy runs (ACME), and those that answer its
//! validations over TLS (RFC 8737).
//!
//! A handshake reads one pointer; a new certificate swaps it, and open connections are not affected.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, pem::PemObject},
    server::ClientHello,
    sign::CertifiedKey,
};

use super::{error::NetError, tls_files::provider, tls_files::tls};

/// Protocol that a validation offers, and no other one beside it.
pub(super) const VALIDATION_PROTOCOL: &[u8] = b"acme-tls/1";

/// A certificate with its key, ready for handshakes.
#[derive(Clone, Debug)]
pub struct IssuedCertificate(Arc<CertifiedKey>);

/// Certificates by domain.
#[derive(Debug)]
pub struct IssuedCertificates {
    /// The domains, in the order of the configuration: the first one with a certificate is for unknown names.
    domains: Vec<String>,
    issued: ArcSwap<HashMap<String, IssuedCertificate>>,
    validations: ArcSwap<HashMap<String, IssuedCertificate>>,
}

// === impl IssuedCertificate ===

impl IssuedCertificate {
    /// Reads a key and the chain of its certificate, leaf first, from one PEM text.
    ///
    /// # Errors
    /// When the text lacks one of them, or the key is not that of the certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NetError> {
        let (chain, key) = parsed(pem)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(tls)?;
        let certificate = Self(Arc::new(key));
        webpki::EndEntityCert::try_from(&CertificateDer::from(certificate.leaf())).map_err(tls)?;
        Ok(certificate)
    }

    /// Reads the certificate of a validation. It has an extension that is critical and known to authorities alone, for
    /// which the library refuses to compare it with its key.
    ///
    /// # Errors
    /// As [`IssuedCertificate::from_pem`].
    pub fn from_validation_pem(pem: &[u8]) -> Result<Self, NetError> {
        let (chain, key) = parsed(pem)?;
        let key = provider().key_provider.load_private_key(key).map_err(tls)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }

    /// The certificate itself, DER.
    pub fn leaf(&self) -> &[u8] {
        self.0.cert.first().map_or(&[], |leaf| leaf.as_ref())
    }

    /// True if it is for this domain.
    pub fn is_for(&self, domain: &str) -> bool {
        let leaf = CertificateDer::from(self.leaf());
        let (Ok(leaf), Ok(name)) = (
            webpki::EndEntityCert::try_from(&leaf),
            DnsName::try_from(domain),
        ) else {
            return false;
        };
        let name = ServerName::DnsName(name);
        leaf.verify_is_valid_for_subject_name(&name).is_ok()
    }
}

// === impl IssuedCertificates ===

impl IssuedCertificates {
    /// The certificates for these domains; there are none yet.
    pub fn new(domains: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            domains,
            issued: ArcSwap::default(),
            validations: ArcSwap::default(),
        })
    }

    /// Uses a certificate for new handshakes.
    pub fn set(&self, domain: &str, certificate: &IssuedCertificate) {
        change(&self.issued, |map| {
            map.insert(domain.to_owned(), certificate.clone());
        });
    }

    /// Answers validations of a domain with this certificate.
    pub fn begin_validation(&self, domain: &str, certificate: &IssuedCertificate) {
        change(&self.validations, |map| {
            map.insert(domain.to_owned(), certificate.clone());
        });
    }

    /// Answers them no longer.
    pub fn end_validation(&self, domain: &str) {
        change(&self.validations, |map| {
            map.remove(domain);
        });
    }

    pub(super) fn of_domain(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        self.issued.load().get(domain).map(|one| Arc::clone(&one.0))
    }

    pub(super) fn of_validation(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        let validations = self.validations.load();
        validations.get(domain).map(|one| Arc::clone(&one.0))
    }

    /// The certificate for unknown names.
    pub(super) fn first(&self) -> Option<Arc<CertifiedKey>> {
        let issued = self.issued.load();
        let first = self.domains.iter().find_map(|domain| issued.get(domain));
        first.map(|one| Arc::clone(&one.0))
    }
}

fn parsed(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NetError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| tls(format!("the certificate cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(tls("there is no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| tls(format!("the key cannot be read: {error}")))?;
    Ok((chain, key))
}

/// True if a handshake is a validation of an authority.
pub(super) fn is_validation(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else {
        return false;
    };
    offered.next() == Some(VALIDATION_PROTOCOL) && offered.next().is_none()
}

fn change(
    map: &ArcSwap<HashMap<String, IssuedCertificate>>,
    change: impl Fn(&mut HashMap<String, IssuedCertificate>),
) {
    map.rcu(|map| {
        let mut map = HashMap::clone(map);
        change(&mut map);
        map
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(domain: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([domain.to_owned()]).unwrap();
        (made.signing_key.serialize_pem(), made.cert.pem())
    }

    #[test]
    fn a_certificate_is_taken_only_with_its_own_key_and_for_its_names() {
        let ((key, cert), (other, _)) = (made("a.test"), made("a.test"));
        let good = IssuedCertificate::from_pem(format!("{key}{cert}").as_bytes()).unwrap();
        assert!(good.is_for("a.test") && !good.is_for("b.test") && !good.is_for("*"));
        for bad in [
            format!("{other}{cert}"),
            key,
            cert,
            String::new(),
            "-----BEGIN".into(),
        ] {
            assert!(
                IssuedCertificate::from_pem(bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn unknown_names_get_the_first_domain_that_has_a_certificate() {
        let all = IssuedCertificates::new(vec!["a.test".into(), "b.test".into()]);
        assert!(all.first().is_none() && all.of_domain("b.test").is_none());
        let make = |domain: &str| {
            let (key, cert) = made(domain);
            IssuedCertificate::from_pem(format!("{key}{cert}").as_bytes()).unwrap()
        };
        let (a, b) = (make("a.test"), make("b.test"));
        all.set("b.test", &b);
        assert!(Arc::ptr_eq(&all.first().unwrap(), &b.0));
        all.set("a.test", &a);
        assert!(Arc::ptr_eq(&all.first().unwrap(), &a.0));
        all.begin_validation("a.test", &b);
        assert!(Arc::ptr_eq(&all.of_validation("a.test").unwrap(), &b.0));
        all.end_validation("a.test");
        assert!(all.of_validation("a.test").is_none());
    }
}
