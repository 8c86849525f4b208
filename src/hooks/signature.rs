//! Signature of a request, by the scheme of Standard Webhooks: HMAC-SHA256 over id, time and body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

/// Field with the id of the message.
pub(super) const ID: &str = "webhook-id";
/// Field with the time of the attempt, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// Field with the signatures, one for each secret.
pub(super) const SIGNATURE: &str = "webhook-signature";

/// The signatures of a request, one for each key.
pub(super) fn sign(keys: &[hmac::Key], id: &str, seconds: u64, body: &str) -> Option<String> {
    let signed = format!("{id}.{seconds}.{body}");
    let one = |key| {
        let tag = hmac::sign(key, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    };
    let all: Vec<_> = keys.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hooks::secret::key;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn verifies(key: &hmac::Key, signed: (&str, u64, &str), signature: &str) -> bool {
        let (id, seconds, body) = signed;
        signature.split(' ').any(|one| {
            let tag = STANDARD.decode(one.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(key, format!("{id}.{seconds}.{body}").as_bytes(), &tag).is_ok()
        })
    }

    /// The example of the specification.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let keys = [key(SECRET).unwrap()];
        let found = sign(
            &keys,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            found.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn each_secret_signs_and_none_signs_nothing() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let keys = [key(SECRET).unwrap(), key(other).unwrap()];
        let found = sign(&keys, "m", 1, "{}").unwrap();
        assert_eq!(found.split(' ').count(), 2);
        for key in &keys {
            assert!(verifies(key, ("m", 1, "{}"), &found));
        }
        assert_eq!(sign(&[], "m", 1, "{}"), None);
    }

    proptest! {
        /// Neither the id, nor the time, nor a byte of the body can be changed.
        #[test]
        fn a_signature_holds_for_nothing_else(
            id in "[a-z_0-9]{1,20}", seconds in any::<u64>(), body in ".{0,100}",
            other_id in "[a-z_0-9]{1,20}", other_seconds in any::<u64>(), other_body in ".{0,100}",
        ) {
            let keys = [key(SECRET).unwrap()];
            let found = sign(&keys, &id, seconds, &body).unwrap();
            prop_assert!(verifies(&keys[0], (&id, seconds, &body), &found));
            if (&other_id, other_seconds, &other_body) != (&id, seconds, &body) {
                prop_assert!(!verifies(&keys[0], (&other_id, other_seconds, &other_body), &found));
            }
        }
    }
}
