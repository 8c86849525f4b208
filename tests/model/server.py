"""The proxy as a process that is started, killed and started again on one history, with a connection to its admin API."""

import http.client
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import accepts, binary, free_port, wait_until  # noqa: E402
from promises import CHECKED  # noqa: E402


class Lost(Exception):
    """No response: the other end is gone."""


class Answer:
    def __init__(self, status, etag, body):
        self.status, self.etag, self.body = status, etag, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body.decode(errors='replace')[:800]}"


class Client:
    """One connection to the admin API, opened again when it is gone."""

    def __init__(self, port):
        self.port = port
        self.connection = None
        self.calls = 0

    def send(self, method, path, body=None, headers=None):
        """Sends a request, and does not wait for its response."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = None if body is None else json.dumps(body)
        headers = dict(headers or {})
        if data is not None:
            headers["content-type"] = "application/json"
        self.calls += 1
        self.connection.request(method, path, data, headers)

    def receive(self):
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.will_close:
            self.close()
        return Answer(answer.status, answer.headers.get("etag"), body)

    def ask(self, method, path, body=None, headers=None):
        try:
            self.send(method, path, body, headers)
            return self.receive()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(f"{method} {path}: {error!r}") from error

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


# The health check of a release, in the form of the API and of the file.
HEALTH = {"path": "/healthz", "interval": "50ms", "timeout": "5s", "rise": 1, "fall": 1}


class Agents:
    """Endpoints that respond to health checks as configured, on ports of their own and one thread."""

    def __init__(self, count):
        self.selector = selectors.DefaultSelector()
        self.well, self.sockets = {}, []
        for _ in range(count):
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.well[url] = True
            self.sockets.append(listener)
            self.selector.register(listener, selectors.EVENT_READ, url)
        self.ended, self.end = socket.socketpair()
        self.selector.register(self.ended, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                connection, _ = key.fileobj.accept()
                with connection:
                    self.answer(connection, self.well[key.data])

    @staticmethod
    def answer(connection, well):
        connection.settimeout(5)
        try:
            connection.recv(4096)
            status = b"200 OK" if well else b"503 Ill"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        except OSError:
            # The proxy was killed.
            pass

    def stop(self):
        self.end.close()
        self.thread.join(10)
        for listener in [*self.sockets, self.ended]:
            listener.close()


class Server:
    """`switchback serve` on a folder. What it is killed with is up to the caller."""

    def __init__(self, folder, table, keep=None):
        self.keep = keep
        self.folder = pathlib.Path(folder)
        self.proxy, self.admin = free_port(), free_port()
        self.config = self.folder / "switchback.toml"
        self.log = self.folder / "log"
        self.child = None
        self.write(table)

    def write(self, table):
        """Writes the configuration file with this table."""
        lines = [
            'workers = 2',
            f'[[listeners]]\naddress = "127.0.0.1:{self.proxy}"',
            f'[admin]\naddress = "127.0.0.1:{self.admin}"',
            f'[history]\npath = "{self.folder / "history"}"' + (f"\nkeep = {self.keep}" if self.keep else ""),
            '[shutdown]\ngrace = "1s"',
            # A receipt without all workers is right on a machine that is very busy; what is checked here is that they come.
            '[timeouts]\nconverge = "10s"',
        ]
        for name, (version, endpoints) in table.releases.items():
            lines.append(f"[releases.{name}]\nversion = {json.dumps(version)}\nendpoints = {json.dumps(list(endpoints))}")
            if name in CHECKED:
                check = ", ".join(f"{key} = {json.dumps(value)}" for key, value in HEALTH.items())
                lines.append(f"health = {{ {check} }}")
        for name, (path, weights, stable) in table.routes.items():
            split = ", ".join(f"{release} = {weight}" for release, weight in weights.items())
            lines.append(f'[[routes]]\nname = "{name}"\npath_prefix = "{path}"\nsplit = {{ {split} }}')
            if stable:
                lines.append(f'stable = "{stable}"')
        self.config.write_text("\n".join(lines) + "\n")

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [binary(), "serve", "--config", str(self.config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

        def up():
            if self.child.poll() is not None:
                raise AssertionError(f"it ended with {self.child.returncode}: {self.tail()}")
            return accepts(self.admin)

        wait_until("it listens", up, 20)
        client = Client(self.admin)

        def ready():
            try:
                return client.ask("GET", "/readyz").status == 200
            except Lost:
                return False

        wait_until("it is ready", ready, 20)
        client.close()

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:]

    def reloads(self):
        """The number of reloads of the file, imported or unchanged, from the log."""
        log = self.log.read_bytes()
        return log.count(b"configuration file imported") + log.count(b"configuration file is not imported")

    def history_writer(self):
        """The history writer: the only living child process, if there is one."""
        tasks = pathlib.Path(f"/proc/{self.child.pid}/task").iterdir()
        children = " ".join((task / "children").read_text() for task in tasks).split()
        return next((int(child) for child in children if not is_gone(child)), None)

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(15)


def send_signal(process, number):
    os.kill(process, number)
    if number == signal.SIGSTOP:
        # The other threads run on until the one that takes the signal gets a processor.
        wait_until(f"process {process} stands still", lambda: is_stopped(process), 10)


def is_stopped(process):
    tasks = pathlib.Path(f"/proc/{process}/task").iterdir()
    try:
        return all(") T " in (task / "stat").read_text() for task in tasks)
    except OSError:
        # A thread ended meanwhile.
        return False


def is_gone(process):
    try:
        return ") Z " in pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True


def wait_gone(process):
    wait_until(f"process {process} is gone", lambda: is_gone(process), 10)


def pause(seconds):
    """Waits for a random time, so that a kill comes at another point of the work each time."""
    time.sleep(seconds)
