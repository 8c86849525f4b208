#!/usr/bin/env bash
# etcd: a write that is answered with "database space exceeded" may have been made.
#
# Version: etcd 3.4.23 (Debian 3.4.23-4+b4), one member with a quota of 16 MiB, which looks at the size of its store after each
# write (`--backend-batch-limit 1`) and not every tenth of a second, so that it shows each time.
# An error with code 8 (resource exhausted) reads like a refusal, after which nothing has changed.
# It is one for a write that comes when the store is full already. But of twenty writes of 1 MiB that come at once and cross
# the quota, some are answered with the same code and the same words, and are in the store, with their values.
# So a transaction that appends to a log and is told that there is no room may be in the log, and whoever takes that for a
# refusal tells his user that a change was not made which is live everywhere a moment later, or appends it a second time.
# After this answer the outcome is not known: read the key, or compare on it.
# Seen:
#   code of what is refused: 8
#   of those that came at once, some are there
#   one that came later is not there, code 8
set -euo pipefail
dir=$(mktemp -d)
trap 'kill "$etcd" 2>/dev/null || true; rm -rf "$dir"' EXIT
etcd=
(cd "$dir" && apt-get download -q etcd-server=3.4.23-4+b4 >/dev/null 2>&1)
dpkg-deb -x "$dir"/etcd-server_*.deb "$dir"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
peer=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/usr/bin/etcd" --data-dir "$dir/data" --quota-backend-bytes $((16 << 20)) --backend-batch-limit 1 --log-level error \
    --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer" 2>"$dir/log" &
etcd=$!
cat >"$dir/fill.py" <<'PYTHON'
import base64
import concurrent.futures
import json
import sys
import time
import urllib.error
import urllib.request


def call(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v3/{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def coded(data):
    return base64.b64encode(data).decode()


def write(name):
    return call("kv/put", {"key": coded(name), "value": coded(b"x" * (1 << 20))}).get("code")


def is_there(name):
    return bool(call("kv/range", {"key": coded(name)}).get("kvs"))


for _ in range(100):
    try:
        call("kv/range", {"key": coded(b"a")})
        break
    except OSError:
        time.sleep(0.1)
refused = {}
for burst in range(20):
    names = [b"key-%d-%d" % (burst, number) for number in range(20)]
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        codes = zip(names, pool.map(write, names))
    refused = {name: code for name, code in codes if code}
    if refused:
        break
there = sum(map(is_there, refused))
print(f"{there} of {len(refused)} are there", file=sys.stderr)
print("code of what is refused:", *set(refused.values()))
print("of those that came at once,", "some are there" if there else "none is there")
code = write(b"later")
print("one that came later", "is there," if is_there(b"later") else "is not there,", "code", code)
PYTHON
seen=$(python3 "$dir/fill.py" "$port")
echo "$seen"
[ "$seen" = 'code of what is refused: 8
of those that came at once, some are there
one that came later is not there, code 8' ]
