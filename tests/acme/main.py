"""Certificates over ACME: issued by both challenges, renewed under load, and kept through every failure of an authority."""

import contextlib
import http.server
import json
import os
import pathlib
import socket
import socketserver
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from authority import ASKED, KID, Front, Pebble, make_certificate
from fleet import orders_once
from harness import Process, Suite, binary, folder, free_port, wait_until

# By each challenge.
DOMAINS = 25


class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Agents(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


class World:
    """A proxy with 50 domains and one that cannot be validated, its authority, and an agent."""

    def __init__(self, path):
        self.path = path
        make_certificate(path)
        self.agent = Agents(("127.0.0.1", 0), Agent)
        threading.Thread(target=self.agent.serve_forever, daemon=True).start()
        self.plain, self.tls, self.other, self.admin = (free_port() for _ in range(4))
        self.pebble = Pebble(path, self.plain, self.tls)
        self.front = Front(path, self.pebble)
        self.by_tls = [f"t{number}.test" for number in range(DOMAINS)]
        self.by_http = [f"h{number}.test" for number in range(DOMAINS)]
        self.good = {**dict.fromkeys(self.by_tls, self.tls), **dict.fromkeys(self.by_http, self.other)}
        self.number = 0
        self.config = path / "switchback.toml"
        self.config.write_text(self.configuration("history", self.plain, self.tls, self.other, self.admin))
        self.process = self.start(self.config)

    def configuration(self, history, plain, tls, other, admin):
        def acme(domains, directory, more):
            return f"""
[listeners.tls.acme]
domains = {json.dumps(domains)}
contact = ["mailto:ops@example.com"]
directory = "https://127.0.0.1:{self.front.port}{directory}"
ca = "ca.pem"
eab = {{ kid = "{KID}", key_file = "eab.key" }}
{more}
"""

        return f"""
workers = 2
access_log.format = "off"
[admin]
address = "127.0.0.1:{admin}"
[history]
path = "{history}"
[shutdown]
grace = "5s"
[[listeners]]
address = "127.0.0.1:{plain}"
[[listeners]]
address = "127.0.0.1:{tls}"
{acme(self.by_tls, "/dir", 'path = "by-tls"')}
[[listeners]]
address = "127.0.0.1:{other}"
{acme([*self.by_http, "bad.test"], "/ari-dir", 'path = "by-http"' + chr(10) + 'challenge = "http-01"')}
[releases.blue]
endpoints = ["http://127.0.0.1:{self.agent.server_port}"]
[[routes]]
name = "all"
split = {{ blue = 1 }}
"""

    def start(self, config, *arguments):
        self.number += 1
        command = [binary(), "serve", "--config", str(config), *arguments]
        process = Process(f"switchback.{self.number}", command, self.path)

        def is_ready():
            assert process.child.poll() is None, process.log.read_text()
            return ": ready " in process.log.read_text()

        wait_until("ready", is_ready, 60)
        return process

    def certificates(self, admin=None):
        """Status of the domains that can be validated, and of the one that cannot."""
        with urllib.request.urlopen(f"http://127.0.0.1:{admin or self.admin}/v1/status", timeout=10) as answer:
            found = {one["domain"]: one for one in json.load(answer)["certificates"]}
        bad = found.pop("bad.test")
        assert list(found) == list(self.good), list(found)
        return found, bad

    def ends(self):
        return {name: one.get("not_after") for name, one in self.certificates()[0].items()}

    def cli(self, *arguments):
        environment = {**os.environ, "SWITCHBACK_ADMIN": f"http://127.0.0.1:{self.admin}"}
        return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=20, env=environment)

    def wait_until_renewed(self, before, seconds=75):
        def is_renewed():
            now = self.ends()
            return all(now[name] and now[name] != end for name, end in before.items())

        try:
            wait_until("renewed", is_renewed, seconds)
        except AssertionError as late:
            log = self.process.log.read_text().splitlines()
            raise AssertionError("\n".join([str(late), *log[-20:]])) from None


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


@contextlib.contextmanager
def connected(port, name):
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        with CONTEXT.wrap_socket(plain, server_hostname=name) as stream:
            yield stream


def ask(stream, name):
    stream.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"ok"):
        part = stream.recv(4096)
        if not part:
            raise EOFError(f"the response ends after {head!r}")
        head += part
    assert head.startswith(b"HTTP/1.1 200 "), head
    return b"\nconnection: close" not in head.lower()


def described(certificate):
    """Names, issuer and serial of a certificate, DER."""
    command = ["openssl", "x509", "-inform", "DER", "-noout", "-serial", "-issuer", "-ext", "subjectAltName"]
    return subprocess.run(command, input=certificate, check=True, capture_output=True).stdout.decode()


def served(port, name):
    with connected(port, name) as stream:
        return stream.getpeercert(binary_form=True)


class Load:
    """Requests on new connections and on kept ones, for all domains in turn."""

    def __init__(self, world):
        self.world, self.stop = world, threading.Event()
        self.lost, self.done = [], {"new": 0, "kept": 0}
        self.lock = threading.Lock()
        names = list(world.good.items())
        work = [lambda part=part: self.new(names[part::2]) for part in range(2)]
        work += [lambda one=one: self.kept(*one) for one in (names[0], names[-1])]
        self.threads = [threading.Thread(target=self.run, args=(one,), daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def run(self, work):
        try:
            work()
        except Exception as error:
            with self.lock:
                self.lost.append(repr(error))

    def count(self, kind):
        with self.lock:
            self.done[kind] += 1

    def new(self, names):
        while not self.stop.is_set():
            for name, port in names:
                with connected(port, name) as stream:
                    ask(stream, name)
                self.count("new")
                time.sleep(0.002)

    def kept(self, name, port):
        """One connection for the whole time, unless a process that is left asks to close it."""
        while not self.stop.is_set():
            with connected(port, name) as stream:
                while not self.stop.wait(0.02):
                    goes_on = ask(stream, name)
                    self.count("kept")
                    if not goes_on:
                        break

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.lost, f"{len(self.lost)} lost of {self.done}: {self.lost[:5]}"
        return f"0 lost of {self.done['new']} new connections and {self.done['kept']} requests on kept ones"


def refused_without(world):
    """Before the first certificate, and without a directory that answers."""
    name, port = next(iter(world.good.items()))
    try:
        served(port, name)
        raise AssertionError("a handshake without a certificate")
    except ssl.SSLError as refused:
        assert "ACCESS_DENIED" in str(refused).upper().replace(" ", "_"), refused
    fails = wait_until("an error", lambda: world.certificates()[0][name].get("error"), 20)
    assert "directory:" in fails or "account:" in fails, fails
    log = world.process.log.read_text()
    assert "handshakes are refused until" in log and "hint=" in log, log
    status = world.cli("status").stdout
    assert f"NO CERTIFICATE: {name}, so handshakes are refused" in status, status
    assert "41 more certificates" in status, status


def issued(world):
    world.pebble.start()
    # A person who has mended it does not wait for the next try.
    reloaded = world.cli("reload")
    assert reloaded.returncode == 0, reloaded
    begin = time.monotonic()
    wait_until("all issued", lambda: all(world.ends().values()), 75)
    took = time.monotonic() - begin
    for name, port in world.good.items():
        # The name as a dNSName, DER.
        assert bytes([0x82, len(name)]) + name.encode() in served(port, name), name
    text = described(served(world.tls, world.by_tls[0]))
    assert f"DNS:{world.by_tls[0]}\n" in text and text.count("DNS:") == 1, text
    for part in ("by-tls", "by-http"):
        for one in [world.path / part, *(world.path / part).rglob("*")]:
            mode = stat.S_IMODE(one.stat().st_mode)
            assert mode == (0o700 if one.is_dir() else 0o600), f"{one}: {mode:o}"
    return f"{len(world.good)} domains in {took:.1f} s"


def unbound(world):
    """An account that is not bound, or by another key, is refused, and the status says why."""
    (world.path / "other.key").write_text("A" * 64)
    ports = [free_port() for _ in range(4)]
    text = world.configuration("unbound", *ports).replace('path = "by-', 'path = "unbound-')
    bound = f'eab = {{ kid = "{KID}", key_file = "eab.key" }}'
    first, rest = text.split(bound, 1)
    config = world.path / "unbound.toml"
    config.write_text(first + rest.replace("eab.key", "other.key"))
    process = world.start(config)
    try:
        def refusals():
            found, bad = world.certificates(ports[3])
            return found[world.by_tls[0]].get("error"), found[world.by_http[0]].get("error")

        errors = wait_until("refusals", lambda: all(refusals()) and refusals(), 20)
        assert "account:" in errors[0] and "externalAccountRequired" in errors[0], errors
        assert "account:" in errors[1] and "externalAccountRequired" not in errors[1], errors
        assert "look at `contact` and `eab`" in process.log.read_text(), process.log.read_text()
    finally:
        process.stop()
    return errors[1]


def unknown_token(world):
    """What is no question of an order goes to the routes."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.plain}/.well-known/acme-challenge/none") as answer:
        assert answer.read() == b"ok"


def invalid(world):
    """A domain that cannot be validated holds up no other, and its status says why."""
    _, bad = world.certificates()
    # The authority may close a connection before the first answer: such an error is followed by another attempt.
    wait_until("the reason", lambda: "(connection)" in world.certificates()[1].get("error", ""), 30)
    _, bad = world.certificates()
    assert "not_after" not in bad, bad
    assert bad["next_order"] > bad.get("not_before", ""), bad
    with urllib.request.urlopen(f"http://127.0.0.1:{world.admin}/metrics") as answer:
        metrics = answer.read().decode()
    for wanted in (
        'switchback_acme_certificate_expiry_timestamp_seconds{domain="bad.test"} 0\n',
        'switchback_acme_orders_total{domain="bad.test",outcome="failed"}',
        'switchback_acme_orders_total{domain="t0.test",outcome="issued"}',
        'switchback_acme_failures{domain="t0.test"} 0\n',
    ):
        assert wanted in metrics, [line for line in metrics.splitlines() if "acme" in line]


def one_orders(world):
    """A second process with the same folders serves what the first one has ordered."""
    ports = [free_port() for _ in range(4)]
    config = world.path / "second.toml"
    config.write_text(world.configuration("second", *ports))
    second = world.start(config)
    try:
        def follows():
            found, bad = world.certificates(ports[3])
            return all(one["ordered_elsewhere"] and "next_order" not in one for one in [bad, *found.values()])

        wait_until("it waits for the lock", follows, 20)
        name, port = world.by_http[0], world.other
        before = served(port, name)

        def is_the_same():
            latest = served(port, name)
            return latest != before and served(ports[2], name) == latest

        # Renewed by the first, within the time that the authority has suggested.
        wait_until("the second serves the renewed one", is_the_same, 40)
        assert "certificate issued" not in second.log.read_text(), second.log.read_text()
    finally:
        second.stop()


def renewed(world):
    """All are renewed under load, and the half of them after another process has taken over."""
    load, before = Load(world), world.ends()
    first, world.process = world.process, world.start(world.config, "--takeover")
    world.wait_until_renewed(before)
    report = load.finish()
    assert "certificate issued" in world.process.log.read_text(), world.process.log.read_text()
    left = first.log.read_text().split("a new process serves", 1)
    assert len(left) == 2 and "certificate issued" not in left[1], left[-1]
    assert world.front.replaced > 0, "no order has said which certificate it replaces"
    return report


def limited(world):
    """At a limit of the authority the old certificates stay, and the pause that it asks for is kept."""
    load = Load(world)
    world.front.limited = True

    def refused():
        found, _ = world.certificates()
        return [one for one in found.values() if "rateLimited" in one.get("error", "")]

    one = wait_until("a refusal", refused, 60)[0]
    assert one["failures"] >= 1 and one["not_after"], one
    tries = world.process.log.read_text()
    assert f'domain="{one["domain"]}"' in tries or f"domain={one['domain']}" in tries, tries[-2000:]
    status = world.cli("status").stdout
    assert f"CERTIFICATE FAILS: {one['domain']}" in status, status
    described(served(world.good[one["domain"]], one["domain"]))
    time_asked = time.monotonic()
    world.front.limited = False
    wait_until("issued after the limit", lambda: not world.certificates()[0][one["domain"]].get("error"), 60)
    took = time.monotonic() - time_asked
    return f"{load.finish()}; issued {took:.1f} s after the limit of {ASKED} s"


def account_lost(world):
    """A directory that knows no account any more gets a new one; the old certificates are served until then."""
    load, before = Load(world), world.ends()
    name, port = world.by_tls[0], world.tls

    def issuer():
        return described(served(port, name)).split("issuer=")[1].split("\n")[0]

    issuer_before = issuer()
    world.pebble.stop()
    world.pebble.start()
    world.wait_until_renewed(before)
    wait_until("another issuer", lambda: issuer() != issuer_before, 60)
    lost = list(world.path.glob("by-*/*/account.lost.json"))
    assert len(lost) == 2, lost
    assert "registering a new one" in world.process.log.read_text()
    return load.finish()


def main():
    suite = Suite()
    with folder() as path:
        world = World(path)
        suite.check("handshakes are refused until there is a certificate", refused_without, world)
        suite.check("certificates are issued by both challenges", issued, world, seconds=90)
        suite.check("an account that is not bound as the authority wants is refused", unbound, world)
        suite.check("other requests below the path of challenges go to the routes", unknown_token, world)
        suite.check("a domain that cannot be validated holds up no other", invalid, world)
        suite.check("of two processes with one folder one orders", one_orders, world)
        suite.check("certificates are renewed under load and by the process that takes over", renewed, world, seconds=100)
        suite.check("at a limit of the authority the old certificates stay", limited, world, seconds=150)
        suite.check("a lost account is registered anew", account_lost, world, seconds=150)
        suite.check("of a fleet one orders, every node answers and all serve", orders_once, path / "fleet", seconds=90)
        suite.finish()


main()
