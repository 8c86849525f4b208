//! TLS end to end, with the real binary: server names, versions, resumption, renewed certificates without a closed
//! connection, client and endpoint certificates.
//!
//! The client is that of the same library, which is strict; real clients are in `tests/clients`.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

use crate::{
    conformance::child::Switchback,
    support::{Client, Origin, Response, TIMEOUT, read_response, wait_until, write},
};

/// An authority, and the folder of its certificates.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A client's connection.
type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn path(&self, name: &str) -> String {
        path(self.folder.path(), name)
    }

    fn write(&self, name: &str, text: &str) {
        write(self.path(name), text);
    }

    /// Writes a certificate for a name, and its key, to `FILE.pem` and `FILE.key`.
    fn issue(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // A subject of its own: OpenSSL treats one that equals its issuer's as self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{file}.pem"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    fn certificate(&self, file: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap()
    }

    /// Writes a certificate like those of `openssl req -x509`: self-signed, and an authority.
    fn issue_to_itself(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        self.write(&format!("{file}.pem"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    /// The configuration keys of a listener with these certificates.
    fn listener(&self, files: &[&str], more: &str) -> String {
        let one = |file: &&str| {
            let (cert, key) = (format!("{file}.pem"), format!("{file}.key"));
            format!(
                "{{ cert = {:?}, key = {:?} }}",
                self.path(&cert),
                self.path(&key)
            )
        };
        let certificates: Vec<_> = files.iter().map(one).collect();
        format!(
            "[listeners.tls]\ncertificates = [{}]\n{more}",
            certificates.join(", ")
        )
    }

    /// A client that trusts this authority, with an optional certificate of its own.
    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<(&Self, &str)>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some((authority, file)) => {
                let key = authority.path(&format!("{file}.key"));
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder
                    .with_client_auth_cert(vec![authority.certificate(file)], key)
                    .unwrap()
            }
        })
    }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

fn connect(config: &Arc<ClientConfig>, address: SocketAddr, name: &str) -> Tls {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
    StreamOwned::new(tls, tcp)
}

/// Sends a request and reads the response, if there is one.
fn get(tls: &mut Tls) -> Option<Response> {
    tls.write_all(b"GET / HTTP/1.1\r\nHost: agents.test\r\n\r\n")
        .ok()?;
    read_response(&mut BufReader::new(tls), false)
}

fn is_ok(tls: &mut Tls) -> bool {
    get(tls).is_some_and(|response| response.status == 200)
}

/// The certificate of the server on a new connection.
fn shown(config: &Arc<ClientConfig>, address: SocketAddr, name: &str) -> CertificateDer<'static> {
    let mut tls = connect(config, address, name);
    assert!(is_ok(&mut tls), "{name}");
    tls.conn.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

fn hang_up(switchback: &Switchback) {
    let id = i32::try_from(switchback.child.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::HUP).unwrap();
}

/// The table: one release with one endpoint.
fn table(url: &str, more: &str) -> String {
    format!(
        "[releases.one]\nendpoints = [{url:?}]\n{more}\n\
         [[routes]]\nname = \"all\"\npath_prefix = \"/\"\nsplit = {{ one = 1 }}\n"
    )
}

#[test]
fn a_certificate_is_chosen_by_name_and_both_versions_are_spoken() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    authority.issue("a", "a.test");
    authority.issue("b", "*.b.test");
    let listeners = [
        authority.listener(&["a", "b"], ""),
        authority.listener(&["a"], "min_version = \"1.3\""),
    ];
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let switchback = Switchback::start(&listeners, &table(&origin.url(), ""));
    for (version, number) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = authority.client(&[version], None);
        let address = switchback.listeners[0];
        for (name, file) in [("a.test", "a"), ("x.b.test", "b")] {
            assert_eq!(shown(&client, address, name), authority.certificate(file));
        }
        let mut tls = connect(&client, address, "a.test");
        assert!(is_ok(&mut tls));
        assert_eq!(tls.conn.protocol_version(), Some(number));
        // An unknown name gets the first certificate, which does not match it.
        assert!(get(&mut connect(&client, address, "c.test")).is_none());

        let mut strict = connect(&client, switchback.listeners[1], "a.test");
        assert_eq!(is_ok(&mut strict), number == ProtocolVersion::TLSv1_3);
    }
}

#[test]
fn a_session_is_resumed_in_either_version() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    authority.issue("a", "a.test");
    let listener = authority.listener(&["a"], "");
    let switchback = Switchback::start(&[&listener], &table(&origin.url(), ""));
    for version in [&TLS12, &TLS13] {
        let client = authority.client(&[version], None);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut tls = connect(&client, switchback.listeners[0], "a.test");
            assert!(is_ok(&mut tls));
            assert_eq!(tls.conn.handshake_kind(), Some(expected), "{version:?}");
        }
    }
}

#[test]
fn new_certificates_are_read_without_a_dropped_connection() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    authority.issue("a", "a.test");
    let listener = authority.listener(&["a"], "");
    let switchback = Switchback::start(&[&listener], &table(&origin.url(), ""));
    let address = switchback.listeners[0];
    // Without resumption, which would show the certificate of the first handshake.
    let client = || authority.client(&[&TLS13], None);
    let mut before = connect(&client(), address, "a.test");
    assert!(is_ok(&mut before));
    let old = authority.certificate("a");

    authority.issue("a", "a.test");
    let new = authority.certificate("a");
    assert_ne!(old, new);
    hang_up(&switchback);
    wait_until("the new certificate", || {
        shown(&client(), address, "a.test") == new
    });
    assert!(is_ok(&mut before), "a connection of before was dropped");

    // Unusable files change nothing.
    authority.write("a.pem", "nothing");
    hang_up(&switchback);
    wait_until("a complaint", || switchback.log().contains("a.pem"));
    assert_eq!(shown(&client(), address, "a.test"), new);
    assert!(is_ok(&mut before));
}

/// The settings of a listener whose directory nobody serves, and the folder of its certificates.
fn ordering(authority: &Authority, domains: &str) -> (String, std::path::PathBuf) {
    let own = authority.folder.path().join("acme/127.0.0.1-1-dir");
    std::fs::create_dir_all(&own).unwrap();
    let listener = format!(
        "[listeners.tls.acme]\ndomains = {domains}\ndirectory = \"https://127.0.0.1:1/dir\"\nca = {:?}\npath = {:?}\n",
        authority.path("ca.pem"),
        authority.path("acme"),
    );
    (listener, own)
}

#[test]
fn what_is_in_the_folder_is_served_and_what_is_not_is_refused() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    authority.issue("a", "a.test");
    authority.issue("b", "b.test");
    let (listener, own) = ordering(&authority, "[\"b.test\", \"a.test\"]");
    let stored = ["a.key", "a.pem"].map(|file| std::fs::read_to_string(authority.path(file)));
    write(own.join("a.test.pem"), stored.map(Result::unwrap).concat());
    let none = authority.listener(&["b"], "");
    let listeners = [&listener, &none];
    let switchback = Switchback::start(&listeners.map(String::as_str), &table(&origin.url(), ""));
    let (address, client) = (switchback.listeners[0], authority.client(&[&TLS13], None));
    assert_eq!(
        shown(&client, address, "a.test"),
        authority.certificate("a")
    );
    // The only certificate is for unknown names as well, which a client refuses.
    assert!(get(&mut connect(&client, address, "b.test")).is_none());
    assert!(switchback.log().contains("no certificate yet"));
    assert!(
        !switchback.log().contains("domain=a.test"),
        "{}",
        switchback.log()
    );
}

#[test]
fn without_a_certificate_a_handshake_and_a_validation_are_refused_with_an_alert() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    let (listener, _) = ordering(&authority, "[\"a.test\"]");
    let switchback = Switchback::start(&[&listener], &table(&origin.url(), ""));
    for protocols in [vec![b"acme-tls/1".to_vec()], Vec::new()] {
        let mut client = ClientConfig::clone(&authority.client(&[&TLS13], None));
        client.alpn_protocols = protocols;
        let mut tls = connect(&Arc::new(client), switchback.listeners[0], "a.test");
        let refused = tls
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .and_then(|()| tls.read(&mut [0]));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("AccessDenied"), "{refused}");
    }
}

#[test]
fn a_client_shows_a_good_certificate_or_is_not_served() {
    let (origin, authority, stranger) =
        (Origin::replying("hi"), Authority::new(), Authority::new());
    authority.issue("a", "a.test");
    authority.issue("client", "client.test");
    stranger.issue("client", "client.test");
    let ca = format!("client_ca = {:?}\n", authority.path("ca.pem"));
    let listeners = [
        authority.listener(&["a"], &ca),
        authority.listener(&["a"], &format!("{ca}client_auth = \"optional\"")),
    ];
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let switchback = Switchback::start(&listeners, &table(&origin.url(), ""));
    for version in [&TLS12, &TLS13] {
        for (who, served) in [
            (Some((&authority, "client")), [true, true]),
            (Some((&stranger, "client")), [false, false]),
            (None, [false, true]),
        ] {
            let client = authority.client(&[version], who);
            let served_by =
                |at: usize| is_ok(&mut connect(&client, switchback.listeners[at], "a.test"));
            assert_eq!([served_by(0), served_by(1)], served, "{version:?}");
        }
    }
}

/// A proxy with TLS in front of `origin`, and the settings of a release with this endpoint.
fn endpoint(authority: &Authority, origin: &Origin) -> (Switchback, String) {
    authority.issue("endpoint", "endpoint.test");
    let ca = format!("client_ca = {:?}", authority.path("ca.pem"));
    let listener = authority.listener(&["endpoint"], &ca);
    let endpoint = Switchback::start(&[&listener], &table(&origin.url(), ""));
    let url = format!("https://{}", endpoint.listeners[0]);
    (endpoint, url)
}

fn up(folder: &Path, ca: &str, client: &str, name: &str) -> String {
    let path = |name: String| path(folder, &name);
    format!(
        "[releases.one.tls]\nca = {:?}\ncert = {:?}\nkey = {:?}\nserver_name = {name:?}\n",
        path(format!("{ca}.pem")),
        path(format!("{client}.pem")),
        path(format!("{client}.key")),
    )
}

#[test]
fn copies_go_to_a_mirror_over_tls_from_a_listener_with_tls_and_no_further() {
    let (blue, green, authority) = (
        Origin::replying("blue"),
        Origin::replying("green"),
        Authority::new(),
    );
    for (file, name) in [("a", "a.test"), ("client", "client.test")] {
        authority.issue(file, name);
    }
    // The mirror is a switchback of its own, whose route is mirrored in its turn.
    authority.issue("endpoint", "endpoint.test");
    let ca = format!("client_ca = {:?}", authority.path("ca.pem"));
    let again = Origin::replying("again");
    let further = format!(
        "[routes.mirror]\nrelease = \"again\"\npercent = 100\n[releases.again]\nendpoints = [{:?}]\n",
        again.url()
    );
    let table_of_it = format!("{}{further}", table(&green.url(), ""));
    let listener = authority.listener(&["endpoint"], &ca);
    let mirror = Switchback::start(&[&listener], &table_of_it);
    let tls = up(authority.folder.path(), "ca", "client", "endpoint.test");
    let near = format!(
        "[headers]\nvia = \"near\"\n{}[routes.mirror]\nrelease = \"green\"\npercent = 100\n\
         [releases.green]\nendpoints = [\"https://{}\"]\n{}",
        table(&blue.url(), ""),
        mirror.listeners[0],
        tls.replace("releases.one", "releases.green"),
    );
    let switchback = Switchback::start(&[&authority.listener(&["a"], "")], &near);
    let client = authority.client(&[&TLS13], None);
    let mut tls = connect(&client, switchback.listeners[0], "a.test");
    for _ in 0..3 {
        assert_eq!(get(&mut tls).unwrap().text(), "blue");
    }
    let metrics = || metrics(switchback.admin());
    wait_until("the copies", || metrics().contains("result=\"agreed\"} 3"));
    assert_eq!((green.requests().len(), again.requests().len()), (3, 0));
    assert_eq!(green.last().value("x-forwarded-proto"), Some("https"));
}

fn ask(switchback: &Switchback) -> Response {
    Client::connect(switchback.listeners[0]).get("/")
}

#[test]
fn an_endpoint_is_who_it_should_be_or_the_details_are_in_the_log_alone() {
    let (origin, authority, stranger) =
        (Origin::replying("hi"), Authority::new(), Authority::new());
    authority.issue("client", "client.test");
    let issued = std::fs::read_to_string(stranger.path("ca.pem")).unwrap();
    authority.write("stranger.pem", &issued);
    stranger.issue("stranger", "client.test");
    for file in ["stranger.pem", "stranger.key"] {
        let text = std::fs::read_to_string(stranger.path(file)).unwrap();
        authority.write(&format!("shown-{file}"), &text);
    }
    let (_endpoint, url) = endpoint(&authority, &origin);
    let start = |ca, client, name| {
        let via = "[headers]\nvia = \"near\"\n[log]\nlevel = \"debug\"\n";
        let release = table(&url, &up(authority.folder.path(), ca, client, name));
        Switchback::start(&[""], &format!("{via}{release}"))
    };
    let good = start("ca", "client", "endpoint.test");
    assert_eq!(ask(&good).text(), "hi");
    assert_eq!(origin.requests().len(), 1);
    for (ca, client, name, detail) in [
        ("ca", "client", "other.test", "not valid for name"),
        (
            "stranger",
            "client",
            "endpoint.test",
            "invalid peer certificate",
        ),
        ("ca", "shown-stranger", "endpoint.test", "alert"),
    ] {
        let bad = start(ca, client, name);
        let answer = ask(&bad);
        assert_eq!(answer.status, 502, "{name}: {}", answer.head);
        let reason = answer.value("x-switchback-reason").unwrap();
        assert!(["connect_failed", "upstream_closed"].contains(&reason));
        let said = answer.head.clone() + &answer.text();
        for secret in [
            "certificate",
            "issuer",
            "alert",
            &authority.folder.path().to_string_lossy(),
        ] {
            assert!(!said.to_lowercase().contains(secret), "{said}");
        }
        wait_until(detail, || bad.log().contains(detail));
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_hang_up_reads_the_files_for_endpoints_and_their_checks_again() {
    let (origin, authority, stranger) =
        (Origin::replying("hi"), Authority::new(), Authority::new());
    authority.issue("client", "client.test");
    let good = std::fs::read_to_string(authority.path("ca.pem")).unwrap();
    let bad = std::fs::read_to_string(stranger.path("ca.pem")).unwrap();
    authority.write("now.pem", &bad);
    let (_endpoint, url) = endpoint(&authority, &origin);
    let settings = up(authority.folder.path(), "now", "client", "endpoint.test");
    let check = "[releases.one.health]\npath = \"/\"\ninterval = \"100ms\"\nrise = 1\nfall = 1\n";
    let release = table(&url, &format!("{check}{settings}"));
    let near = Switchback::start(&[""], &format!("[headers]\nvia = \"near\"\n{release}"));
    wait_until("unhealthy", || {
        ask(&near).value("x-switchback-reason") == Some("no_endpoint")
    });
    authority.write("now.pem", &good);
    hang_up(&near);
    wait_until("healthy", || ask(&near).status == 200);
    authority.write("now.pem", &bad);
    hang_up(&near);
    wait_until("unhealthy again", || ask(&near).status == 503);
}

fn metrics(admin: SocketAddr) -> String {
    let mut tcp = TcpStream::connect(admin).unwrap();
    tcp.set_read_timeout(Some(TIMEOUT)).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn plain_http_on_a_port_with_tls_gets_a_hint_and_refused_connections_are_counted() {
    let (origin, authority) = (Origin::replying("hi"), Authority::new());
    authority.issue("a", "a.test");
    let ca = format!("client_ca = {:?}\n", authority.path("ca.pem"));
    let listener = authority.listener(&["a"], &ca);
    let switchback = Switchback::start(&[&listener], &table(&origin.url(), ""));
    let address = switchback.listeners[0];
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(TIMEOUT)).unwrap();
        tcp.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        tcp.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.ends_with("use https:// instead of http://\n"),
            "{answer}"
        );
    }
    let without = authority.client(&[&TLS13], None);
    assert!(!is_ok(&mut connect(&without, address, "a.test")));
    let mut garbage = TcpStream::connect(address).unwrap();
    garbage.write_all(b"\x16\x03\x01\x00\x05hello").unwrap();
    let counted = |reason: &str, count: u32| {
        let line = format!(
            "switchback_connections_refused_total{{listener=\"{address}\",reason=\"{reason}\"}} {count}\n"
        );
        wait_until(&line, || metrics(switchback.admin()).contains(&line));
    };
    counted("plain_http", 2);
    counted("client_certificate", 1);
    counted("tls", 1);
    wait_until("a line in the log", || {
        let log = switchback.log();
        let told = |reason: &str| log.contains(&format!("reason=\"{reason}\""));
        told("plain_http") && told("client_certificate") && told("tls")
    });
}

/// Runs the command line against an admin API; returns its success and its output.
fn status_by_cli(admin: &str, more: &[&str]) -> (bool, String) {
    let asked = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["status", "--admin", admin])
        .args(more)
        .env_remove("SWITCHBACK_TOKEN")
        .env_remove("SWITCHBACK_CA_FILE")
        .output()
        .unwrap();
    let said = [asked.stdout, asked.stderr].concat();
    (asked.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_admin_api_speaks_tls_with_the_command_line_with_curl_and_after_new_certificates() {
    let (authority, origin) = (Authority::new(), Origin::replying("hi"));
    authority.issue("admin", "127.0.0.1");
    let tls = authority.listener(&["admin"], "");
    let tls = tls.replace("[listeners.tls]", "[admin.tls]");
    let switchback = Switchback::start(&[""], &format!("{tls}{}", table(&origin.url(), "")));
    let admin = switchback.admin();
    let (url, ca) = (format!("https://{admin}"), authority.path("ca.pem"));
    let (is_good, said) = status_by_cli(&url, &["--ca-file", &ca]);
    assert!(is_good && said.contains("revision"), "{said}");
    let (is_good, said) = status_by_cli(&url, &[]);
    assert!(!is_good && said.contains("--ca-file"), "{said}");
    let (is_good, said) = status_by_cli(&format!("http://{admin}"), &[]);
    assert!(!is_good && said.contains("https://"), "{said}");
    let curl = Command::new("curl")
        .args(["-sS", "--cacert", &ca, &format!("{url}/livez")])
        .output();
    // The machine may have nothing but Rust.
    if let Ok(curl) = curl {
        assert_eq!(String::from_utf8_lossy(&curl.stdout), "ok\n", "{curl:?}");
    }
    let other = Authority::new();
    other.issue("admin", "127.0.0.1");
    for name in ["admin.pem", "admin.key"] {
        std::fs::copy(other.path(name), authority.path(name)).unwrap();
    }
    let reloaded = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["reload", "--admin", &url, "--ca-file", &ca])
        .output()
        .unwrap();
    assert!(reloaded.status.success(), "{reloaded:?}");
    let (is_good, said) = status_by_cli(&url, &["--ca-file", &other.path("ca.pem")]);
    assert!(is_good, "{said}");
}

#[test]
fn a_self_signed_authority_is_a_server_for_whom_its_own_certificate_is_given_to() {
    let (files, origin) = (Authority::new(), Origin::replying("hi"));
    files.issue_to_itself("own", "127.0.0.1");
    files.issue_to_itself("stranger", "127.0.0.1");
    let (own, stranger) = (files.path("own.pem"), files.path("stranger.pem"));
    let listener = files.listener(&["own"], "");
    let admin = listener.replace("[listeners.tls]", "[admin.tls]");
    let table_behind = table(&origin.url(), "");
    let far = Switchback::start(&[&listener], &format!("{admin}{table_behind}"));
    let port = far.admin().port();
    let status =
        |host: &str, ca: &str| status_by_cli(&format!("https://{host}:{port}"), &["--ca-file", ca]);
    let (is_good, said) = status("127.0.0.1", &own);
    assert!(is_good && said.contains("revision"), "{said}");
    let (is_good, said) = status("127.0.0.1", &stranger);
    assert!(
        !is_good && said.contains("which a server may use only if"),
        "{said}"
    );
    let (is_good, said) = status("localhost", &own);
    assert!(!is_good && said.contains("not valid for name"), "{said}");

    // Endpoints and their checks.
    let near = |ca: &str| {
        let settings = format!(
            "[releases.one.health]\npath = \"/\"\ninterval = \"100ms\"\nrise = 1\nfall = 1\n[releases.one.tls]\nca = {ca:?}\n"
        );
        let release = table(&format!("https://{}", far.listeners[0]), &settings);
        Switchback::start(&[""], &format!("[headers]\nvia = \"near\"\n{release}"))
    };
    let (trusting, wary) = (near(&own), near(&stranger));
    wait_until("unhealthy", || {
        ask(&wary).value("x-switchback-reason") == Some("no_endpoint")
    });
    wait_until("healthy", || {
        let is_so =
            |line: &str| line.starts_with("switchback_endpoint_healthy{") && line.ends_with(" 1");
        metrics(trusting.admin()).lines().any(is_so)
    });
    assert_eq!(ask(&trusting).text(), "hi");
}

#[test]
fn the_command_line_shows_the_certificate_that_it_is_given() {
    let authority = Authority::new();
    authority.issue("admin", "127.0.0.1");
    authority.issue("client", "client.test");
    let stranger = Authority::new();
    stranger.issue("client", "client.test");
    let client_ca = format!("client_ca = {:?}", authority.path("ca.pem"));
    let tls = authority.listener(&["admin"], &client_ca);
    let switchback = Switchback::start(&[""], &tls.replace("[listeners.tls]", "[admin.tls]"));
    let (url, ca) = (
        format!("https://{}", switchback.admin()),
        authority.path("ca.pem"),
    );
    let status = |cert: &str, key: &str| {
        let files = ["--ca-file", &ca, "--cert-file", cert, "--key-file", key];
        status_by_cli(&url, &files)
    };
    let pair = |of: &Authority| (of.path("client.pem"), of.path("client.key"));
    let (cert, key) = pair(&authority);
    let (is_good, said) = status(&cert, &key);
    assert!(is_good && said.contains("revision"), "{said}");
    let (foreign, foreign_key) = pair(&stranger);
    for (is_good, said) in [
        status_by_cli(&url, &["--ca-file", &ca]),
        status(&foreign, &foreign_key),
    ] {
        assert!(!is_good && said.contains("cannot be reached"), "{said}");
    }
    for (cert, key, named) in [
        (&key, &cert, &key),
        (&cert, &foreign_key, &foreign_key),
        (&"/nope.pem".to_owned(), &key, &"/nope.pem".to_owned()),
    ] {
        let (is_good, said) = status(cert, key);
        assert!(!is_good && said.contains(named.as_str()), "{said}");
    }
    let by_variables = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .arg("status")
        .env("SWITCHBACK_ADMIN", &url)
        .env("SWITCHBACK_CA_FILE", &ca)
        .env("SWITCHBACK_CERT_FILE", &cert)
        .env("SWITCHBACK_KEY_FILE", &key)
        .output()
        .unwrap();
    assert!(by_variables.status.success(), "{by_variables:?}");
}

#[test]
fn the_admin_api_asks_for_the_certificate_and_the_version_that_are_configured() {
    let authority = Authority::new();
    authority.issue("admin", "127.0.0.1");
    authority.issue("client", "client.test");
    let served = |more: &str, version, who| {
        let tls = authority.listener(&["admin"], more);
        let tls = tls.replace("[listeners.tls]", "[admin.tls]");
        let switchback = Switchback::start(&[""], &tls);
        let client = authority.client(&[version], who);
        // Its allowed `Host` values are another matter: any response will do.
        get(&mut connect(&client, switchback.admin(), "127.0.0.1")).is_some()
    };
    let ca = format!("client_ca = {:?}", authority.path("ca.pem"));
    let optional = format!("{ca}\nclient_auth = \"optional\"");
    let client = Some((&authority, "client"));
    assert!(served("", &TLS12, None));
    assert!(!served("min_version = \"1.3\"", &TLS12, None));
    assert!(!served(&ca, &TLS13, None));
    assert!(served(&ca, &TLS13, client));
    assert!(served(&optional, &TLS13, None));
}
