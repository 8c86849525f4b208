//! Certificates with their keys, and accounts, in the form that they have in the store of a fleet: the keys are sealed if the
//! configuration has keys for that.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::seal::{Content, KeyRing, Label, OpenError, is_sealed};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// Place of the key in an account.
const ACCOUNT_KEY: &str = "key_pkcs8";
/// Characters of a sealed text that name its key.
const NAME: usize = 9;

/// Error of a secret in the store, or on its way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum SecretError {
    /// It has a form that this version does not know.
    #[error("it has a form that is not known here")]
    Form,
    /// The key has no room in a sealed text.
    #[error("its key is too long to be sealed")]
    TooLong,
    /// It does not open.
    #[error("its key is sealed, and `sessions.keys` of this node do not open it: {0}")]
    Sealed(OpenError),
}

/// A certificate with its key.
#[derive(Serialize, Deserialize)]
struct CertificateDocument {
    key: String,
    chain: String,
}

/// The keys that seal secrets, if there are any.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedSecrets(pub(super) Option<Arc<KeyRing>>);

impl SharedSecrets {
    /// Name of the key that seals now.
    pub(super) fn sealed_by(&self) -> Option<String> {
        let sealed = self.0.as_ref()?.seal(&Label::private_key(""), b"")?;
        sealed.as_str().get(..NAME).map(str::to_owned)
    }

    /// The form of a certificate with its key, PEM.
    pub(super) fn certificate(&self, domain: &str, pem: &str) -> Result<Vec<u8>, SecretError> {
        let begin = pem.find(BEGIN).ok_or(SecretError::Form)?;
        let (key, chain) = pem.split_at(begin);
        let document = CertificateDocument {
            key: self.closed(domain, key)?,
            chain: chain.to_owned(),
        };
        serde_json::to_vec(&document).map_err(|_| SecretError::Form)
    }

    /// The certificate with its key, PEM, of such a form.
    pub(super) fn pem(&self, domain: &str, document: &[u8]) -> Result<String, SecretError> {
        let document: CertificateDocument =
            serde_json::from_slice(document).map_err(|_| SecretError::Form)?;
        Ok(self.opened(domain, &document.key)? + &document.chain)
    }

    /// The form of an account.
    pub(super) fn account(&self, directory: &str, account: &[u8]) -> Result<Vec<u8>, SecretError> {
        let changed = with_key(account, |key| self.closed(directory, key))?;
        serde_json::to_vec(&changed).map_err(|_| SecretError::Form)
    }

    /// The account of such a form.
    pub(super) fn opened_account(
        &self,
        directory: &str,
        document: &[u8],
    ) -> Result<Vec<u8>, SecretError> {
        let account = with_key(document, |key| self.opened(directory, key))?;
        serde_json::to_vec_pretty(&account).map_err(|_| SecretError::Form)
    }

    fn closed(&self, of: &str, key: &str) -> Result<String, SecretError> {
        let Some(ring) = &self.0 else {
            return Ok(key.to_owned());
        };
        let sealed = ring.seal(&Label::private_key(of), key.as_bytes());
        let sealed = sealed.ok_or(SecretError::TooLong)?;
        Ok(sealed.as_str().to_owned())
    }

    fn opened(&self, of: &str, text: &str) -> Result<String, SecretError> {
        if !is_sealed(text.as_bytes()) {
            return Ok(text.to_owned());
        }
        let ring = self.0.as_ref();
        let ring = ring.ok_or(SecretError::Sealed(OpenError::UnknownKey))?;
        let mut content = Content::default();
        let opened = ring.open(&Label::private_key(of), text.as_bytes(), &mut content);
        let key = opened.map_err(SecretError::Sealed)?;
        String::from_utf8(key.to_vec()).map_err(|_| SecretError::Form)
    }
}

/// An account with another form of its key.
fn with_key(
    account: &[u8],
    change: impl Fn(&str) -> Result<String, SecretError>,
) -> Result<Value, SecretError> {
    let mut account: Value = serde_json::from_slice(account).map_err(|_| SecretError::Form)?;
    let key = account.get_mut(ACCOUNT_KEY).ok_or(SecretError::Form)?;
    *key = Value::String(change(key.as_str().ok_or(SecretError::Form)?)?);
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(keys: &[char]) -> SharedSecrets {
        let keys: Vec<String> = keys.iter().map(|key| key.to_string().repeat(40)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        SharedSecrets(KeyRing::new(&keys).unwrap().map(Arc::new))
    }

    fn pem() -> String {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        made.signing_key.serialize_pem() + &made.cert.pem()
    }

    #[test]
    fn a_key_is_sealed_where_there_is_a_key_for_that_and_opens_with_any_of_them() {
        let (plain, old, both) = (secrets(&[]), secrets(&['o']), secrets(&['n', 'o']));
        let pem = pem();
        let open = plain.certificate("a.test", &pem).unwrap();
        assert!(String::from_utf8_lossy(&open).contains("PRIVATE KEY"));
        let sealed = old.certificate("a.test", &pem).unwrap();
        let text = String::from_utf8_lossy(&sealed);
        assert!(!text.contains("PRIVATE KEY") && text.contains("BEGIN CERTIFICATE"));
        for opener in [&old, &both] {
            assert_eq!(opener.pem("a.test", &sealed).as_ref(), Ok(&pem));
            assert_eq!(opener.pem("a.test", &open).as_ref(), Ok(&pem));
        }
        let unknown = Err(SecretError::Sealed(OpenError::UnknownKey));
        assert_eq!(plain.pem("a.test", &sealed), unknown);
        assert_eq!(secrets(&['x']).pem("a.test", &sealed), unknown);
        let forged = Err(SecretError::Sealed(OpenError::Forged));
        assert_eq!(old.pem("b.test", &sealed), forged, "of another domain");
        // Whoever orders sees from this whether it has to be sealed anew.
        assert_eq!(plain.sealed_by(), None);
        let name = old.sealed_by().unwrap();
        assert!(text.contains(&name) && both.sealed_by() != Some(name));
        assert_eq!(old.certificate("a.test", &pem).unwrap(), sealed);
    }

    #[test]
    fn of_an_account_only_the_key_is_sealed() {
        let account = br#"{"id":"https://acme.example/1","key_pkcs8":"c2VjcmV0","directory":null}"#;
        for secrets in [secrets(&[]), secrets(&['k'])] {
            let document = secrets.account("dir", account).unwrap();
            let text = String::from_utf8_lossy(&document);
            assert!(text.contains("acme.example/1"));
            assert_eq!(text.contains("c2VjcmV0"), secrets.0.is_none());
            let opened = secrets.opened_account("dir", &document).unwrap();
            assert_eq!(
                serde_json::from_slice::<Value>(&opened).unwrap(),
                serde_json::from_slice::<Value>(account).unwrap()
            );
        }
        assert_eq!(secrets(&[]).account("dir", b"{}"), Err(SecretError::Form));
    }

    #[test]
    fn what_cannot_be_sealed_is_not_given_as_it_is() {
        let long = format!("{}{BEGIN}", "k".repeat(2_000));
        assert_eq!(
            secrets(&['k']).certificate("a.test", &long),
            Err(SecretError::TooLong)
        );
        assert_eq!(
            secrets(&[]).certificate("a.test", "no certificate"),
            Err(SecretError::Form)
        );
    }
}
