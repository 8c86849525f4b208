//! The answer to the question by which an authority validates a domain, for as long as it is needed.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use sha2::{Digest as _, Sha256};

use super::problem::{FailureKind, OrderFailure};
use crate::{
    config::AcmeChallenge,
    net::{HttpChallenges, IssuedCertificate, IssuedCertificates},
};

/// The places where listeners look for answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) issued: Arc<IssuedCertificates>,
    pub(super) http: Arc<HttpChallenges>,
}

/// An answer that is given until this is dropped.
#[derive(Debug)]
pub(super) struct Validation {
    answers: Answers,
    challenge: AcmeChallenge,
    /// The token, or the domain.
    key: String,
}

impl Answers {
    /// Answers from now on.
    pub(super) fn begin(
        &self,
        challenge: AcmeChallenge,
        domain: &str,
        token: &str,
        answer: &str,
    ) -> Result<Validation, OrderFailure> {
        let key = match challenge {
            AcmeChallenge::Http01 => {
                self.http.begin(token, answer);
                token
            }
            AcmeChallenge::TlsAlpn01 => {
                let certificate = proof(domain, answer)?;
                self.issued.begin_validation(domain, &certificate);
                domain
            }
        };
        Ok(Validation {
            answers: self.clone(),
            challenge,
            key: key.to_owned(),
        })
    }
}

impl Drop for Validation {
    fn drop(&mut self) {
        match self.challenge {
            AcmeChallenge::Http01 => self.answers.http.end(&self.key),
            AcmeChallenge::TlsAlpn01 => self.answers.issued.end_validation(&self.key),
        }
    }
}

/// The self-signed certificate that proves the control of a domain (RFC 8737, section 3).
fn proof(domain: &str, answer: &str) -> Result<IssuedCertificate, OrderFailure> {
    let made = || {
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let digest = Sha256::digest(answer.as_bytes());
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok::<_, rcgen::Error>(key.serialize_pem() + &certificate.pem())
    };
    let failed = |error: String| OrderFailure::new(FailureKind::Refused, "validation", error);
    let pem = made().map_err(|error| failed(error.to_string()))?;
    IssuedCertificate::from_validation_pem(pem.as_bytes())
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers {
            issued: IssuedCertificates::new(vec!["a.test".to_owned()]),
            http: Arc::default(),
        }
    }

    #[test]
    fn an_answer_over_http_ends_with_its_order() {
        let answers = answers();
        let path = b"/.well-known/acme-challenge/t";
        let one = answers
            .begin(AcmeChallenge::Http01, "a.test", "t", "t.x")
            .unwrap();
        assert_eq!(answers.http.answer(path).as_deref(), Some("t.x"));
        drop(one);
        assert_eq!(answers.http.answer(path), None);
    }

    #[test]
    fn the_proof_over_tls_has_the_prescribed_extension() {
        let proof = proof("a.test", "t.x").unwrap();
        // 1.3.6.1.5.5.7.1.31, critical, and the hash in an octet string of its own.
        let oid = [
            6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x1f, 1, 1, 0xff, 4, 0x22, 4, 0x20,
        ];
        let wanted = [&oid[..], &Sha256::digest(b"t.x")].concat();
        assert!(
            proof
                .leaf()
                .windows(wanted.len())
                .any(|part| part == wanted)
        );
    }
}
