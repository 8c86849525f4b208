//! TLS settings of releases, loaded once for all workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::UpstreamTls;
use crate::net::{ClientTls, NetError};

/// By what a release's settings say; files are read when a connection first needs them.
#[derive(Default)]
pub(super) struct UpstreamTlsConfigs(Mutex<HashMap<Option<UpstreamTls>, Arc<ClientTls>>>);

impl UpstreamTlsConfigs {
    /// The configuration for these settings.
    pub(super) fn load(&self, settings: Option<&UpstreamTls>) -> Result<Arc<ClientTls>, NetError> {
        // A panic while the lock is held leaves the map whole.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = settings.cloned();
        if let Some(config) = known.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(ClientTls::load(
            &settings.map(Into::into).unwrap_or_default(),
        )?);
        known.insert(key, Arc::clone(&config));
        Ok(config)
    }

    /// Forgets everything, so that files are read anew; connections that are open keep what they have.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
