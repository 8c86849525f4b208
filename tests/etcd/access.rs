//! Users, and certificates of clients.

use std::{fs::File, io::Write as _};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use switchback::{
    etcd::{EtcdClient, EtcdError, EtcdSettings, EtcdUser, KeyRange, WatchMessage},
    net::{CertificateFiles, ClientTlsSettings},
};
use tempfile::TempDir;

use crate::{cluster::Cluster, create, next, next_events, put, write};

fn with_user(mut settings: EtcdSettings, password: &str) -> EtcdClient {
    settings.user = Some(EtcdUser {
        name: "proxy".to_owned(),
        password: password.to_owned(),
    });
    EtcdClient::load(settings).unwrap()
}

#[tokio::test]
async fn a_user_has_its_rights_and_gets_a_new_token_when_one_is_refused() {
    let mut cluster = Cluster::start(1).await;
    let anonymous = cluster.client(0);
    for arguments in [
        &["user", "add", "root:r"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "proxies"],
        &[
            "role",
            "grant-permission",
            "--prefix=true",
            "proxies",
            "readwrite",
            "w/",
        ],
        &["user", "add", "proxy:right"],
        &["user", "grant-role", "proxy", "proxies"],
        &["auth", "enable"],
    ] {
        cluster.ctl(arguments);
    }
    let client = with_user(cluster.settings(0), "right");
    let revision = write(&client, vec![put("w/1", "a")]).await;
    let refused = |error| matches!(error, EtcdError::Unauthenticated(_));
    assert!(refused(anonymous.get(b"w/1").await.unwrap_err()));
    let wrong = with_user(cluster.settings(0), "wrong");
    assert!(refused(wrong.get(b"w/1").await.unwrap_err()));
    let error = client.get(b"other").await.unwrap_err();
    assert!(matches!(error, EtcdError::Forbidden(_)), "{error:?}");
    let mut denied = client.watch(KeyRange::prefix("other"), 0);
    let message = next(&mut denied).await;
    assert!(
        matches!(message, WatchMessage::Interrupted(EtcdError::Forbidden(_))),
        "{message:?}"
    );

    // Tokens are in the memory of the member.
    let mut watch = client.watch(KeyRange::prefix("w/"), revision + 1);
    assert!(matches!(next(&mut watch).await, WatchMessage::Progress(_)));
    cluster.kill(0);
    cluster.start_again(0, None);
    cluster.until_ready().await;
    let revision = write(&client, vec![put("w/1", "b")]).await;
    assert_eq!(next_events(&mut watch).await[0].revision(), revision);
}

/// Writes an authority, and a certificate of it for each name with its purposes.
fn certificates(folder: &TempDir, leaves: &[(&str, &[ExtendedKeyUsagePurpose])], name: &str) {
    let write = |name: &str, text: String| {
        let mut file = File::create(folder.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", params.self_signed(&key).unwrap().pem());
    let authority = Issuer::new(params, key);
    for (file, purposes) in leaves {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = purposes.to_vec();
        write(
            &format!("{file}.pem"),
            params.signed_by(&key, &authority).unwrap().pem(),
        );
        write(&format!("{file}.key"), key.serialize_pem());
    }
}

#[tokio::test]
async fn a_member_that_wants_a_certificate_gets_it_and_answers_nobody_else() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let folder = tempfile::tempdir().unwrap();
    // The gateway is a client of its own member, with that member's certificate.
    let leaves = [
        ("server", &[ServerAuth, ClientAuth][..]),
        ("client", &[ClientAuth]),
    ];
    certificates(&folder, &leaves, "etcd.test");
    let arguments = [
        "--cert-file=server.pem",
        "--key-file=server.key",
        "--trusted-ca-file=ca.pem",
        "--client-cert-auth",
    ];
    let cluster = Cluster::start_with(1, folder, true, &arguments).await;
    let settings = |certificate: bool| {
        let mut settings = cluster.settings(0);
        settings.tls = Some(ClientTlsSettings {
            ca: Some(cluster.path("ca.pem")),
            client_certificate: certificate.then(|| CertificateFiles {
                cert: cluster.path("client.pem"),
                key: cluster.path("client.key"),
            }),
            server_name: Some("etcd.test".to_owned()),
        });
        settings
    };
    let client = EtcdClient::load(settings(true)).unwrap();
    cluster.until_ready_for(&client).await;
    assert!(client.commit(&create("k", "v")).await.unwrap().succeeded);
    let mut watch = client.watch(KeyRange::one("k"), 1);
    assert_eq!(next_events(&mut watch).await.len(), 1);
    let stranger = EtcdClient::load(settings(false)).unwrap();
    let error = stranger.get(b"k").await.unwrap_err();
    let is_refused = matches!(error, EtcdError::Interrupted(_) | EtcdError::Unreachable(_));
    assert!(is_refused, "{error:?}");
    let error = cluster.client(0).get(b"k").await.unwrap_err();
    assert!(matches!(error, EtcdError::Unreachable(_)), "{error:?}");
}
