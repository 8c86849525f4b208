//! Spec of the guard of a route: the credentials that its requests need.
//!
//! The table has digests, since it is in the history and is shown by the API. A fast digest protects a secret that nobody
//! can guess: one of at least 112 random bits (NIST SP 800-63B, section 5.1.2.2, on look-up secrets). A password that a
//! person chose needs a slow one, which would hold up a worker for each guess of anybody.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{schema::keywords, text_serde::serde_as_text};

/// Guard of a route. A request passes with one of the credentials; others get 401.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardSpec {
    /// Passwords by user, for browsers (`Basic`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub basic: BTreeMap<String, SecretDigest>,
    /// Tokens by the name of their owner (`Bearer`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bearer: BTreeMap<String, SecretDigest>,
    /// True if endpoints get the field `authorization`; it is removed by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward: bool,
}

/// SHA-256 of a secret that nobody can guess, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest(pub [u8; 32]);

const PREFIX: &str = "sha256:";

impl SecretDigest {
    /// The digest of a secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

impl FromStr for SecretDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text may be the secret itself, and is not repeated.
        let wrong = || {
            "it is not a digest: write `sha256:` and the 64 hexadecimal digits of \
             `printf %s \"$SECRET\" | sha256sum`"
                .to_owned()
        };
        let digits = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().enumerate() {
            let pair = &digits[2 * place..2 * place + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

serde_as_text!(SecretDigest);

impl PartialSchema for SecretDigest {
    fn schema() -> RefOr<Schema> {
        keywords(json!({
            "type": "string",
            "description": "SHA-256 of a secret that nobody can guess.",
            "pattern": "^sha256:[0-9A-Fa-f]{64}$",
        }))
        .into()
    }
}

impl ToSchema for SecretDigest {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SecretDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written_and_an_error_does_not_show_the_secret() {
        let digest = SecretDigest::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(
            text.to_ascii_uppercase().replace("SHA", "sha").parse(),
            Ok(digest)
        );
        for bad in [
            "",
            "hunter2",
            "sha256:",
            &text[..70],
            &text.replace('b', "é"),
        ] {
            let error = bad.parse::<SecretDigest>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
