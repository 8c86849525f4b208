//! Binds the configured listeners: for an address in use, the error names the key that changes it.

use std::{net::SocketAddr, sync::Arc};

use super::{
    ServerError,
    certificates::Certificates,
    inherited::{Inherited, ListenerSockets, Section},
};
use crate::{
    config::{ClientAuth, Config, Listener, ListenerTls, ResourceLimits, TlsVersion},
    net::{
        CertificateFiles, ClientCertificates, ConnectionLimits, IssuedCertificates, NetError,
        ServerTls, ServerTlsSettings, bind_listener, raise_descriptor_limit,
    },
};

/// A listener of the data plane, bound for every worker.
pub(super) struct OpenListener {
    pub(super) address: SocketAddr,
    /// By worker.
    pub(super) sockets: Vec<Vec<std::net::TcpListener>>,
    /// The same, for a process that takes over.
    pub(super) held: ListenerSockets,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) spec: Listener,
}

/// Fewer connections than this are worth a warning.
const FEW_CONNECTIONS: usize = 1_000;

/// The configured limits, with those on connections lowered to what the file descriptors allow.
pub(super) fn fit_descriptors(config: &Config) -> ResourceLimits {
    let mut limits = config.limits.clone();
    let allowed = raise_descriptor_limit();
    limits.connections = limits.connections.min(allowed.connections());
    let upstream = allowed.upstream_connections(limits.connections);
    limits.upstream_connections = limits.upstream_connections.min(upstream);
    let (connections, upstream_connections) = (limits.connections, limits.upstream_connections);
    tracing::info!(
        connections,
        upstream_connections,
        requests = limits.requests,
        descriptors = allowed.descriptors,
        "connection limits"
    );
    if connections < FEW_CONNECTIONS {
        tracing::warn!(
            connections,
            upstream_connections,
            "few connections are allowed: raise the limit of open files (`ulimit -n`)"
        );
    }
    if limits.requests > limits.upstream_connections && is_chosen(&config.limits) {
        tracing::warn!(
            requests = limits.requests,
            upstream_connections,
            "more concurrent requests are allowed than connections to endpoints: over HTTP/1.1 the rest is refused"
        );
    }
    limits
}

/// True if the configuration sets one of the two limits that are compared. The defaults are only upper bounds: lowering
/// one of them for want of descriptors is no mistake.
fn is_chosen(limits: &ResourceLimits) -> bool {
    let default = ResourceLimits::default();
    limits.requests != default.requests
        || limits.upstream_connections != default.upstream_connections
}

/// Binds all listeners of the data plane, or takes what was bound for this process.
pub(super) fn bind_all(
    config: &Config,
    (connections, workers): (usize, usize),
    certificates: &Certificates,
    inherited: &mut Inherited,
) -> Result<Vec<OpenListener>, ServerError> {
    let all = ConnectionLimits::new(connections, None);
    let bind = |(place, spec): (usize, &Listener)| {
        let key = format!("listeners.{place}.address");
        let held = open(
            Section::Listeners,
            spec.address,
            workers,
            &key,
            &mut *inherited,
        )?;
        let limit = spec.max_connections.unwrap_or(usize::MAX);
        let limits = ConnectionLimits::new(limit, Some(Arc::clone(&all)));
        let tls = spec.tls.as_ref();
        let tls = tls.map(|tls| server_tls(&held, tls, certificates.of(tls), true));
        let tls = tls.transpose()?;
        let sockets = held
            .shared_out(workers)
            .map_err(|source| unbound(held.address, &key, source))?;
        Ok(OpenListener {
            address: held.address,
            held,
            sockets,
            tls,
            limits,
            spec: spec.clone(),
        })
    };
    config.listeners.iter().enumerate().map(bind).collect()
}

/// The sockets of an address: those that another process has bound for this one, or new ones.
pub(super) fn open(
    section: Section,
    configured: SocketAddr,
    sockets: usize,
    key: &str,
    inherited: &mut Inherited,
) -> Result<ListenerSockets, ServerError> {
    if let Some(taken) = inherited.take(section, configured) {
        return Ok(ListenerSockets {
            section: Some(section),
            ..taken
        });
    }
    let bound = bind_listener(configured, sockets).map_err(|source| ServerError::Bind {
        address: configured,
        key: key.to_owned(),
        source,
    })?;
    Ok(ListenerSockets {
        section: Some(section),
        configured,
        address: bound.address,
        sockets: bound.sockets,
        tickets: Vec::new(),
    })
}

/// The error of a socket that cannot be used.
pub(super) fn unbound(address: SocketAddr, key: &str, source: std::io::Error) -> ServerError {
    ServerError::Bind {
        address,
        key: key.to_owned(),
        source: NetError::Bind { address, source },
    }
}

/// TLS of a listener; `http2` says whether ALPN offers it.
pub(super) fn server_tls(
    held: &ListenerSockets,
    tls: &ListenerTls,
    issued: Option<Arc<IssuedCertificates>>,
    http2: bool,
) -> Result<Arc<ServerTls>, ServerError> {
    let settings = ServerTlsSettings {
        http2,
        ..tls_settings(tls)
    };
    let address = held.address;
    ServerTls::load_with(settings, issued, &held.tickets)
        .map(Arc::new)
        .map_err(|source| ServerError::Tls { address, source })
}

/// TLS settings of a listener for the network layer.
pub(super) fn tls_settings(tls: &ListenerTls) -> ServerTlsSettings {
    ServerTlsSettings {
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
    }
}
