//! TLS settings of releases, loaded once for all workers on a thread of its own: a hanging disk blocks no worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::UpstreamTls;
use crate::net::{ClientTls, ClientTlsSettings, NetError};

/// Time after which files that could not be used are read again.
const RETRY: Duration = Duration::from_secs(1);

type Loaded = Result<Arc<ClientTls>, Arc<NetError>>;

/// Configurations by the settings of a release; files are read when a connection first needs them.
#[derive(Default)]
pub(super) struct UpstreamTlsConfigs(Mutex<HashMap<Option<UpstreamTls>, Loading>>);

/// Files being read, or the result.
#[derive(Clone)]
struct Loading {
    loaded: watch::Receiver<Option<Loaded>>,
    since: Instant,
}

// === impl UpstreamTlsConfigs ===

impl UpstreamTlsConfigs {
    /// The configuration for these settings. Cancellation of one waiter does not stop the load.
    pub(super) async fn load(&self, settings: Option<&UpstreamTls>) -> Loaded {
        let mut loaded = self.entry(settings).loaded;
        match loaded.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(loaded)) => loaded.clone(),
            Ok(None) | Err(_) => Err(Arc::new(NetError::Tls {
                message: "no thread could be started to read the files".to_owned(),
            })),
        }
    }

    fn entry(&self, settings: Option<&UpstreamTls>) -> Loading {
        // Safe to ignore poisoning: the map is consistent at any panic, and no wait happens under the lock.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = settings.cloned();
        match known.get(&key) {
            Some(loading) if !loading.is_stale() => loading.clone(),
            _ => {
                let loading = Loading::start(settings.into());
                known.insert(key, loading.clone());
                loading
            }
        }
    }

    /// Clears the cache, so that files are read again; open connections keep their configuration.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

// === impl Loading ===

impl Loading {
    fn start(settings: ClientTlsSettings) -> Self {
        let (done, loaded) = watch::channel(None);
        let read = move || {
            let read = ClientTls::load(&settings);
            done.send_replace(Some(read.map(Arc::new).map_err(Arc::new)));
        };
        // Without a thread the sender is dropped, which the waiters see.
        if let Err(error) = thread::Builder::new().name("tls-files".into()).spawn(read) {
            tracing::warn!(%error, "cannot start a thread to read TLS files");
        }
        Self {
            loaded,
            since: Instant::now(),
        }
    }

    /// True if the load failed, long enough ago.
    fn is_stale(&self) -> bool {
        let has_failed = match &*self.loaded.borrow() {
            Some(loaded) => loaded.is_err(),
            None => self.loaded.has_changed().is_err(),
        };
        has_failed && self.since.elapsed() >= RETRY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_that_cannot_be_used_are_read_once_for_a_crowd() {
        let configs = UpstreamTlsConfigs::default();
        let settings = UpstreamTls {
            ca: Some("/nowhere/ca.pem".to_owned()),
            ..UpstreamTls::default()
        };
        // Dropping a waiter does not stop the load.
        drop(configs.load(Some(&settings)));
        let load = || configs.load(Some(&settings));
        let (one, other) = tokio::join!(load(), load());
        let (one, other) = (one.err().unwrap(), other.err().unwrap());
        assert!(Arc::ptr_eq(&one, &other), "{one}");
        configs.clear();
        let again = configs.load(Some(&settings)).await.err().unwrap();
        assert!(!Arc::ptr_eq(&one, &again));
    }
}
