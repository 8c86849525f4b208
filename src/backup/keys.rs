//! Keys in a backup, encrypted with a passphrase: AES-256-GCM with a key that PBKDF2-HMAC-SHA256 makes of it.
//!
//! The library is the one of the TLS, so nothing is added to the build. A passphrase of few words can be guessed in
//! spite of the many rounds; a long random one cannot.

use std::{collections::BTreeMap, num::NonZeroU32};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};

use super::BackupError;

/// Keys by the names of their files.
pub type Keys = BTreeMap<String, String>;

/// Characters that a passphrase has at least.
pub const SHORTEST_PASSPHRASE: usize = 12;
/// Characters that a passphrase has at most.
pub const LARGEST_PASSPHRASE: usize = 1024;

/// Rounds of a new encryption: the advice of OWASP for this function.
const ROUNDS: u32 = 600_000;
/// Limit on the rounds that a file may ask for.
const MOST_ROUNDS: u32 = 10_000_000;
const SALT_BYTES: usize = 16;
const SECTION: &str = "keys";
/// Purpose that the ciphertext is bound to.
const USE: &[u8] = b"switchback backup keys 1";

/// Encrypts keys: rounds, salt, nonce, and the sealed JSON.
pub(super) fn encrypt(keys: &Keys, passphrase: &str) -> Result<Vec<u8>, BackupError> {
    if !(SHORTEST_PASSPHRASE..=LARGEST_PASSPHRASE).contains(&passphrase.chars().count()) {
        return Err(BackupError::WeakPassphrase);
    }
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
    let random = SystemRandom::new();
    for part in [salt.as_mut_slice(), nonce.as_mut_slice()] {
        random.fill(part).map_err(|_| BackupError::Random)?;
    }
    let text = serde_json::to_vec(keys).expect("keys are texts under texts");
    let sealed = sealed(ROUNDS, passphrase, salt, nonce, text)?;
    Ok([&ROUNDS.to_le_bytes()[..], &salt, &nonce, &sealed].concat())
}

fn sealed(
    rounds: u32,
    passphrase: &str,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_LEN],
    mut text: Vec<u8>,
) -> Result<Vec<u8>, BackupError> {
    let key = key(rounds, passphrase, &salt)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(USE), &mut text)
        .map_err(|_| BackupError::content(SECTION, "it cannot be encrypted"))?;
    Ok(text)
}

/// Decrypts keys.
pub(super) fn decrypt(bytes: &[u8], passphrase: &str) -> Result<Keys, BackupError> {
    let short = || BackupError::content(SECTION, "it is too short");
    let (rounds, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or_else(short)?;
    let (nonce, sealed) = rest.split_first_chunk().ok_or_else(short)?;
    let key = key(u32::from_le_bytes(*rounds), passphrase, salt)?;
    let mut text = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let text = key.open_in_place(nonce, Aad::from(USE), &mut text);
    let text = text.map_err(|_| BackupError::Passphrase)?;
    serde_json::from_slice(text).map_err(|error| BackupError::content(SECTION, &error))
}

fn key(rounds: u32, passphrase: &str, salt: &[u8]) -> Result<LessSafeKey, BackupError> {
    let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= MOST_ROUNDS);
    let rounds = rounds.ok_or_else(|| BackupError::content(SECTION, "its rounds are no number"))?;
    let mut key = [0; 32];
    let secret = passphrase.as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret, &mut key);
    let key = UnboundKey::new(&AES_256_GCM, &key);
    let key = key.map_err(|_| BackupError::content(SECTION, "its key has another length"))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &str = "correct horse battery staple";

    #[test]
    fn keys_are_read_with_their_passphrase_and_with_no_other() {
        let keys = Keys::from([("seal.key".to_owned(), "0123456789abcdef".to_owned())]);
        let bytes = encrypt(&keys, PASSPHRASE).unwrap();
        let secret = b"0123456789abcdef".as_slice();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        assert_eq!(decrypt(&bytes, PASSPHRASE).unwrap(), keys);
        assert_eq!(
            decrypt(&bytes, "another passphrase"),
            Err(BackupError::Passphrase)
        );
        // The second has more bytes.
        for short in ["short", "ßßßßßßßßßßß"] {
            assert_eq!(encrypt(&keys, short), Err(BackupError::WeakPassphrase));
        }
    }

    #[test]
    fn a_file_cannot_ask_for_any_number_of_rounds() {
        for rounds in [0, MOST_ROUNDS + 1, u32::MAX] {
            let bytes = [&rounds.to_le_bytes()[..], &[0; 60]].concat();
            assert!(matches!(
                decrypt(&bytes, PASSPHRASE),
                Err(BackupError::Content { .. })
            ));
        }
        assert!(decrypt(&[1, 0, 0], PASSPHRASE).is_err());
    }
}
