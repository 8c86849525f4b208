#!/usr/bin/env bash
# etcd: with `--client-cert-auth` its JSON gateway works only if the server's own certificate is for clients as well.
#
# Versions: etcd 3.4.23 (Debian 3.4.23-4+b4), curl and OpenSSL of the system.
# One expects that a certificate for servers (`serverAuth`) is enough for a server, as it is for gRPC on the same port.
# The gateway is a client of its own member, and shows it the member's certificate; what the caller gets is a 503 about a
# connection, and nothing about a certificate.
# So who reads etcd over JSON has to ask for `serverAuth, clientAuth` in the certificates of its members.
# Seen: the member's certificate, the status and the error
#   serverAuth: 503 connection closed
#   serverAuth,clientAuth: 200
set -euo pipefail
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q etcd-server=3.4.23-4+b4 >/dev/null 2>&1
dpkg -x etcd-server_*.deb .
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${key[@]}" -days 2 -subj "/CN=authority" -keyout ca.key -out ca.pem 2>/dev/null
certificate() { # name, purposes
    openssl req "${key[@]}" -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n' "$2" >extensions
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out "$1.pem" 2>/dev/null
}
certificate client clientAuth
ask() { curl -s -m 5 --cacert ca.pem --cert client.pem --key client.key "https://127.0.0.1:23790$1" "${@:2}"; }
seen=
for purposes in serverAuth serverAuth,clientAuth; do
    certificate server "$purposes"
    usr/bin/etcd --data-dir "data-$purposes" --listen-peer-urls http://127.0.0.1:23791 \
        --listen-client-urls https://127.0.0.1:23790 --advertise-client-urls https://127.0.0.1:23790 \
        --cert-file server.pem --key-file server.key --trusted-ca-file ca.pem --client-cert-auth >log 2>&1 &
    server=$!
    for _ in $(seq 200); do
        [ "$(ask /health || true)" != '{"health":"true"}' ] || break
        sleep 0.05
    done
    status=$(ask /v3/kv/range -d '{"key":"YQ=="}' -o answer -w '%{http_code}')
    message=$(sed -n 's/.*"message":"\([^"]*\)".*/ \1/p' answer)
    seen+="$purposes: $status$message"$'\n'
    kill "$server"
    wait "$server" || true
    server=
done
printf '%s' "$seen"
[ "$seen" = 'serverAuth: 503 connection closed
serverAuth,clientAuth: 200
' ]
