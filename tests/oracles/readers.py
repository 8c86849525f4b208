"""The readers that the codec is compared with. Each turns cases into readings.

A reading is what verdicts/message.rs calls one: `messages` that were read to their end, each with `start`, `target`,
`fields`, `body` and `trailers`, and an `outcome`: `done`, `more`, `reject` or `close`.
"""

import json
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import h11

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

import harness  # noqa: E402


def text(data):
    return bytes(data).decode("latin-1")


def pairs(fields):
    return [[text(name).lower(), text(value)] for name, value in fields]


def questions(cases):
    keys = ("id", "kind", "asked")
    return "".join(
        json.dumps({key: case[key] for key in keys} | {"hex": case["data"].hex()}) + "\n" for case in cases
    )


def ask(command, cases):
    """Runs a program that reads JSON lines and writes JSON lines: its readings by id."""
    done = subprocess.run(command, input=questions(cases), stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["id"]: answer for answer in answers}


def llhttp(cases):
    return ask([harness.node_binary(), HERE / "llhttp.js"], cases)


def h11_all(cases):
    return {case["id"]: h11_one(case) for case in cases}


def h11_one(case):
    if case["kind"] == "request":
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    else:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=case["asked"], target="/", headers=[("host", "a.example")]))
        connection.send(h11.EndOfMessage())
    messages, current = [], None
    reading = {"messages": messages, "outcome": "done", "reason": ""}
    try:
        connection.receive_data(case["data"])
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                current = message(text(event.method), text(event.target), event.headers)
            elif isinstance(event, h11.InformationalResponse):
                messages.append(message(str(event.status_code), "", event.headers))
            elif isinstance(event, h11.Response):
                current = message(str(event.status_code), "", event.headers)
            elif isinstance(event, h11.Data):
                current["body"] += text(event.data)
            elif isinstance(event, h11.EndOfMessage):
                current["trailers"] = pairs(event.headers)
                messages.append(current)
                current = None
                if case["kind"] == "response":
                    return reading
                connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return reading | {"outcome": "close"}
                connection.start_next_cycle()
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return reading
    except h11.RemoteProtocolError as error:
        # A truncated message and a malformed one are the same error; only its text differs.
        is_cut = "closed connection" in str(error) or "incomplete" in str(error)
        return reading | {"outcome": "more" if is_cut else "reject", "reason": str(error)}


def message(start, target, fields):
    raw = fields.raw_items() if hasattr(fields, "raw_items") else fields
    return {"start": start, "target": target, "fields": pairs(raw), "body": "", "trailers": []}


NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 5s;
    client_body_timeout 5s;
    lingering_close off;
    large_client_header_buffers 8 64k;
    client_max_body_size 0;
    merge_slashes off;
    server {{
        listen unix:{folder}/front;
        location / {{
            proxy_pass http://unix:{folder}/back:;
            proxy_http_version 1.0;
            proxy_ignore_client_abort on;
            proxy_set_header Host $http_host;
            proxy_set_header X-Seen-Host $host;
            proxy_set_header Connection close;
        }}
    }}
}}
"""


class Nginx:
    """nginx in front of a server of ours that records what nginx understood, request by request."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="oracles-")
        folder = Path(self.folder.name)
        folder.chmod(0o755)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        self.received = []
        self.back = socket.socket(socket.AF_UNIX)
        self.back.bind(str(folder / "back"))
        (folder / "back").chmod(0o777)
        self.back.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()
        program = "/usr/sbin/nginx"
        self.nginx = subprocess.Popen(
            [program, "-e", folder / "start.log", "-p", folder, "-c", folder / "nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        self.front = str(folder / "front")
        for _ in range(200):
            try:
                self.connect().close()
                return self
            except OSError:
                if self.nginx.poll() is not None:
                    raise RuntimeError((folder / "start.log").read_text()) from None
                threading.Event().wait(0.02)
        raise RuntimeError("nginx does not listen")

    def __exit__(self, *_):
        self.nginx.terminate()
        self.nginx.wait(10)
        self.back.close()
        self.folder.cleanup()

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(self.front)
        return client

    def serve(self):
        while True:
            try:
                connection, _ = self.back.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.received.append(self.take(connection))
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    self.received.append(None)

    @staticmethod
    def take(connection):
        """One request with its body: nginx sends no chunks over HTTP/1.0."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return data
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while lengths and len(body) < lengths[0]:
            part = connection.recv(65536)
            if not part:
                break
            body += part
        return head + b"\r\n\r\n" + body

    def read(self, case):
        self.received.clear()
        answers = b""
        with self.connect() as client:
            try:
                client.sendall(case["data"])
                client.shutdown(socket.SHUT_WR)
                while part := client.recv(65536):
                    answers += part
            except OSError:
                pass
        messages = [self.message(data) for data in self.received if data]
        refused = any(line.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) for line in answers.split(b"\r\n"))
        refused |= b"<center><h1>4" in answers or b"<center><h1>5" in answers
        return {"messages": messages, "outcome": "reject" if refused else "done", "reason": text(answers[-300:])}

    @staticmethod
    def message(data):
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        method, _, rest = start.partition(b" ")
        target = rest.rpartition(b" ")[0]
        fields = [line.partition(b":") for line in lines]
        return message(text(method), text(target), [(name, value.strip(b" ")) for name, _, value in fields]) | {
            "body": text(body)
        }
