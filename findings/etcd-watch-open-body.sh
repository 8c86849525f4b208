#!/usr/bin/env bash
# etcd: over HTTP/1.1 a watch whose request stays open is answered only if it says `Connection: close`.
#
# Versions: etcd 3.4.23 (Debian 3.4.23-4+b4, Go 1.19), Python 3.11 only to write the request.
# `/v3/watch` is a stream in both directions: each object in the body is a request, such as one for a sign of life, which
# etcd sends by itself only every ten minutes.
# One expects that the first object is answered when it has come, as over gRPC, whatever becomes of the connection later.
# Go's server reads what is left of a body before it sends the head of an answer, so that the connection can be used again:
# as long as the body stays open, nothing comes at all. If the connection ends anyway it does not, and both ways are open.
# Seen:
#   Connection: keep-alive: silent, silent
#   Connection: close: created, progress
set -euo pipefail
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q etcd-server=3.4.23-4+b4 >/dev/null 2>&1
dpkg -x etcd-server_*.deb .
usr/bin/etcd --data-dir data --listen-peer-urls http://127.0.0.1:23791 --listen-client-urls http://127.0.0.1:23790 \
    --advertise-client-urls http://127.0.0.1:23790 >log 2>&1 &
server=$!
cat >watch.py <<'PYTHON'
import json
import socket
import time
import urllib.request

for _ in range(200):
    try:
        urllib.request.urlopen("http://127.0.0.1:23790/health", timeout=1)
        break
    except OSError:
        time.sleep(0.05)


def send(stream, request):
    line = json.dumps(request).encode() + b"\n"
    stream.sendall(b"%x\r\n%s\r\n" % (len(line), line))


def answer(stream, word):
    """Reads for two seconds, or until this word has come."""
    read, end = b"", time.monotonic() + 2
    while word not in read and (left := end - time.monotonic()) > 0:
        stream.settimeout(left)
        try:
            read += stream.recv(4096)
        except TimeoutError:
            break
    return word in read


for connection in ("keep-alive", "close"):
    stream = socket.create_connection(("127.0.0.1", 23790))
    head = f"POST /v3/watch HTTP/1.1\r\nHost: etcd\r\nTransfer-Encoding: chunked\r\nConnection: {connection}\r\n\r\n"
    stream.sendall(head.encode())
    send(stream, {"create_request": {"key": "YQ=="}})
    created = answer(stream, b'"created":true')
    send(stream, {"progress_request": {}})
    progress = answer(stream, b'"watch_id":"-1"')
    print(f"Connection: {connection}: {'created' if created else 'silent'}, {'progress' if progress else 'silent'}")
    stream.close()
PYTHON
seen=$(python3 watch.py)
echo "$seen"
[ "$seen" = 'Connection: keep-alive: silent, silent
Connection: close: created, progress' ]
