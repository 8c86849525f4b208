//! The certificates from authorities of all listeners: one keeper for each folder.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{ServerError, seal_keys};
use crate::{
    acme::{CertificateOutcome, Keeper, Sharing, Tell},
    api::CertificateStatus,
    config::{Acme, AcmeChallenge, Config, ListenerTls},
    control::{CertificateSource, Controller},
    net::{HttpChallenges, IssuedCertificates},
    seal::KeyRing,
};

/// The keepers, by the settings that they have.
#[derive(Default)]
pub(super) struct Certificates {
    keepers: Vec<(Acme, Arc<Keeper>)>,
    /// Answers over plain HTTP, if any listener has that challenge.
    http: Option<Arc<HttpChallenges>>,
    /// Keys of the configuration, which seal the private keys that a fleet shares.
    keys: Option<Arc<KeyRing>>,
}

impl Certificates {
    /// Opens the folders, and reads the certificates in them.
    pub(super) fn open(config: &Config) -> Result<Self, ServerError> {
        let mut all = Self::default();
        if config.fleet.is_some() && !config.sessions.keys.is_empty() {
            all.keys = Some(seal_keys::load(&config.sessions, &config.history.path)?);
        }
        let tls = config.listeners.iter().filter_map(|one| one.tls.as_ref());
        for acme in tls.filter_map(|tls| tls.acme.as_ref()) {
            if all.find(acme).is_some() {
                continue;
            }
            if acme.challenge == AcmeChallenge::Http01 {
                all.http.get_or_insert_default();
            }
            let path = acme.path.clone();
            let path = path.unwrap_or_else(|| config.history.path.join("acme"));
            let http = all.http.clone().unwrap_or_default();
            let keeper = Keeper::open(acme, &path, http)?;
            all.keepers.push((acme.clone(), Arc::new(keeper)));
        }
        Ok(all)
    }

    /// The certificates for a listener.
    pub(super) fn of(&self, tls: &ListenerTls) -> Option<Arc<IssuedCertificates>> {
        self.find(tls.acme.as_ref()?).map(|keeper| keeper.issued())
    }

    /// The answers for listeners without TLS.
    pub(super) fn http(&self) -> Option<Arc<HttpChallenges>> {
        self.http.clone()
    }

    /// Begins to order. Called within the control runtime.
    pub(super) fn run(&self, controller: &Arc<Controller>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if let Some((node, store)) = controller.shared_documents() {
            for (_, keeper) in &self.keepers {
                keeper.join(Sharing {
                    node: node.clone(),
                    store: Arc::clone(&store),
                    keys: self.keys.clone(),
                });
            }
        }
        let controller = Arc::clone(controller);
        let tell: Tell = Arc::new(move |ordered: CertificateOutcome| {
            controller.certificate_ordered(ordered.domain, ordered.not_after, ordered.error);
        });
        for (_, keeper) in &self.keepers {
            tasks.spawn(Arc::clone(keeper).run(Arc::clone(&tell)));
        }
        tasks
    }

    /// Tries what has failed at once.
    pub(super) fn try_again(&self) {
        for (_, keeper) in &self.keepers {
            keeper.try_again();
        }
    }

    fn find(&self, acme: &Acme) -> Option<&Arc<Keeper>> {
        let mut keepers = self.keepers.iter();
        let found = keepers.find(|(settings, _)| settings == acme);
        found.map(|(_, keeper)| keeper)
    }
}

impl CertificateSource for Certificates {
    fn certificates(&self) -> Vec<CertificateStatus> {
        let keepers = self.keepers.iter();
        keepers.flat_map(|(_, keeper)| keeper.status()).collect()
    }
}
