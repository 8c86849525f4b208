//! The key ring: the first key seals, all of them open, so that keys can be rotated.
//!
//! Each secret gives three keys (HKDF): one for the cipher, one for nonces, and a short id that says which key sealed a
//! text. A nonce is the HMAC of the label and the content, so equal contents have equal texts, and no two contents share
//! a nonce but by a collision of 96 bits.

use std::{fmt, ops::Deref, sync::Arc};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{aead, hkdf, hmac};
use thiserror::Error;

use super::Label;

/// Start of every sealed text, with the version of its form.
const PREFIX: &[u8] = b"sb1.";
const KEY_ID: usize = 4;
const TAG: usize = 16;
/// Longest content in bytes.
pub const LONGEST_CONTENT: usize = 1_088;
const LONGEST_RAW: usize = KEY_ID + aead::NONCE_LEN + LONGEST_CONTENT + TAG;
/// Longest text; base64 takes four characters for each three bytes.
const LONGEST_TEXT: usize = PREFIX.len() + LONGEST_RAW.div_ceil(3) * 4;
/// Shortest secret: a shorter one could be guessed.
const SHORTEST_SECRET: usize = 32;

/// The keys that seal and open.
pub struct KeyRing {
    // Invariant: never empty.
    keys: ArcSwap<Vec<Key>>,
}

struct Key {
    id: [u8; KEY_ID],
    cipher: aead::LessSafeKey,
    nonces: hmac::Key,
}

/// Error of a secret that can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key is not {SHORTEST_SECRET} or more visible ASCII characters")]
pub struct WeakSecret;

/// Reason why a text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It was altered, or made for another purpose.
    #[error("the sealed text is forged, or made for another field")]
    Forged,
    /// It has not the form of a sealed text.
    #[error("not a sealed text")]
    Malformed,
    /// No key of the ring has sealed it.
    #[error("sealed by an unknown key")]
    UnknownKey,
}

/// A sealed text.
pub struct Sealed {
    bytes: [u8; LONGEST_TEXT],
    length: usize,
}

/// The content of a text that was opened, and its buffer.
pub struct Content {
    bytes: [u8; LONGEST_RAW],
    length: usize,
}

/// True for a text that begins as a sealed one, so that it is worth opening.
#[inline]
pub fn is_sealed(text: &[u8]) -> bool {
    text.starts_with(PREFIX)
}

// === impl KeyRing ===

impl KeyRing {
    /// Keys from secrets, the sealing one first; `None` if there is none.
    ///
    /// # Errors
    /// The position of a secret that is too short.
    pub fn new(secrets: &[&str]) -> Result<Option<Self>, (usize, WeakSecret)> {
        let keys = all(secrets)?;
        Ok((!keys.is_empty()).then(|| Self {
            keys: ArcSwap::from_pointee(keys),
        }))
    }

    /// Seals and opens with other keys from now on; without any, those that there are stay.
    ///
    /// # Errors
    /// The position of a secret that is too short: nothing changes.
    pub fn replace(&self, secrets: &[&str]) -> Result<(), (usize, WeakSecret)> {
        let keys = all(secrets)?;
        if !keys.is_empty() {
            self.keys.store(Arc::new(keys));
        }
        Ok(())
    }

    /// Seals a content. `None` if it is longer than [`LONGEST_CONTENT`].
    pub fn seal(&self, label: &Label, content: &[u8]) -> Option<Sealed> {
        let keys = self.keys.load();
        let key = keys.first()?;
        let mut raw = [0; LONGEST_RAW];
        let (head, body) = raw.split_at_mut(KEY_ID + aead::NONCE_LEN);
        body.get_mut(..content.len())
            .filter(|_| content.len() <= LONGEST_CONTENT)?
            .copy_from_slice(content);
        let nonce = key.nonce(label, content);
        let (id, nonce_bytes) = head.split_at_mut(KEY_ID);
        id.copy_from_slice(&key.id);
        nonce_bytes.copy_from_slice(&nonce);
        let tag = key.cipher.seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(label.as_bytes()),
            &mut body[..content.len()],
        );
        body[content.len()..][..TAG].copy_from_slice(tag.ok()?.as_ref());
        let length = KEY_ID + aead::NONCE_LEN + content.len() + TAG;
        Sealed::of(&raw[..length])
    }

    /// Opens a text into `content`.
    ///
    /// # Errors
    /// A text that no key of this ring has made for this label.
    pub fn open<'c>(
        &self,
        label: &Label,
        text: &[u8],
        content: &'c mut Content,
    ) -> Result<&'c [u8], OpenError> {
        content.decode(text)?;
        let (head, body) = content.bytes[..content.length].split_at_mut(KEY_ID + aead::NONCE_LEN);
        let (id, nonce) = head.split_at(KEY_ID);
        // Two secrets of one ring share an id once in four billion rings; the first one opens then.
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.id == *id);
        let length = key.ok_or(OpenError::UnknownKey)?.open(label, nonce, body)?;
        Ok(&content.bytes[KEY_ID + aead::NONCE_LEN..][..length])
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.load().len())
    }
}

fn all(secrets: &[&str]) -> Result<Vec<Key>, (usize, WeakSecret)> {
    let keys = secrets.iter().enumerate();
    keys.map(|(place, secret)| Key::new(secret).map_err(|weak| (place, weak)))
        .collect()
}

// === impl Key ===

/// Length of a key's id, as output of HKDF.
struct IdLength;

impl hkdf::KeyType for IdLength {
    fn len(&self) -> usize {
        KEY_ID
    }
}

impl Key {
    fn new(secret: &str) -> Result<Self, WeakSecret> {
        let secret = secret.trim();
        if secret.len() < SHORTEST_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WeakSecret);
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"switchback seal 1");
        let derived = salt.extract(secret.as_bytes());
        let mut id = [0; KEY_ID];
        let written = derived
            .expand(&[b"id"], IdLength)
            .and_then(|okm| okm.fill(&mut id));
        let cipher = derived.expand(&[b"cipher"], &aead::AES_256_GCM);
        let nonces = derived.expand(&[b"nonce"], hmac::HMAC_SHA256);
        // HKDF fails only for outputs of more than 255 hashes.
        let (Ok(()), Ok(cipher), Ok(nonces)) = (written, cipher, nonces) else {
            return Err(WeakSecret);
        };
        Ok(Self {
            id,
            cipher: aead::LessSafeKey::new(cipher.into()),
            nonces: nonces.into(),
        })
    }

    fn nonce(&self, label: &Label, content: &[u8]) -> [u8; aead::NONCE_LEN] {
        let mut hash = hmac::Context::with_key(&self.nonces);
        hash.update(&(label.as_bytes().len() as u64).to_be_bytes());
        hash.update(label.as_bytes());
        hash.update(content);
        let hash = hash.sign();
        let mut nonce = [0; aead::NONCE_LEN];
        nonce.copy_from_slice(&hash.as_ref()[..aead::NONCE_LEN]);
        nonce
    }

    /// Decrypts in place; returns the length of the content.
    fn open(&self, label: &Label, nonce: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce);
        let opened = self.cipher.open_in_place(
            nonce.map_err(|_| OpenError::Malformed)?,
            aead::Aad::from(label.as_bytes()),
            body,
        );
        opened
            .map(|content| content.len())
            .map_err(|_| OpenError::Forged)
    }
}

// === impl Sealed ===

impl Sealed {
    fn of(raw: &[u8]) -> Option<Self> {
        let mut sealed = Self {
            bytes: [0; LONGEST_TEXT],
            length: 0,
        };
        let (prefix, rest) = sealed.bytes.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        let written = URL_SAFE_NO_PAD.encode_slice(raw, rest).ok()?;
        sealed.length = PREFIX.len() + written;
        Some(sealed)
    }

    /// The text as a string.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self).unwrap_or_default()
    }
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

// === impl Content ===

impl Default for Content {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST_RAW],
            length: 0,
        }
    }
}

impl Content {
    fn decode(&mut self, text: &[u8]) -> Result<(), OpenError> {
        let text = text.strip_prefix(PREFIX).ok_or(OpenError::Malformed)?;
        if text.len() > LONGEST_TEXT - PREFIX.len() {
            return Err(OpenError::Malformed);
        }
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut self.bytes);
        self.length = decoded.map_err(|_| OpenError::Malformed)?;
        if self.length < KEY_ID + aead::NONCE_LEN + TAG {
            return Err(OpenError::Malformed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRETS: [&str; 3] = [
        "first secret first secret first_",
        "second-secret-second-secret-second",
        "third-secret-third-secret-third-se",
    ];

    fn keys(places: &[usize]) -> KeyRing {
        let secrets: Vec<String> = places
            .iter()
            .map(|at| SECRETS[*at].replace(' ', "-"))
            .collect();
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        KeyRing::new(&secrets).unwrap().unwrap()
    }

    fn opened(ring: &KeyRing, label: &Label, text: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut content = Content::default();
        ring.open(label, text, &mut content).map(<[u8]>::to_vec)
    }

    /// The form is a promise to sessions that are alive across an upgrade. Computed by an independent implementation in
    /// Python (`cryptography`).
    #[test]
    fn golden_text() {
        let sealed = keys(&[0])
            .seal(&Label::pin_header("Mcp-Session-Id"), b"abc")
            .unwrap();
        assert_eq!(sealed.as_str(), GOLDEN);
    }

    const GOLDEN: &str = "sb1.v7m-EdpTnkUWN4JgrQ-fMTapoSpyvuBR9_1iqE0aDxINsJc";

    #[test]
    fn keys_are_rotated_by_putting_the_new_one_first() {
        let label = Label::pin_cookie("sid");
        let old = keys(&[0]).seal(&label, b"id").unwrap();
        let both = keys(&[1, 0]);
        assert_eq!(opened(&both, &label, &old).unwrap(), b"id");
        let new = both.seal(&label, b"id").unwrap();
        assert_eq!(opened(&keys(&[1]), &label, &new).unwrap(), b"id");
        assert_eq!(
            opened(&keys(&[1]), &label, &old),
            Err(OpenError::UnknownKey)
        );
    }

    #[test]
    fn keys_are_replaced_for_whoever_has_the_ring() {
        let label = Label::pin_cookie("sid");
        let ring = keys(&[0]);
        let old = ring.seal(&label, b"id").unwrap();
        let other = SECRETS[1];
        ring.replace(&[other]).unwrap();
        assert_eq!(opened(&ring, &label, &old), Err(OpenError::UnknownKey));
        let new = ring.seal(&label, b"id").unwrap();
        assert_eq!(opened(&keys(&[1]), &label, &new).unwrap(), b"id");
        assert_eq!(ring.replace(&[other, "short"]), Err((1, WeakSecret)));
        ring.replace(&[]).unwrap();
        assert!(opened(&ring, &label, &new).is_ok(), "nothing has changed");
    }

    #[test]
    fn a_short_secret_is_refused_and_named() {
        let wrong = KeyRing::new(&[&"x".repeat(32), "too short"]);
        assert_eq!(wrong.unwrap_err(), (1, WeakSecret));
        assert!(KeyRing::new(&[&"\u{e9}".repeat(32)]).is_err());
        assert!(KeyRing::new(&[]).unwrap().is_none());
    }

    #[test]
    fn a_content_that_is_too_long_is_not_sealed() {
        let label = Label::preview("chat");
        let longest = [7; LONGEST_CONTENT];
        let sealed = keys(&[0]).seal(&label, &longest).unwrap();
        assert_eq!(opened(&keys(&[0]), &label, &sealed).unwrap(), longest);
        assert!(keys(&[0]).seal(&label, &[7; LONGEST_CONTENT + 1]).is_none());
        let longer = [&sealed[..], b"AAAA"].concat();
        assert_eq!(
            opened(&keys(&[0]), &label, &longer),
            Err(OpenError::Malformed)
        );
    }

    #[test]
    fn what_has_not_the_form_is_malformed() {
        for text in ["", "sb1.", "sb2.AAAA", "sb1.AAAA", "sb1.****", "SB1.AAAA"] {
            let label = Label::preview("chat");
            assert_eq!(
                opened(&keys(&[0]), &label, text.as_bytes()),
                Err(OpenError::Malformed),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_is_visible_and_legal_in_a_cookie(content in prop::collection::vec(any::<u8>(), 0..1_024)) {
            let (ring, label) = (keys(&[2]), Label::pin_header("x-session"));
            let sealed = ring.seal(&label, &content).unwrap();
            prop_assert_eq!(&opened(&ring, &label, &sealed).unwrap(), &content);
            let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
            prop_assert!(is_sealed(&sealed) && sealed.iter().all(is_legal));
            prop_assert_eq!(&*ring.seal(&label, &content).unwrap(), &*sealed);
        }

        #[test]
        fn nothing_else_opens(content in prop::collection::vec(any::<u8>(), 0..64), bit: prop::sample::Index, cut: prop::sample::Index) {
            let (ring, label) = (keys(&[0, 1]), Label::pin_header("x-session"));
            let sealed = ring.seal(&label, &content).unwrap().to_vec();
            let mut flipped = sealed.clone();
            let bit = bit.index(flipped.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opened(&ring, &label, &flipped).is_err());
            prop_assert!(opened(&ring, &label, &sealed[..cut.index(sealed.len())]).is_err());
            prop_assert!(opened(&keys(&[1, 2]), &label, &sealed).is_err());
            for other in [Label::pin_cookie("x-session"), Label::pin_header("x-session-id"), Label::preview("x-session")] {
                prop_assert_eq!(opened(&ring, &other, &sealed), Err(OpenError::Forged));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let text = [b"sb1.", &text[..]].concat();
            prop_assert!(opened(&keys(&[0]), &Label::preview("chat"), &text).is_err());
        }
    }
}
