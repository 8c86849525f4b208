//! The binding of an account to one that its owner has at the authority already (RFC 8555, section 7.3.4).

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::ExternalAccountKey;

use crate::config::AccountBinding;

/// Longest file of a key.
const LARGEST: u64 = 4_096;
/// Fewest bytes of a key: as many as the signature has (RFC 7518, section 3.2).
const FEWEST: usize = 32;

/// Error of a key that binds an account.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The content is no key.
    #[error("`{}` holds no key in base64url of at least {FEWEST} bytes", .0.display())]
    NoKey(PathBuf),
}

/// Reads the key, as an authority hands it out.
///
/// # Errors
/// When the file cannot be read, or holds no key.
pub(super) fn read(binding: &AccountBinding) -> Result<ExternalAccountKey, BindingError> {
    let path = &binding.key_file;
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    opened.map_err(|source| BindingError::File {
        path: path.clone(),
        source,
    })?;
    let key = decoded(&text).ok_or_else(|| BindingError::NoKey(path.clone()))?;
    Ok(ExternalAccountKey::new(binding.kid.clone(), &key))
}

/// Checks that the key can be used.
///
/// # Errors
/// When the file cannot be read, or holds no key.
pub fn check_binding(binding: &AccountBinding) -> Result<(), BindingError> {
    read(binding).map(drop)
}

/// The bytes of a key. Some authorities show them with the other alphabet, or with padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_end_matches('=');
    let text = text.replace('+', "-").replace('/', "_");
    let key = URL_SAFE_NO_PAD.decode(text).ok()?;
    (key.len() >= FEWEST).then_some(key)
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        io::Write as _,
        path::Path,
        pin::Pin,
        sync::{Arc, Mutex},
    };

    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use hyper::{Request, Response};
    use instant_acme::{Account, BodyWrapper, BytesResponse, Error, HttpClient, NewAccount};
    use ring::hmac;
    use serde_json::{Value, json};

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A directory that registers every account, and keeps what it was sent.
    #[derive(Clone, Default)]
    struct Directory(Arc<Mutex<Vec<u8>>>);

    impl HttpClient for Directory {
        fn request(
            &self,
            request: Request<BodyWrapper<Bytes>>,
        ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
            let kept = Arc::clone(&self.0);
            Box::pin(async move {
                let body = request.into_body().collect().await;
                *kept.lock().unwrap() = body.unwrap().to_bytes().to_vec();
                let urls = [
                    "newNonce",
                    "newAccount",
                    "newOrder",
                    "revokeCert",
                    "keyChange",
                ];
                let urls = urls.map(|key| (key.to_owned(), json!("https://acme.test/account")));
                let answer = Value::Object(urls.into_iter().collect()).to_string();
                let response = Response::builder()
                    .header("replay-nonce", "n")
                    .header("location", "https://acme.test/account/1");
                let response = response.body(Full::new(Bytes::from(answer))).unwrap();
                Ok(BytesResponse::from(response))
            })
        }
    }

    /// The JSON in a part of a signed message.
    fn part(signed: &Value, name: &str) -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(signed[name].as_str().unwrap());
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_new_account_is_bound_by_the_name_and_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let (key, key_file) = ([5; 32], folder.path().join("key"));
        write(&key_file, &URL_SAFE_NO_PAD.encode(key));
        let binding = AccountBinding {
            kid: "kid-1".to_owned(),
            key_file,
        };
        let directory = Directory::default();
        let new = NewAccount {
            contact: &[],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let key_of_owner = read(&binding).unwrap();
        let created = Account::builder_with_http(Box::new(directory.clone())).create(
            &new,
            "https://acme.test/dir".to_owned(),
            Some(&key_of_owner),
        );
        drop(created.await.unwrap());
        let sent: Value = serde_json::from_slice(&directory.0.lock().unwrap()).unwrap();
        let bound = &part(&sent, "payload")["externalAccountBinding"];
        assert_eq!(part(bound, "protected")["kid"], "kid-1");
        assert_eq!(part(bound, "payload"), part(&sent, "protected")["jwk"]);
        let text = |name: &str| bound[name].as_str().unwrap();
        let signed = format!("{}.{}", text("protected"), text("payload"));
        let signature = URL_SAFE_NO_PAD.decode(text("signature")).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_key_is_read_in_each_form_in_which_authorities_show_it() {
        let key: Vec<u8> = (200..=255).collect();
        assert!(STANDARD.encode(&key).contains(['+', '/', '=']));
        for text in [URL_SAFE_NO_PAD.encode(&key), STANDARD.encode(&key)] {
            assert_eq!(decoded(&format!("{text}\n")).as_ref(), Some(&key), "{text}");
        }
        for bad in ["", "\n", "no key at all", &URL_SAFE_NO_PAD.encode([7; 31])] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_named_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let binding = AccountBinding {
            kid: "kid-1".to_owned(),
            key_file: folder.path().join("key"),
        };
        let said = || check_binding(&binding).unwrap_err().to_string();
        assert!(said().contains("cannot be read"), "{}", said());
        write(&binding.key_file, "hunter2");
        assert!(said().contains("holds no key") && !said().contains("hunter2"));
        write(&binding.key_file, &"A".repeat(43));
        assert!(check_binding(&binding).is_ok());
    }
}
