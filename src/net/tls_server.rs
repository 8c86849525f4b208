//! TLS towards clients: certificates by server name, protocols, client certificates, and their reload.
//!
//! All that a handshake reads is one immutable configuration behind a pointer; a reload swaps the pointer and does not
//! affect open connections. Session tickets survive a reload, unless client certificates are requested.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Connection, ServerConfig, ServerConnection};
use tokio::net::TcpStream;

use super::error::NetError;
use super::issued_certificates::{IssuedCertificates, VALIDATION_PROTOCOL, is_validation};
use super::stream::Stream;
use super::ticketer::{TicketKey, Ticketer};
use super::tls_files::{CertificateFiles, authorities, certificates, provider, tls};
use super::tls_stream::TlsStream;

/// Requirement for client certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A certificate is optional, but must be valid.
    Optional,
    /// A handshake without a valid certificate fails.
    #[default]
    Required,
}

/// TLS settings of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// By server name; the first one is the default for unknown names and clients without SNI. Empty only beside issued
    /// ones.
    pub certificates: Vec<CertificateFiles>,
    /// Authorities that may sign client certificates; `None` to request none.
    pub client_ca: Option<PathBuf>,
    /// Requirement that goes with `client_ca`.
    pub client_certificates: ClientCertificates,
    /// True if TLS 1.2 is accepted besides 1.3.
    pub tls12: bool,
    /// True if HTTP/2 is offered.
    pub http2: bool,
}

/// TLS of one listener, ready for handshakes.
pub struct ServerTls {
    settings: ServerTlsSettings,
    issued: Option<Arc<IssuedCertificates>>,
    tickets: Arc<Ticketer>,
    config: ArcSwap<ServerConfig>,
}

/// The certificates of a listener: those of its files, and issued ones.
#[derive(Debug)]
struct ListenerCertificates {
    files: ByName,
    issued: Option<Arc<IssuedCertificates>>,
}

/// Certificates by name.
#[derive(Debug, Default)]
struct ByName {
    /// The one for unknown names.
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `example.com` for `*.example.com`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used or the settings contradict one another.
    pub fn load(settings: ServerTlsSettings) -> Result<Self, NetError> {
        Self::load_with(settings, None, &[])
    }

    /// Reads the files, serves issued certificates as well, and accepts session tickets of a process that passed its keys
    /// on. Where clients show certificates its tickets are not accepted: the authority may be another one now.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub fn load_with(
        settings: ServerTlsSettings,
        issued: Option<Arc<IssuedCertificates>>,
        keys: &[TicketKey],
    ) -> Result<Self, NetError> {
        let passed_on = match settings.client_ca {
            Some(_) => None,
            None => Ticketer::with_keys(keys),
        };
        let tickets = Arc::new(passed_on.map_or_else(Ticketer::new, Ok)?);
        let producer = Arc::clone(&tickets) as Arc<dyn ProducesTickets>;
        let config = build(&settings, issued.clone(), producer)?;
        Ok(Self {
            settings,
            issued,
            tickets,
            config: ArcSwap::from_pointee(config),
        })
    }

    /// Reads the same files again; open connections are not affected.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; then the old configuration stays.
    pub fn reload(&self) -> Result<(), NetError> {
        let tickets = match self.settings.client_ca {
            // A session ticket carries the client's identity, which a changed authority must verify again.
            Some(_) => Arc::new(Ticketer::new()?),
            None => Arc::clone(&self.tickets),
        };
        let config = build(&self.settings, self.issued.clone(), tickets)?;
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// The keys of its session tickets, for a process that takes over; none where clients show certificates.
    pub fn ticket_keys(&self) -> Vec<TicketKey> {
        match self.settings.client_ca {
            Some(_) => Vec::new(),
            None => self.tickets.keys(),
        }
    }

    /// Current configuration, for handshakes by another library.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Runs the handshake. The caller sets the deadline.
    ///
    /// # Errors
    /// The error of the socket or of the TLS library. The handshake of a validation ends here, without a request.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<Stream> {
        let connection =
            ServerConnection::new(self.config.load_full()).map_err(io::Error::other)?;
        let stream = TlsStream::handshake(tcp, Connection::Server(connection)).await?;
        if self.issued.is_some() && stream.speaks(VALIDATION_PROTOCOL) {
            stream.send_close_notify();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn build(
    settings: &ServerTlsSettings,
    issued: Option<Arc<IssuedCertificates>>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, NetError> {
    let provider = provider();
    let own = ListenerCertificates {
        files: ByName::load(&settings.certificates, &provider)?,
        issued,
    };
    if own.files.default.is_none() && own.issued.is_none() {
        return Err(tls("a listener with TLS needs a certificate"));
    }
    let validates = own.issued.is_some();
    let versions: &[_] = if settings.tls12 {
        rustls::DEFAULT_VERSIONS
    } else {
        &[&rustls::version::TLS13]
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(tls)?;
    let mut config = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            // A listed authority is not valid as a client itself, unlike as a server (`FileVerifier`): the key of a
            // client must not be able to issue further clients.
            let roots = authorities(ca, &certificates(ca)?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match settings.client_certificates {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::Required => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(tls)?)
        }
    }
    .with_cert_resolver(Arc::new(own));
    config.ticketer = tickets;
    config.ignore_client_order = true;
    config.alpn_protocols = alpn(settings.http2);
    // HTTP/1.0 clients may offer their version, and an ALPN list without a match ends the handshake.
    config.alpn_protocols.push(b"http/1.0".to_vec());
    if validates {
        config.alpn_protocols.push(VALIDATION_PROTOCOL.to_vec());
    }
    Ok(config)
}

pub(super) fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let http1 = b"http/1.1".to_vec();
    if http2 {
        vec![b"h2".to_vec(), http1]
    } else {
        vec![http1]
    }
}

// === impl ByName ===

impl ByName {
    fn load(files: &[CertificateFiles], provider: &CryptoProvider) -> Result<Self, NetError> {
        let mut keys = Vec::with_capacity(files.len());
        for files in files {
            keys.push(Arc::new(files.load(provider)?));
        }
        let mut names = Self {
            default: keys.first().cloned(),
            ..Self::default()
        };
        for key in &keys {
            names.add(key)?;
        }
        Ok(names)
    }

    /// Adds the names of a certificate; the first certificate with a name is used for it.
    fn add(&mut self, key: &Arc<CertifiedKey>) -> Result<(), NetError> {
        let leaf = key.end_entity_cert().map_err(tls)?;
        let leaf = webpki::EndEntityCert::try_from(leaf).map_err(tls)?;
        for name in leaf.valid_dns_names() {
            let name = name.to_ascii_lowercase();
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_insert_with(|| Arc::clone(key));
        }
        Ok(())
    }

    fn of_parent(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let (_, parent) = name.split_once('.')?;
        self.wildcard.get(parent)
    }
}

// === impl ListenerCertificates ===

impl ListenerCertificates {
    /// The certificate for a name in lower case: one with this very name comes before one with a wildcard.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        // Some clients send the name as typed; a final dot only marks it as fully qualified.
        let name = name.strip_suffix('.').unwrap_or(name);
        let issued = || self.issued.as_ref()?.of_domain(name);
        let exact = self.files.exact.get(name).cloned().or_else(issued);
        exact
            .or_else(|| self.files.of_parent(name).cloned())
            .or_else(|| self.default())
    }

    fn default(&self) -> Option<Arc<CertifiedKey>> {
        let issued = || self.issued.as_ref()?.first();
        self.files.default.clone().or_else(issued)
    }
}

impl ResolvesServerCert for ListenerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if let Some(issued) = &self.issued
            && is_validation(&hello)
        {
            return issued.of_validation(&name?);
        }
        name.map_or_else(|| self.default(), |name| self.find(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_name_with_a_final_dot_is_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            let mut file = std::fs::File::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            path
        };
        let files = ["a.test", "*.b.test"].map(|name| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            CertificateFiles {
                cert: file(&format!("{}.pem", name.len()), &made.cert.pem()),
                key: file(
                    &format!("{}.key", name.len()),
                    &made.signing_key.serialize_pem(),
                ),
            }
        });
        let names = ListenerCertificates {
            files: ByName::load(&files, &provider()).unwrap(),
            issued: None,
        };
        let default = names.default().unwrap();
        let is_default = |name: &str| Arc::ptr_eq(&names.find(name).unwrap(), &default);
        assert!(is_default("a.test") && is_default("a.test."));
        assert!(!is_default("x.b.test") && !is_default("x.b.test."));
        assert!(is_default("x.c.test.") && is_default("."));
    }
}
