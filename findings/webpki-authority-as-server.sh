#!/usr/bin/env bash
# webpki (rustls): the certificate that `openssl req -x509` makes is refused for a server, even by a client that trusts it.
#
# Versions: rustls-webpki 0.103.16, OpenSSL 3.0 (Debian 12).
# By default that command writes `CA:TRUE`, so its certificate is an authority and, used by a server, a leaf as well.
# OpenSSL, and curl with it, accepts it with itself as the trusted file; webpki has no way to: the check comes before
# the search for an issuer.
# With `-addext basicConstraints=critical,CA:FALSE` both accept it.
# Seen:
#   CA:TRUE openssl: OK
#   CA:TRUE webpki: CaUsedAsEndEntity
#   CA:FALSE openssl: OK
#   CA:FALSE webpki: OK
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
rustls-pki-types = { version = "=1.15.1", features = ["std"] }
rustls-webpki = { version = "=0.103.16", features = ["ring", "std"] }
TOML
cat >src/main.rs <<'RUST'
use rustls_pki_types::{pem::PemObject, CertificateDer, UnixTime};
use webpki::{anchor_from_trusted_cert, EndEntityCert, KeyUsage};

fn main() {
    let own = CertificateDer::from_pem_file(std::env::args().nth(1).unwrap()).unwrap();
    let anchors = [anchor_from_trusted_cert(&own).unwrap()];
    let leaf = EndEntityCert::try_from(&own).unwrap();
    let usage = KeyUsage::server_auth();
    match leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], UnixTime::now(), usage, None, None) {
        Ok(_) => println!("OK"),
        Err(error) => println!("{error:?}"),
    }
}
RUST
cargo build --quiet
try() { # what it says of itself
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
        -days 2 -subj /CN=server -addext subjectAltName=DNS:server.test "${@:2}" 2>/dev/null
    openssl verify -purpose sslserver -verify_hostname server.test -CAfile cert.pem cert.pem >said 2>&1 || true
    echo "$1 openssl: $(sed -n 's/^cert.pem: //p' said)"
    echo "$1 webpki: $(target/debug/finding cert.pem)"
}
seen=$(try CA:TRUE && try CA:FALSE -addext basicConstraints=critical,CA:FALSE)
echo "$seen"
[ "$seen" = 'CA:TRUE openssl: OK
CA:TRUE webpki: CaUsedAsEndEntity
CA:FALSE openssl: OK
CA:FALSE webpki: OK' ]
