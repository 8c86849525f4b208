//! Verification of a server's certificate against a file of trusted ones.
//!
//! The file usually holds authorities. As with curl, it may also hold the server's own certificate: `openssl req -x509`
//! makes one that is both at once, and webpki alone never accepts an authority (`CA:TRUE`) as a server.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use webpki::anchor_from_trusted_cert;

use super::error::NetError;
use super::tls_files::tls;

/// Verifier that trusts the certificates of one file and those that they issued.
///
/// Trusting a listed certificate as the server's own adds no risk: its key could have issued another one. Its name and
/// its dates are checked as usual.
#[derive(Debug)]
pub(super) struct FileVerifier {
    issued: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl FileVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        mut listed: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NetError> {
        let issued = WebPkiServerVerifier::builder_with_provider(roots, provider);
        listed.retain(issues_any_name);
        Ok(Self {
            issued: issued.build().map_err(tls)?,
            listed,
        })
    }
}

/// True if the authority has no name constraints. One that has is not trusted as a server, where they would not be
/// checked.
fn issues_any_name(certificate: &CertificateDer<'_>) -> bool {
    anchor_from_trusted_cert(certificate).is_ok_and(|anchor| anchor.name_constraints.is_none())
}

/// True for an error about a certificate's issuer. Its dates are valid then: webpki checks them first, as a test
/// verifies.
fn is_about_issuer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(OtherError(error))) => {
            matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let issued = self.issued.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match issued {
            Err(error) if is_about_issuer(&error) && self.listed.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            issued => issued,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
        NameConstraints,
    };

    use super::super::tls_files::provider;
    use super::*;

    /// Parameters of an `openssl req -x509` certificate: self-signed, and an authority.
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params
    }

    fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().into()
    }

    fn in_year(year: u64) -> UnixTime {
        let days = Duration::from_hours(24 * (365 * (year - 1970) + 100));
        UnixTime::since_unix_epoch(days)
    }

    fn verdict(
        listed: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &str,
        year: u64,
    ) -> Result<(), CertificateError> {
        let mut roots = RootCertStore::empty();
        roots.add(listed.clone()).unwrap();
        let verifier =
            FileVerifier::new(Arc::new(roots), vec![listed.clone()], provider()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        match verifier.verify_server_cert(shown, &[], &name, &[], in_year(year)) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_listed_authority_may_be_the_server_itself() {
        let own = self_signed(&params("agents.test"));
        assert_eq!(verdict(&own, &own, "agents.test", 2025), Ok(()));
    }

    #[test]
    fn its_name_and_its_dates_count_as_ever() {
        let own = self_signed(&params("agents.test"));
        let refused = |name, year| verdict(&own, &own, name, year).unwrap_err();
        assert!(matches!(
            refused("other.test", 2025),
            CertificateError::NotValidForNameContext { .. }
        ));
        assert!(matches!(
            refused("agents.test", 2031),
            CertificateError::ExpiredContext { .. }
        ));
        assert!(matches!(
            refused("agents.test", 2019),
            CertificateError::NotValidYetContext { .. }
        ));
    }

    #[test]
    fn another_authority_of_the_same_name_is_a_stranger() {
        let (own, other) = (params("agents.test"), params("agents.test"));
        let (own, other) = (self_signed(&own), self_signed(&other));
        assert!(verdict(&own, &other, "agents.test", 2025).is_err());
    }

    #[test]
    fn a_listed_certificate_of_an_unlisted_authority_is_trusted_and_its_siblings_are_not() {
        let mut authority = params("authority.test");
        authority
            .distinguished_name
            .push(DnType::CommonName, "authority.test");
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let issue = || {
            let mut params = params("agents.test");
            params.is_ca = IsCa::NoCa;
            let key = KeyPair::generate().unwrap();
            CertificateDer::from(params.signed_by(&key, &issuer).unwrap())
        };
        let (own, sibling) = (issue(), issue());
        assert_eq!(verdict(&own, &own, "agents.test", 2025), Ok(()));
        assert!(verdict(&own, &own, "agents.test", 2031).is_err());
        assert_eq!(
            verdict(&own, &sibling, "agents.test", 2025),
            Err(CertificateError::UnknownIssuer)
        );
    }

    #[test]
    fn an_authority_for_some_names_only_is_no_server() {
        let mut params = params("agents.test");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let own = self_signed(&params);
        assert!(verdict(&own, &own, "agents.test", 2025).is_err());
    }
}
