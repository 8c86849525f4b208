"""An authority: pebble, a name server for its validations, and a front that limits, suggests and counts."""

import base64
import http.client
import http.server
import json
import os
import secrets
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time

from harness import Process, free_port, wait_until

# Seconds that a certificate lives.
LIFETIME = 45
# Seconds after the issue in which the front suggests a renewal.
SUGGESTED = (15, 17)
# Seconds that the front asks to wait at its limit.
ASKED = 4
# Name of the key to which accounts are bound.
KID = "kid-1"
# Seconds below which the authority waits before a validation, at random.
SLOW = 3


def make_certificate(path):
    """An authority and its certificate for 127.0.0.1."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=path)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=directory authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=directory", "-keyout", "directory.key", "-out", "directory.csr")
    (path / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "directory.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "extensions", "-out", "directory.pem")


class Names:
    """A name server: every name is 127.0.0.1, but for those that begin with `bad`, where nobody listens."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            asked, client = self.socket.recvfrom(4096)
            end = asked.index(b"\0", 12)
            question, (kind, _) = asked[12 : end + 5], struct.unpack(">HH", asked[end + 1 : end + 5])
            address = b"\x7f\0\0\x09" if question[1:4] == b"bad" else b"\x7f\0\0\x01"
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + address if kind == 1 else b""
            head = asked[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if answer else 0, 0, 0)
            self.socket.sendto(head + question + answer, client)


class Pebble:
    """The test server of Let's Encrypt. What it knows is in its memory: a new one has lost all accounts.

    It registers only accounts that are bound to one that it knows.
    """

    def __init__(self, path, http_port, tls_port):
        self.path, self.names = path, Names()
        self.port, management = free_port(), free_port()
        keys = {KID: base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()}
        (path / "eab.key").write_text(keys[KID] + "\n")
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(path / "directory.pem"),
            "privateKey": str(path / "directory.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": True,
            "externalAccountMACKeys": keys,
            "certificateValidityPeriod": LIFETIME,
        }
        (path / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.number, self.process = 0, None

    def start(self):
        self.number += 1
        program = shutil.which("pebble") or "/usr/sbin/pebble"
        command = [program, "-config", str(self.path / "pebble.json"), "-dnsserver", f"127.0.0.1:{self.names.port}"]
        # It refuses one nonce in ten, and every order is validated anew, some seconds later.
        environment = {
            **os.environ, "PEBBLE_WFE_NONCEREJECT": "10", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_VA_SLEEPTIME": str(SLOW),
        }
        self.process = Process(f"pebble.{self.number}", command, self.path, env=environment)
        self.process.wait_for_port(self.port)

    def stop(self):
        self.process.stop()


class Front:
    """A directory in front of pebble. Below `/ari-dir` it suggests when to renew, and at its limit it takes no orders."""

    def __init__(self, path, pebble):
        self.limited, self.orders, self.placed, self.replaced = False, 0, 0, 0
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                # In the thread of the connection: nobody else waits for this handshake.
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def do_GET(self):
                if self.path.startswith("/ari/"):
                    times = [time.gmtime(time.time() + seconds) for seconds in SUGGESTED]
                    start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", one) for one in times)
                    window = {"suggestedWindow": {"start": start, "end": end}}
                    return self.answer(200, json.dumps(window).encode(), [("Retry-After", "3600")])
                self.forward("GET", b"")

            def do_HEAD(self):
                self.forward("HEAD", b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.startswith("/order-plz"):
                    if front.limited:
                        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders",
                                   "status": 429}
                        more = [("Retry-After", str(ASKED)), ("Content-Type", "application/problem+json")]
                        return self.answer(429, json.dumps(problem).encode(), more)
                    front.orders += 1
                self.forward("POST", body)

            def forward(self, method, body):
                suggests = self.path == "/ari-dir"
                upstream = http.client.HTTPSConnection("127.0.0.1", pebble.port, timeout=20, context=trusting)
                fields = {"Host": self.headers["host"], "Content-Type": "application/jose+json"}
                path = "/dir" if suggests else self.path
                try:
                    upstream.request(method, path, body or None, fields)
                    response = upstream.getresponse()
                    text = response.read()
                finally:
                    upstream.close()
                if suggests:
                    directory = json.loads(text)
                    directory["renewalInfo"] = f"https://{self.headers['host']}/ari"
                    text = json.dumps(directory).encode()
                if self.path.startswith("/order-plz") and response.status == 201:
                    front.placed += 1
                text = self.replacing(text, body)
                names = ("replay-nonce", "location", "content-type", "link")
                kept = [(name, value) for name, value in response.getheaders() if name.lower() in names]
                self.answer(response.status, text, kept)

            def replacing(self, text, body):
                """Pebble does not know which certificate an order replaces; a directory says it back."""
                if not self.path.startswith("/order-plz"):
                    return text
                payload = json.loads(body)["payload"]
                replaces = json.loads(base64.urlsafe_b64decode(payload + "==")).get("replaces")
                order = json.loads(text)
                if replaces is None or "status" not in order or "authorizations" not in order:
                    return text
                front.replaced += 1
                return json.dumps({**order, "replaces": replaces}).encode()

            def answer(self, status, body, fields):
                self.send_response(status)
                for name, value in fields:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                # A client that is stopped in the middle of an order.
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path / "directory.pem", path / "directory.key")
        trusting = ssl.create_default_context(cafile=path / "ca.pem")
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
