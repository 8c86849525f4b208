//! The other nodes of a fleet over their admin APIs, for rollbacks that are offered while etcd is away.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::token_file;
use crate::{
    config::FleetPeerSettings,
    model::{HookUrl, Problem, Scheme},
    net::{CertificateFiles, ClientTls, ClientTlsSettings, Post, post},
    shared_table::{Answer, FleetPeers, StoreError},
    telemetry::ErrorChain,
};

/// Timeout for an offer: the other node swaps, and writes to its disk.
const OFFER: Duration = Duration::from_secs(5);
/// Largest answer.
const LARGEST: usize = 64 << 10;

/// The other nodes.
struct AdminApis {
    shown: Vec<String>,
    urls: Vec<HookUrl>,
    tls: Option<Arc<ClientTls>>,
    // A secret.
    authorization: Option<String>,
}

impl std::fmt::Debug for AdminApis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("AdminApis");
        shown.field("urls", &self.shown).finish_non_exhaustive()
    }
}

/// The other nodes of the configuration.
///
/// # Errors
/// When the token or a certificate cannot be used.
pub(super) fn load(settings: &FleetPeerSettings) -> Result<Arc<dyn FleetPeers>, Problem> {
    let token = settings.token_file.as_deref();
    let token = token.map(|file| token_file::read("fleet.peers.token_file", file));
    let is_secure = |url: &HookUrl| url.origin().scheme() == Scheme::Https;
    let tls = settings
        .urls
        .iter()
        .any(is_secure)
        .then(|| tls_of(settings));
    Ok(Arc::new(AdminApis {
        shown: settings
            .urls
            .iter()
            .map(|url| url.origin().to_string())
            .collect(),
        urls: settings
            .urls
            .iter()
            .map(|url| url.under("/v1/fleet/offers"))
            .collect(),
        tls: tls.transpose()?,
        authorization: token.transpose()?.map(|token| format!("Bearer {token}")),
    }))
}

fn tls_of(settings: &FleetPeerSettings) -> Result<Arc<ClientTls>, Problem> {
    let pair = settings.cert.clone().zip(settings.key.clone());
    let tls = ClientTls::load(&ClientTlsSettings {
        ca: settings.ca.clone(),
        client_certificate: pair.map(|(cert, key)| CertificateFiles { cert, key }),
        server_name: None,
    });
    let tls = tls.map_err(|error| Problem::new("fleet.peers", ErrorChain(&error).to_string()))?;
    Ok(Arc::new(tls))
}

impl AdminApis {
    async fn send(&self, peer: usize, offer: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let Some(url) = self.urls.get(peer) else {
            return Err(failed("there is no such node".to_owned()));
        };
        let is_secure = url.origin().scheme() == Scheme::Https;
        let secret = self.authorization.iter();
        let call = post(
            Post {
                url,
                tls: self.tls.as_ref().filter(|_| is_secure),
                content_type: "application/json",
                accept: "application/json",
                fields: secret
                    .map(|value| ("authorization", value.clone()))
                    .collect(),
                body: offer.into(),
            },
            LARGEST,
        );
        match timeout(OFFER, call).await {
            Ok(answer) => answer.map_err(|error| failed(ErrorChain(&error).to_string())),
            Err(_) => Err(failed(format!("no answer within {OFFER:?}"))),
        }
    }
}

fn failed(reason: String) -> StoreError {
    StoreError {
        reason,
        is_unknown: true,
    }
}

impl FleetPeers for AdminApis {
    fn urls(&self) -> &[String] {
        &self.shown
    }

    fn offer(&self, peer: usize, offer: Vec<u8>) -> Answer<'_, Vec<u8>> {
        Box::pin(self.send(peer, offer))
    }
}
