//! The keys for session ids that the nodes of a fleet of proxies share by their store, where the configuration has none.
//!
//! The first node brings its own key. What was taken is in the folder of the history as well, so that a start needs no store.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::spawn_blocking, time::sleep};

use super::seal_keys::{self, SealKeyError};
use crate::{
    history::FLEET_SEAL_KEYS,
    net::backoff,
    seal::{KeyRing, SharedKeys},
    shared_table::{Expected, Lifetime, SharedDocuments, StoreError, Write, Written},
};

const FOLDER: &str = "keys";
const NAME: &str = "keys/sessions";
/// Longest time between two looks: a key becomes the sealing one without a change in the store.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// Pauses between looks at a store that is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The keys of a fleet, as one node has them.
#[derive(Debug)]
pub struct FleetKeys {
    store: Arc<dyn SharedDocuments>,
    ring: Arc<KeyRing>,
    folder: PathBuf,
    /// The key of this folder.
    own: String,
    max_age: u64,
    /// Those that were taken last.
    taken: Mutex<SharedKeys>,
}

impl FleetKeys {
    /// The keys for a ring that has that of a folder, with those of the fleet that are in the folder already.
    ///
    /// # Errors
    /// If the key of the folder cannot be read.
    pub fn open(
        store: Arc<dyn SharedDocuments>,
        ring: Arc<KeyRing>,
        folder: &Path,
        max_age: Duration,
    ) -> Result<Self, SealKeyError> {
        let kept = fs::read(folder.join(FLEET_SEAL_KEYS)).ok();
        let taken = kept.and_then(|text| SharedKeys::decode(&text));
        let keys = Self {
            store,
            ring,
            folder: folder.to_owned(),
            own: seal_keys::own(folder)?.trim().to_owned(),
            max_age: max_age.as_secs(),
            taken: Mutex::new(taken.unwrap_or_default()),
        };
        keys.set_ring(now());
        Ok(keys)
    }

    /// Takes what the store has; makes the first key, and another one when the latest is old. The version of the store.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn look(&self) -> Result<u64, StoreError> {
        loop {
            let documents = self.store.documents(FOLDER).await?;
            let found = documents.all.into_iter().find(|one| one.name == NAME);
            let keys = found.as_ref().map(|one| SharedKeys::decode(&one.value));
            if keys == Some(None) {
                tracing::error!(
                    "the keys for session ids in the store of the fleet have a form that is not known here; those that are here stay in use"
                );
                return Ok(documents.version);
            }
            let (keys, now) = (keys.flatten().unwrap_or_default(), now());
            if !keys.is_due(now, self.max_age) {
                self.take(keys, now).await;
                return Ok(documents.version);
            }
            let version = found.map(|one| one.version);
            // It is read with the next look, and so is that of another node which was faster.
            self.add(&keys, version, now).await?;
        }
    }

    async fn add(
        &self,
        keys: &SharedKeys,
        version: Option<u64>,
        now: u64,
    ) -> Result<(), StoreError> {
        let secret = match version {
            // What was sealed before there was a fleet opens on all its nodes.
            None => Ok(self.own.clone()),
            Some(_) => seal_keys::random(),
        };
        let failed = |error: SealKeyError| StoreError {
            reason: error.to_string(),
            is_unknown: false,
        };
        let next = keys.with(&secret.map_err(failed)?, now, self.max_age);
        let written = self.store.write(Write {
            name: NAME.to_owned(),
            value: next.encode(),
            lifetime: Lifetime::Kept,
            expected: version.map_or(Expected::Absent, Expected::Version),
        });
        let written = written.await?;
        if written != Written::Overtaken {
            tracing::info!("made a key for session ids that all nodes of the fleet have");
        }
        Ok(())
    }

    async fn take(&self, keys: SharedKeys, now: u64) {
        let before = std::mem::replace(&mut *self.taken(), keys.clone());
        if before != keys
            && let Err(error) = self.keep(keys.encode()).await
        {
            tracing::error!(%error, "the keys of the fleet cannot be kept here: a start without its store does not have them");
        }
        self.set_ring(now);
    }

    /// Keeps them in the folder, whose disk may take its time.
    async fn keep(&self, text: Vec<u8>) -> io::Result<()> {
        let folder = self.folder.clone();
        let written = spawn_blocking(move || seal_keys::write(&folder, FLEET_SEAL_KEYS, &text));
        written.await.map_err(io::Error::other).flatten()
    }

    // Safe to ignore poisoning: nothing panics under this lock.
    fn taken(&self) -> MutexGuard<'_, SharedKeys> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals with the key of the fleet whose turn it is, and opens with all of them and with the own one.
    fn set_ring(&self, now: u64) {
        let taken = self.taken();
        let mut secrets = taken.secrets(now);
        secrets.push(&self.own);
        if let Err((_, error)) = self.ring.replace(&secrets) {
            tracing::error!(%error, "the keys of the fleet are not used");
        }
    }

    /// Follows the store, for as long as it is polled.
    pub async fn run(self) {
        let mut failed = 0;
        loop {
            match self.look().await {
                Ok(version) => {
                    let changed = tokio::select! {
                        changed = self.store.documents_changed(FOLDER, version) => changed,
                        () = sleep(LONGEST_LOOK.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => Ok(()),
                    };
                    if changed.is_ok() {
                        failed = 0;
                        continue;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the keys for session ids in the store of the fleet cannot be read");
                }
            }
            failed += 1;
            sleep(backoff(PAUSES.0, PAUSES.1, failed, rand::random())).await;
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
