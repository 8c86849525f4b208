//! One health check of one endpoint: connect and send the request.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::{error::CheckError, grpc_client, http1_client, http2_client};
use crate::{
    fleet::Endpoint,
    model::{EndpointSpec, EndpointUrl, HealthSpec, Protocol, ReleaseSpec, Scheme},
    net::{ClientTls, NetError, Stream},
};

/// Connection settings for the endpoints of a release.
pub(super) struct Target {
    protocol: Protocol,
    /// `None` if no endpoint uses TLS.
    tls: Option<Result<ClientTls, Arc<NetError>>>,
}

// === impl Target ===

impl Target {
    /// Loads the TLS settings if an endpoint needs them. If they are invalid, each check reports it.
    pub(super) fn new(spec: &ReleaseSpec, urls: &[EndpointSpec]) -> Self {
        let tls = urls.iter().any(|one| one.url().scheme() == Scheme::Https);
        let load = || ClientTls::load(&spec.tls.as_ref().into()).map_err(Arc::new);
        Self {
            protocol: spec.protocol,
            tls: tls.then(load),
        }
    }

    /// Checks an endpoint. The caller sets the deadline.
    pub(super) async fn check(
        &self,
        endpoint: &Endpoint,
        health: &HealthSpec,
    ) -> Result<(), CheckError> {
        let stream = self.connect(endpoint, health.port).await?;
        let authority = authority(endpoint.url(), health);
        if let Some(service) = &health.grpc {
            let scheme = endpoint.url().scheme();
            return grpc_client::ask(stream, scheme, &authority, service).await;
        }
        match self.protocol {
            Protocol::Http1 => http1_client::ask(&stream, &authority, health).await,
            Protocol::Http2 => {
                http2_client::ask(stream, endpoint.url().scheme(), &authority, health).await
            }
        }
    }

    async fn connect(&self, endpoint: &Endpoint, port: Option<u16>) -> Result<Stream, CheckError> {
        let mut address = endpoint.address();
        address.set_port(port.unwrap_or(address.port()));
        let tcp = TcpStream::connect(address)
            .await
            .map_err(CheckError::Connect)?;
        // It is one small packet each way; if this fails, the check is only slower.
        let _ = tcp.set_nodelay(true);
        match (endpoint.url().scheme(), &self.tls) {
            (Scheme::Https, Some(Ok(tls))) => {
                let http2 = self.protocol == Protocol::Http2;
                tls.connect(tcp, endpoint.url().host(), http2)
                    .await
                    .map_err(CheckError::Tls)
            }
            (Scheme::Https, Some(Err(error))) => Err(CheckError::TlsSettings(Arc::clone(error))),
            (Scheme::Http, _) | (Scheme::Https, None) => Ok(Stream::Tcp(tcp)),
        }
    }
}

/// Authority of the request.
fn authority(url: &EndpointUrl, health: &HealthSpec) -> String {
    let own = || match health.port {
        Some(port) => url.with_port(port).authority(),
        None => url.authority(),
    };
    health.host.clone().unwrap_or_else(own)
}
