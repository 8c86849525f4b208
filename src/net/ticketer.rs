//! Keys of session tickets: made at random, changed every few hours, and passed on to a process that takes over.
//!
//! They are only ever in memory, so that what was recorded cannot be decrypted later with a key from a disk.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

use super::error::NetError;

/// Time after which new tickets get a new key. Those with the key before it are accepted for as long again.
const ROTATION: Duration = Duration::from_secs(6 * 60 * 60);
/// Bytes by which a ticket names its key.
const NAME: usize = 16;
const SECRET: usize = 32;

/// A key, as it is passed on.
#[derive(Clone, Serialize, Deserialize)]
pub struct TicketKey {
    name: [u8; NAME],
    secret: [u8; SECRET],
    /// Its age.
    age: Duration,
}

/// Encrypts and decrypts the session tickets of a listener. No handshake waits for another one.
#[derive(Debug)]
pub(super) struct Ticketer {
    keys: ArcSwap<Keys>,
}

#[derive(Debug)]
struct Keys {
    current: Arc<Key>,
    previous: Option<Arc<Key>>,
}

struct Key {
    name: [u8; NAME],
    secret: [u8; SECRET],
    cipher: LessSafeKey,
    made: Instant,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey")
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

// === impl Ticketer ===

impl Ticketer {
    /// A ticketer with a new key.
    pub(super) fn new() -> Result<Self, NetError> {
        Ok(Self::of(Key::random(Instant::now())?, None))
    }

    /// A ticketer with the keys of another process; `None` if they cannot be used.
    pub(super) fn with_keys(keys: &[TicketKey]) -> Option<Self> {
        let now = Instant::now();
        let mut keys = keys.iter().filter_map(|key| Key::passed_on(key, now));
        Some(Self::of(keys.next()?, keys.next()))
    }

    fn of(current: Key, previous: Option<Key>) -> Self {
        let keys = Keys {
            current: Arc::new(current),
            previous: previous.map(Arc::new),
        };
        Self {
            keys: ArcSwap::from_pointee(keys),
        }
    }

    /// Its keys, the current one first.
    pub(super) fn keys(&self) -> Vec<TicketKey> {
        let now = Instant::now();
        let keys = self.live(now);
        let passed = |key: &Key| TicketKey {
            name: key.name,
            secret: key.secret,
            age: key.age(now),
        };
        keys.all().map(passed).collect()
    }

    /// The keys at a time, which are others when it has come.
    fn live(&self, now: Instant) -> Guard<Arc<Keys>> {
        let keys = self.keys.load();
        let Some(next) = keys.rotated(now) else {
            return keys;
        };
        // Of several handshakes in that moment, one makes the next key.
        self.keys.compare_and_swap(&keys, Arc::new(next));
        self.keys.load()
    }
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &Key> {
        let previous = self.previous.iter();
        std::iter::once(&self.current)
            .chain(previous)
            .map(Arc::as_ref)
    }

    /// The keys after a change that is due at a time.
    fn rotated(&self, now: Instant) -> Option<Self> {
        let accepted = |key: &Arc<Key>| key.age(now) < 2 * ROTATION;
        if self.current.age(now) >= ROTATION
            && let Ok(next) = Key::random(now)
        {
            return Some(Self {
                current: Arc::new(next),
                previous: Some(Arc::clone(&self.current)).filter(accepted),
            });
        }
        let is_over = self.previous.as_ref().is_some_and(|key| !accepted(key));
        is_over.then(|| Self {
            current: Arc::clone(&self.current),
            previous: None,
        })
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * ROTATION.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let keys = self.live(Instant::now());
        let key = &keys.current;
        let mut sealed = plain.to_vec();
        let place = Nonce::assume_unique_for_key(nonce);
        key.cipher
            .seal_in_place_append_tag(place, Aad::from(key.name), &mut sealed)
            .ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.live(Instant::now());
        let key = keys.all().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let place = Nonce::assume_unique_for_key(*nonce);
        let opened = key
            .cipher
            .open_in_place(place, Aad::from(*name), &mut plain);
        let length = opened.ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

// === impl Key ===

impl Key {
    fn random(now: Instant) -> Result<Self, NetError> {
        let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
        let random = SystemRandom::new();
        let filled = random
            .fill(&mut name)
            .and_then(|()| random.fill(&mut secret));
        let no_numbers = || NetError::Tls {
            message: "the system gives no random numbers".to_owned(),
        };
        filled
            .ok()
            .and_then(|()| Self::with(name, secret, now))
            .ok_or_else(no_numbers)
    }

    fn passed_on(key: &TicketKey, now: Instant) -> Option<Self> {
        Self::with(key.name, key.secret, now.checked_sub(key.age)?)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }

    fn with(name: [u8; NAME], secret: [u8; SECRET], made: Instant) -> Option<Self> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).ok()?);
        Some(Self {
            name,
            secret,
            cipher,
            made,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_by_the_process_that_got_the_keys_and_by_no_other() {
        let here = Ticketer::new().unwrap();
        let ticket = here.encrypt(b"session").unwrap();
        let there = Ticketer::with_keys(&here.keys()).unwrap();
        assert_eq!(there.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(Ticketer::new().unwrap().decrypt(&ticket), None);
        let mut changed = ticket.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(there.decrypt(&changed), None);
        assert_eq!(there.decrypt(&ticket[..NAME]), None);
    }

    #[test]
    fn a_key_is_accepted_for_two_rotations_and_the_next_one_is_used_after_one() {
        let ticketer = Ticketer::new().unwrap();
        let ticket = ticketer.encrypt(b"session").unwrap();
        let name = |ticketer: &Ticketer| ticketer.keys.load().current.name;
        let (begin, first) = (Instant::now(), name(&ticketer));
        let after = |rotations: u32| begin + rotations * ROTATION + Duration::from_secs(1);
        assert_eq!(ticketer.live(after(1)).all().count(), 2);
        assert_ne!(name(&ticketer), first);
        assert!(ticketer.decrypt(&ticket).is_some());
        assert_eq!(
            ticketer.live(after(2)).all().count(),
            2,
            "those after the first"
        );
        assert_eq!(ticketer.decrypt(&ticket), None);
        // Nobody came for a long time.
        assert_eq!(ticketer.live(after(5)).all().count(), 1);
    }
}
