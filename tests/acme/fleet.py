"""Proxies of a fleet with one certificate: one of them orders it, every one answers the authority, and all serve it."""

import hashlib
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from authority import KID, Front, Pebble, make_certificate
from harness import Process, Suite, binary, folder, free_port, wait_until

DOMAIN = "agents.test"


class Node:
    """A proxy of the fleet, with an empty folder."""

    def __init__(self, path, name, etcd, directory):
        self.path, self.name = path, name
        self.tls, self.admin = free_port(), free_port()
        self.config = path / f"{name}.toml"
        self.config.write_text(f"""
workers = 1
access_log.format = "off"
[admin]
address = "127.0.0.1:{self.admin}"
[history]
path = "history-{name}"
[shutdown]
grace = "2s"
[fleet]
etcd = ["http://127.0.0.1:{etcd}"]
node = "{name}"
lease = "5s"
[sessions]
keys = [{{ file = "sessions.key" }}]
[[listeners]]
address = "127.0.0.1:{self.tls}"
[listeners.tls.acme]
domains = ["{DOMAIN}"]
directory = "https://127.0.0.1:{directory}/dir"
ca = "ca.pem"
eab = {{ kid = "{KID}", key_file = "eab.key" }}
[releases.blue]
endpoints = ["http://127.0.0.1:9"]
[[routes]]
name = "all"
split = {{ blue = 1 }}
""")

    def start(self):
        self.process = Process(f"fleet-{self.name}", [binary(), "serve", "--config", str(self.config)], self.path)
        self.process.wait_for_port(self.admin)
        return self

    def certificate(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/v1/status", timeout=10) as answer:
            return json.load(answer)["certificates"][0]

    def reload(self):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/v1/reload", method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def served(self):
        """Digest of the certificate that a handshake gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.tls), 10) as plain:
            with context.wrap_socket(plain, server_hostname=DOMAIN) as stream:
                return hashlib.sha256(stream.getpeercert(binary_form=True)).hexdigest()

    def kept(self):
        """The file with key and chain."""
        found = list((self.path / f"history-{self.name}").glob(f"acme/*/{DOMAIN}.pem"))
        return found[0].read_text() if found else None


def start_etcd(path):
    client, peer = free_port(), free_port()
    urls = [f"http://127.0.0.1:{port}" for port in (client, peer)]
    command = [
        "etcd", "--data-dir", str(path / "etcd"), "--listen-client-urls", urls[0], "--advertise-client-urls", urls[0],
        "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1], "--initial-cluster", f"default={urls[1]}",
    ]
    Process("etcd", command, path).wait_for_port(client)
    return client


def stored(etcd):
    """All keys of the fleet's certificates in etcd, with their values."""
    command = ["etcdctl", "--endpoints", f"http://127.0.0.1:{etcd}", "get", "--prefix", "switchback/documents/acme"]
    found = subprocess.run(command, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    return found.stdout.decode()


def orders_once(path):
    path.mkdir()
    make_certificate(path)
    (path / "sessions.key").write_text("k" * 40)
    etcd = start_etcd(path)
    # Known before the nodes are: the authority asks the second node alone.
    second_tls = free_port()
    pebble = Pebble(path, free_port(), second_tls)
    front = Front(path, pebble)
    nodes = [Node(path, name, etcd, front.port) for name in ("a", "b", "c")]
    a, b, late = nodes
    b.config.write_text(b.config.read_text().replace(f"127.0.0.1:{b.tls}", f"127.0.0.1:{second_tls}"))
    b.tls = second_tls
    a.start()
    # The authority is not there yet.
    wait_until("a tries", lambda: a.certificate()["failures"], 20)
    b.start()
    wait_until("b knows who orders", lambda: b.certificate().get("ordered_by") == "a", 20)
    pebble.start()
    begin = time.monotonic()
    a.reload()
    wait_until("a and b have it", lambda: all(one.certificate().get("not_after") for one in (a, b)), 20)
    took = time.monotonic() - begin
    assert a.served() == b.served() and a.kept() == b.kept(), "two certificates"
    assert "certificate issued" in a.process.log.read_text(), a.process.log.read_text()
    assert "certificate taken from the fleet" in b.process.log.read_text(), b.process.log.read_text()
    late.start()
    wait_until("a late node serves it", lambda: late.certificate().get("not_after") and late.served() == a.served(), 10)
    assert late.kept() == a.kept()
    assert front.placed == 1, f"{front.placed} orders"
    found = stored(etcd)
    assert "BEGIN CERTIFICATE" in found and "key_pkcs8" in found, found
    assert "PRIVATE KEY" not in found, "a private key is in etcd as it is"
    a.process.child.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    heirs = [b, late]
    wait_until("another one orders", lambda: any(one.certificate().get("next_order") for one in heirs), 20)
    lapsed = time.monotonic() - killed
    assert front.placed == 1 and sum(not one.certificate().get("next_order") for one in heirs) == 1
    for one in heirs:
        one.process.stop()
    pebble.stop()
    return f"one order; served by both {took:.1f} s after the authority was there; another one orders {lapsed:.1f} s after a kill"


if __name__ == "__main__":
    suite = Suite()
    with folder() as path:
        suite.check("of a fleet one orders, every node answers and all serve", orders_once, path / "fleet", seconds=90)
        suite.finish()
