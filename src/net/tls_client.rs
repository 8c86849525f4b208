//! TLS towards endpoints: trusted authorities, client certificate and expected name.
//!
//! Verification cannot be switched off: an endpoint with a private certificate needs its authority, or that
//! certificate, in `ca`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection};
use tokio::net::TcpStream;

use crate::model::UpstreamTls;

use super::error::NetError;
use super::stream::Stream;
use super::tls_files::{
    CertificateFiles, authorities, certificates, native_authorities, pair, private_key, provider,
    tls,
};
use super::tls_server::alpn;
use super::tls_stream::TlsStream;
use super::tls_verifier::FileVerifier;

/// TLS settings of a release's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTlsSettings {
    /// Trusted certificates, of authorities or of the server itself; `None` for the machine's own authorities.
    pub ca: Option<PathBuf>,
    /// Client certificate, sent if the endpoint requests one.
    pub client_certificate: Option<CertificateFiles>,
    /// Name that the certificate must carry; `None` for the endpoint's host.
    pub server_name: Option<String>,
}

impl From<Option<&UpstreamTls>> for ClientTlsSettings {
    /// Without settings, the machine's authorities are trusted. An incomplete certificate pair is none: the table refuses it.
    fn from(tls: Option<&UpstreamTls>) -> Self {
        let Some(tls) = tls else {
            return Self::default();
        };
        let pair = tls.cert.as_ref().zip(tls.key.as_ref());
        Self {
            ca: tls.ca.as_ref().map(PathBuf::from),
            client_certificate: pair.map(|(cert, key)| CertificateFiles {
                cert: cert.into(),
                key: key.into(),
            }),
            server_name: tls.server_name.clone(),
        }
    }
}

/// TLS of a release's endpoints, ready for handshakes.
pub struct ClientTls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used or the server name is invalid.
    pub fn load(settings: &ClientTlsSettings) -> Result<Self, NetError> {
        let config = build(settings)?;
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let server_name = settings
            .server_name
            .as_deref()
            .map(server_name)
            .transpose()?;
        Ok(Self {
            http1: Arc::new(config),
            http2: Arc::new(http2),
            server_name,
        })
    }

    /// Configuration and server name for HTTP/1.1 handshakes by another library.
    ///
    /// # Errors
    /// When `host` cannot be a server name.
    pub fn config(&self, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), NetError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        Ok((Arc::clone(&self.http1), name))
    }

    /// Runs the handshake with `host`, offering HTTP/2 or HTTP/1.1. The caller sets the deadline.
    ///
    /// # Errors
    /// The error of the socket or of the TLS library; also when `host` cannot be a server name.
    pub async fn connect(&self, tcp: TcpStream, host: &str, http2: bool) -> io::Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(io::Error::other)?,
        };
        let config = if http2 { &self.http2 } else { &self.http1 };
        let connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let stream = TlsStream::handshake(tcp, Connection::Client(connection)).await?;
        if http2 && !stream.is_h2() {
            return Err(io::Error::other("the endpoint does not speak HTTP/2"));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn build(settings: &ClientTlsSettings) -> Result<ClientConfig, NetError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = match &settings.ca {
        Some(ca) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trusted_file(ca)?)),
        None => builder.with_root_certificates(native_authorities()?),
    };
    let mut config = match &settings.client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => builder
            .with_client_auth_cert(certificates(&files.cert)?, private_key(&files.key)?)
            .map_err(|error| pair(&files.key, &error))?,
    };
    config.alpn_protocols = alpn(false);
    Ok(config)
}

fn trusted_file(path: &Path) -> Result<FileVerifier, NetError> {
    let listed = certificates(path)?;
    FileVerifier::new(authorities(path, &listed)?, listed, provider())
}

fn server_name(name: &str) -> Result<ServerName<'static>, NetError> {
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| NetError::ServerName {
        name: name.to_owned(),
    })
}
