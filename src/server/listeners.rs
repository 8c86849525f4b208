//! Binds what is configured: an address that is taken is an error that names the key that changes it.

use std::{net::SocketAddr, sync::Arc};

use super::ServerError;
use crate::{
    config::{ClientAuth, Config, Listener, ListenerTls, TlsVersion},
    net::{
        BoundListener, CertificateFiles, ClientCertificates, ConnectionLimits, ServerTls,
        ServerTlsSettings, bind_listener, raise_descriptor_limit,
    },
};

/// A listener of the data plane, bound for every worker.
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<std::net::TcpListener>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) spec: Listener,
}

/// Fewer connections than this are worth a warning.
const FEW_CONNECTIONS: usize = 1_000;

/// Binds all listeners of the data plane.
pub(super) fn bind_all(config: &Config, workers: usize) -> Result<Vec<Bound>, ServerError> {
    let all = ConnectionLimits::new(connections(config), None);
    let bind = |(place, spec): (usize, &Listener)| {
        let key = format!("listeners.{place}.address");
        let BoundListener { address, sockets } = bind_one(spec.address, workers, &key)?;
        let limit = spec.max_connections.unwrap_or(usize::MAX);
        let limits = ConnectionLimits::new(limit, Some(Arc::clone(&all)));
        let tls = spec
            .tls
            .as_ref()
            .map(|tls| server_tls(address, tls))
            .transpose()?;
        Ok(Bound {
            address,
            sockets,
            tls,
            limits,
            spec: spec.clone(),
        })
    };
    config.listeners.iter().enumerate().map(bind).collect()
}

/// Binds one address for a number of sockets.
pub(super) fn bind_one(
    address: SocketAddr,
    sockets: usize,
    key: &str,
) -> Result<BoundListener, ServerError> {
    bind_listener(address, sockets).map_err(|source| ServerError::Bind {
        address,
        key: key.to_owned(),
        source,
    })
}

/// How many client connections there may be: what is configured, or what the file descriptors allow.
fn connections(config: &Config) -> usize {
    let allowed = raise_descriptor_limit();
    let limit = config.limits.connections.min(allowed.connections());
    tracing::info!(
        connections = limit,
        descriptors = allowed.descriptors,
        "connection limit"
    );
    if limit < FEW_CONNECTIONS {
        tracing::warn!(
            connections = limit,
            "few connections are allowed: raise the limit of open files (`ulimit -n`)"
        );
    }
    limit
}

fn server_tls(address: SocketAddr, tls: &ListenerTls) -> Result<Arc<ServerTls>, ServerError> {
    let settings = ServerTlsSettings {
        certificates: tls
            .certificates
            .iter()
            .map(|pair| CertificateFiles {
                cert: pair.cert.clone(),
                key: pair.key.clone(),
            })
            .collect(),
        client_ca: tls.client_ca.clone(),
        client_certificates: match tls.client_auth {
            Some(ClientAuth::Optional) => ClientCertificates::Optional,
            Some(ClientAuth::Required) | None => ClientCertificates::Required,
        },
        tls12: tls.min_version == TlsVersion::Tls12,
        http2: true,
    };
    ServerTls::load(settings)
        .map(Arc::new)
        .map_err(|source| ServerError::Tls { address, source })
}
