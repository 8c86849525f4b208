//! Two ends of a TLS connection over loopback.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};

use super::super::{
    CertificateFiles, ClientCertificates, ClientTls, ClientTlsSettings, ServerTls,
    ServerTlsSettings, Stream,
};

fn write(path: &Path, text: &str) {
    use std::io::Write;
    std::fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// An authority and certificates issued by it, as PEM files in a folder.
struct Pki {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        write(&folder.path().join("ca.pem"), &authority.pem());
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    fn certificate(&self, name: &str) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let stem = name.replace('*', "any");
        let files = CertificateFiles {
            cert: self.folder.path().join(format!("{stem}.pem")),
            key: self.folder.path().join(format!("{stem}.key")),
        };
        write(&files.cert, &certificate.pem());
        write(&files.key, &key.serialize_pem());
        files
    }

    fn server(&self, names: &[&str]) -> ServerTlsSettings {
        ServerTlsSettings {
            certificates: names.iter().map(|name| self.certificate(name)).collect(),
            client_ca: None,
            client_certificates: ClientCertificates::Required,
            tls12: true,
            http2: true,
        }
    }

    fn client(&self) -> ClientTlsSettings {
        ClientTlsSettings {
            ca: Some(self.folder.path().join("ca.pem")),
            ..ClientTlsSettings::default()
        }
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

async fn shake(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> std::io::Result<(Stream, Stream)> {
    let (ours, theirs) = sockets().await;
    let (connected, accepted) =
        tokio::join!(client.connect(ours, host, true), server.accept(theirs));
    Ok((connected?, accepted?))
}

async fn read_some(stream: &Stream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_end_is_announced() {
    let pki = Pki::new();
    let server = ServerTls::load(pki.server(&["agents.test"])).unwrap();
    let client = ClientTls::load(&pki.client()).unwrap();
    let (connected, accepted) = shake(&server, &client, "agents.test").await.unwrap();
    assert!(accepted.tls().unwrap().is_h2());
    assert_eq!(
        accepted.tls().unwrap().server_name().as_deref(),
        Some("agents.test")
    );
    assert!(!accepted.tls().unwrap().has_peer_certificate());

    let sent: Arc<Vec<u8>> = Arc::new((0..1_000_000_u32).map(|i| i.to_le_bytes()[0]).collect());
    let send = async {
        connected.write_all(&sent).await.unwrap();
        connected.shutdown_write();
    };
    let receive = async {
        let mut received = Vec::new();
        let mut buffer = vec![0; 10_000];
        loop {
            match read_some(&accepted, &mut buffer).await.unwrap() {
                0 => return received,
                n => received.extend_from_slice(&buffer[..n]),
            }
        }
    };
    let ((), received) = tokio::join!(send, receive);
    assert!(received == *sent);
    accepted.write_all(b"answer").await.unwrap();
    let mut buffer = [0; 32];
    assert_eq!(read_some(&connected, &mut buffer).await.unwrap(), 6);
}

#[tokio::test]
async fn a_cut_connection_does_not_look_like_an_end() {
    let pki = Pki::new();
    let server = ServerTls::load(pki.server(&["agents.test"])).unwrap();
    let client = ClientTls::load(&pki.client()).unwrap();
    let (connected, accepted) = shake(&server, &client, "agents.test").await.unwrap();
    // This also reads the session tickets; unread bytes would turn the end into a reset.
    accepted.write_all(b"hello").await.unwrap();
    let mut buffer = [0; 32];
    assert_eq!(read_some(&connected, &mut buffer).await.unwrap(), 5);
    connected.write_all(b"half").await.unwrap();
    drop(connected);
    assert_eq!(read_some(&accepted, &mut buffer).await.unwrap(), 4);
    let error = read_some(&accepted, &mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn the_certificate_follows_the_name_exact_before_wildcard_before_first() {
    let pki = Pki::new();
    let server =
        ServerTls::load(pki.server(&["first.test", "*.agents.test", "one.agents.test"])).unwrap();
    let client = ClientTls::load(&pki.client()).unwrap();
    for name in ["first.test", "two.agents.test", "one.agents.test"] {
        assert!(shake(&server, &client, name).await.is_ok(), "{name}");
    }
    assert!(shake(&server, &client, "other.test").await.is_err());
    let renamed = ClientTlsSettings {
        server_name: Some("first.test".to_owned()),
        ..pki.client()
    };
    assert!(
        shake(&server, &ClientTls::load(&renamed).unwrap(), "other.test")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn client_certificates_are_asked_for_and_verified() {
    let pki = Pki::new();
    let settings = ServerTlsSettings {
        client_ca: Some(pki.folder.path().join("ca.pem")),
        ..pki.server(&["agents.test"])
    };
    let required = ServerTls::load(settings.clone()).unwrap();
    let known = ClientTlsSettings {
        client_certificate: Some(pki.certificate("client.test")),
        ..pki.client()
    };
    let (_, accepted) = shake(&required, &ClientTls::load(&known).unwrap(), "agents.test")
        .await
        .unwrap();
    assert!(accepted.tls().unwrap().has_peer_certificate());

    let anonymous = ClientTls::load(&pki.client()).unwrap();
    assert!(shake(&required, &anonymous, "agents.test").await.is_err());
    let optional = ServerTlsSettings {
        client_certificates: ClientCertificates::Optional,
        ..settings
    };
    assert!(
        shake(
            &ServerTls::load(optional).unwrap(),
            &anonymous,
            "agents.test"
        )
        .await
        .is_ok()
    );

    let stranger = Pki::new();
    let forged = ClientTlsSettings {
        client_certificate: Some(stranger.certificate("client.test")),
        ..pki.client()
    };
    assert!(
        shake(&required, &ClientTls::load(&forged).unwrap(), "agents.test")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_reload_brings_the_new_certificate_and_keeps_open_connections() {
    let pki = Pki::new();
    let settings = pki.server(&["agents.test"]);
    let server = ServerTls::load(settings.clone()).unwrap();
    let client = ClientTls::load(&pki.client()).unwrap();
    let (connected, accepted) = shake(&server, &client, "agents.test").await.unwrap();

    let renewed = pki.certificate("renewed.test");
    std::fs::copy(&renewed.cert, &settings.certificates[0].cert).unwrap();
    std::fs::copy(&renewed.key, &settings.certificates[0].key).unwrap();
    server.reload().unwrap();
    assert!(shake(&server, &client, "renewed.test").await.is_ok());

    connected.write_all(b"still here").await.unwrap();
    assert_eq!(read_some(&accepted, &mut [0; 32]).await.unwrap(), 10);

    write(&settings.certificates[0].cert, "not a certificate");
    assert!(server.reload().is_err());
    assert!(
        shake(&server, &client, "renewed.test").await.is_ok(),
        "a bad file changes nothing"
    );
}
