//! The facts of a certificate that decide on its renewal: its lifetime, and its name at the authority.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{der::DerReader, renewal::Lifetime};

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The extension that names the key of the authority: 2.5.29.35.
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

/// Facts of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeafFacts {
    pub(super) lifetime: Lifetime,
    /// Its name at the authority (RFC 9773, section 4.1); `None` if it does not name the authority's key.
    pub(super) id: Option<LeafId>,
    /// Digest of the certificate, which tells it from every other one.
    pub(super) digest: String,
}

/// The name of a certificate at its authority, both parts in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeafId {
    pub(super) authority_key: String,
    pub(super) serial: String,
}

impl LeafFacts {
    /// Reads them from a certificate; `None` if it cannot be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut signed = DerReader::new(certificate).sequence()?.sequence()?;
        // The version.
        signed.skip(0xa0);
        let serial = signed.expect(INTEGER)?;
        // The algorithm and the issuer.
        signed.sequence()?;
        signed.sequence()?;
        let mut validity = signed.sequence()?;
        let lifetime = Lifetime {
            not_before: seconds(validity.element()?)?,
            not_after: seconds(validity.element()?)?,
        };
        // The subject, its key, and two identifiers that nobody uses.
        signed.sequence()?;
        signed.sequence()?;
        signed.skip(0x81);
        signed.skip(0x82);
        let id = signed
            .expect(0xa3)
            .and_then(authority_key)
            .map(|key| LeafId {
                authority_key: URL_SAFE_NO_PAD.encode(key),
                serial: URL_SAFE_NO_PAD.encode(serial),
            });
        Some(Self {
            lifetime,
            id,
            digest: digest(certificate),
        })
    }
}

/// Digest of a certificate, in hexadecimal.
pub(super) fn digest(certificate: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(certificate) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn authority_key(extensions: &[u8]) -> Option<&[u8]> {
    let mut extensions = DerReader::new(extensions).sequence()?;
    while let Some(mut extension) = extensions.sequence() {
        if extension.expect(OID)? == AUTHORITY_KEY {
            extension.skip(BOOLEAN);
            let value = extension.expect(OCTET_STRING)?;
            return DerReader::new(value).sequence()?.expect(0x80);
        }
    }
    None
}

/// Seconds since 1970 of a time such as `260131235959Z`.
fn seconds((tag, text): (u8, &[u8])) -> Option<u64> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.is_ascii())?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: u16 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 {
                    2_000 + year
                } else {
                    1_900 + year
                },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let digits = rest.strip_suffix('Z').filter(|digits| digits.len() == 10)?;
    let part = |at: usize| digits.get(at..at + 2);
    let text = format!(
        "{year:04}-{}-{}T{}:{}:{}Z",
        part(0)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?
    );
    let time = humantime::parse_rfc3339(&text).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(years: (i32, i32)) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![0x69, 0x88, 0x5b]);
        let issuer = rcgen::Issuer::new(authority, key);
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(years.0, 1, 31),
            rcgen::date_time_ymd(years.1, 2, 1),
        );
        let own = rcgen::KeyPair::generate().unwrap();
        params.signed_by(&own, &issuer).unwrap().der().to_vec()
    }

    #[test]
    fn lifetime_and_id_are_those_of_the_certificate() {
        let facts = LeafFacts::of(&signed((2026, 2027))).unwrap();
        let lifetime = facts.lifetime;
        assert_eq!(
            (lifetime.not_before, lifetime.not_after),
            (1_769_817_600, 1_801_440_000)
        );
        let id = facts.id.unwrap();
        // The example of RFC 9773: the serial has a zero before it, since its first bit is set.
        assert_eq!(
            (id.authority_key.as_str(), id.serial.as_str()),
            ("aYhb", "AIdlQyE")
        );
        let late = LeafFacts::of(&signed((2049, 2051))).unwrap().lifetime;
        assert_eq!(
            late.not_after, 2_558_822_400,
            "a year after 2049 has four digits"
        );
    }

    #[test]
    fn a_certificate_that_is_cut_off_has_no_facts() {
        let whole = signed((2026, 2027));
        for end in 0..whole.len() {
            assert_eq!(LeafFacts::of(&whole[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(place in 0_usize..600, byte in any::<u8>(), noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = signed((2026, 2027));
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = LeafFacts::of(&bytes);
            let _ = LeafFacts::of(&noise);
        }
    }
}
