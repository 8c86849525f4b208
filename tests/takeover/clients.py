"""Clients under load: each notes what it lost, and goes on."""

import base64
import json
import os
import socket
import ssl
import struct
import threading
import time
import urllib.request


class Load:
    """Clients in threads of their own, with what they did and what went wrong, until they are stopped."""

    def __init__(self):
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.done, self.lost = {}, []
        self.threads = []

    def start(self, name, once, count=1):
        def loop():
            while not self.stop.is_set():
                try:
                    once()
                    with self.lock:
                        self.done[name] = self.done.get(name, 0) + 1
                except Exception as error:
                    with self.lock:
                        self.lost.append(f"{name}: {error!r}")

        for _ in range(count):
            thread = threading.Thread(target=loop, daemon=True)
            thread.start()
            self.threads.append(thread)

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 30)


def read_response(file):
    """The status, the fields and the body of a response whose length is known."""
    line = file.readline()
    if not line:
        raise EOFError("no response")
    fields = {}
    while (field := file.readline()) not in (b"\r\n", b""):
        name, _, value = field.partition(b":")
        fields[name.strip().lower()] = value.strip()
    body = file.read(int(fields.get(b"content-length", 0)))
    return int(line.split()[1]), fields, body


def get(stream, file, body=b""):
    head = f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n"
    stream.sendall(head.encode() + body)
    status, fields, _ = read_response(file)
    assert status == 200, f"status {status}"
    return fields.get(b"connection") != b"close"


def fresh(port):
    """A connection for one request."""
    with connect(port) as stream, stream.makefile("rb") as file:
        get(stream, file, b"hello")


def kept(port):
    """A connection with requests until the proxy asks to close it, or for a while."""
    with connect(port) as stream, stream.makefile("rb") as file:
        for _ in range(200):
            if not get(stream, file):
                return
            time.sleep(0.001)


class Tls:
    """Connections over TLS that resume the session of the one before."""

    def __init__(self, port, authority):
        self.port, self.session = port, None
        self.context = ssl.create_default_context(cafile=authority)
        # Version 1.2, whose session is there once the handshake is over.
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.resumed = self.full = 0

    def once(self):
        with connect(self.port) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost", session=self.session) as stream:
                if stream.session_reused:
                    self.resumed += 1
                else:
                    self.full += 1
                self.session = stream.session
                with stream.makefile("rb") as file:
                    get(stream, file)


def http2(port):
    """An HTTP/2 connection with requests until GOAWAY, after which no new one is sent, or for a while."""

    def frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    with connect(port) as stream, stream.makefile("rb") as file:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        last, is_leaving = None, False
        for number in range(1, 400, 2):
            # GET, http, /, and the authority as a literal.
            head = b"\x82\x86\x84\x01\x06a.test"
            stream.sendall(frame(1, 0x5, number, head))
            status = None
            while True:
                start = file.read(9)
                if len(start) < 9:
                    raise EOFError(f"no response on stream {number}, last of GOAWAY: {last}")
                length, kind, flags = int.from_bytes(start[:3], "big"), start[3], start[4]
                on, payload = int.from_bytes(start[5:], "big"), file.read(length)
                if kind == 4 and not flags & 1:
                    stream.sendall(frame(4, 1, 0))
                elif kind == 6 and not flags & 1:
                    stream.sendall(frame(6, 1, 0, payload))
                elif kind == 7:
                    is_leaving, last = True, int.from_bytes(payload[:4], "big")
                    if last < number:
                        # Not processed, as the protocol says: a client sends it again.
                        return
                elif kind == 3:
                    raise EOFError(f"stream {number} was reset: {payload.hex()}")
                elif kind == 1 and on == number:
                    # After changes of the compression table's size.
                    status = next(byte for byte in payload if byte & 0xE0 != 0x20)
                if kind in (0, 1) and on == number and flags & 1:
                    break
            assert status == 0x88, f"status {status:#x}"
            if is_leaving:
                return


class Stream:
    """An event stream that is open across a hand-over: every event has to come."""

    def __init__(self, port):
        self.socket = connect(port)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(b"GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n")
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def finish(self):
        events = []
        while True:
            size = self.file.readline()
            assert size.endswith(b"\r\n"), f"the stream broke off after {events}: {size!r}"
            chunk = self.file.read(int(size, 16) + 2)
            if size == b"0\r\n":
                break
            # Several may have come together.
            events += [int(number) for number in chunk.split()[1::2]]
        # A client goes by itself: its connection was promised to stay.
        self.file.close()
        self.socket.close()
        assert events == list(range(len(events))) and events, f"events are missing: {events}"
        return len(events)


class Websocket:
    """A WebSocket that is open across a hand-over: what is sent comes back."""

    def __init__(self, port):
        self.socket = connect(port)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" in self.file.readline()
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def echo(self, count=20):
        for number in range(count):
            # Masked with zeros, so that the echo is the same bytes.
            sent = bytes([0x82, 0x84, 0, 0, 0, 0]) + struct.pack(">I", number)
            self.socket.sendall(sent)
            came = self.file.read(len(sent))
            assert came == sent, f"{came!r} came back for {sent!r}"

    def finish(self):
        self.echo()
        self.file.close()
        self.socket.close()


class Operator:
    """Switches and rolls back, each on a connection of its own, and notes the longest time that either took."""

    def __init__(self, port):
        self.port, self.longest = port, 0.0

    def send(self, path, body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def once(self):
        for path, body in [("/v1/routes/all/switch", {"to": "green"}), ("/v1/rollback", {})]:
            begin = time.monotonic()
            self.send(path, body)
            self.longest = max(self.longest, time.monotonic() - begin)
        time.sleep(0.01)
