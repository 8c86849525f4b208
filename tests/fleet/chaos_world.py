"""Three members of etcd, five proxies, and requests to all of these, for `chaos.py`."""

import base64
import collections
import http.client
import json
import os
import pathlib
import random
import signal
import socketserver
import threading
import time

from harness import Process, binary, wait_until

MEMBERS, NODES, ROUTES = 3, 5, 6
WHOLE = 1_000_000
TOKEN = "a-token-of-the-operator-of-this-test"
FAKETIME = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
GONE = (OSError, http.client.HTTPException)


def call(address, method, path, body=None, fields=(), seconds=12):
    """One call: status, fields and what the JSON says."""
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json", **dict(fields)})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, answer.headers, json.loads(content) if content[:1] in (b"{", b"[") else content
    finally:
        connection.close()


class Agent(socketserver.StreamRequestHandler):
    """A release: HTTP/1.1 with kept connections and nothing else."""

    def handle(self):
        self.connection.setsockopt(6, 1, 1)
        while line := self.rfile.readline():
            if line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


class AgentServer(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, request, client_address):
        """A proxy that is killed resets its connections."""


def agent(address):
    server = AgentServer((address, 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Store:
    """The members. Hosts 0 to 2."""

    def __init__(self, folder, network):
        self.folder, self.network = folder, network
        self.ports = [(network.port(2379), network.port(2380)) for _ in range(MEMBERS)]
        self.members = [None] * MEMBERS
        for number in range(MEMBERS):
            self.start(number)
        wait_until("etcd has a leader", lambda: self.leader() is not None, 20)

    def address(self, number):
        return self.network.address(number), self.ports[number][0]

    def urls(self):
        return [f"http://{address}:{port}" for address, port in map(self.address, range(MEMBERS))]

    def start(self, number):
        peers = [f"http://{self.network.address(one)}:{self.ports[one][1]}" for one in range(MEMBERS)]
        client = self.urls()[number]
        command = [
            "etcd", "--name", f"m{number}", "--data-dir", str(self.folder / f"m{number}"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number],
            "--initial-cluster", ",".join(f"m{one}={peer}" for one, peer in enumerate(peers)),
            "--heartbeat-interval", "50", "--election-timeout", "500",
            # A member that was away gets a snapshot, and the space is soon full.
            "--snapshot-count", "500", "--quota-backend-bytes", str(24 << 20),
        ]
        self.members[number] = Process(f"etcd-{number}-{time.monotonic_ns()}", self.network.command(number, command), self.folder)

    def signal(self, number, which):
        child = self.members[number].child
        child.send_signal(which)
        if which == signal.SIGKILL:
            child.wait()

    def ask(self, path, body, member=None, seconds=2):
        """A call of the JSON gateway: the answer of one member, or of the first that gives one."""
        problem = None
        for number in range(MEMBERS) if member is None else [member]:
            try:
                status, _, answer = call(self.address(number), "POST", path, body, seconds=seconds)
            except GONE as error:
                problem = error
                continue
            if status == 200:
                return answer
            problem = OSError(f"{path}: {status} {answer}")
        raise problem

    def leader(self):
        for number in range(MEMBERS):
            try:
                status = self.ask("/v3/maintenance/status", {}, number, 1)
            except GONE:
                continue
            if status.get("leader") == status["header"]["member_id"]:
                return number
        return None

    def values(self, folder, from_=0, member=None):
        """Numbers and values below a key, from a number on: what the store has, or what one member does."""
        key = lambda number: base64.b64encode(f"test/{folder}/{number:020}".encode()).decode()  # noqa: E731
        asked = {"key": key(from_), "range_end": key(10**19), "serializable": member is not None}
        read = self.ask("/v3/kv/range", asked, member, 10)
        for pair in read.get("kvs", []):
            name = base64.b64decode(pair["key"]).decode()
            yield int(name.rsplit("/", 1)[1]), json.loads(base64.b64decode(pair["value"]))


class Node:
    """A proxy. Hosts 3 to 7. `away` says that it is not there, or not able to answer; `closed` that it takes no calls of
    clients."""

    def __init__(self, number, folder, network, store, agents):
        self.name, self.host, self.network = f"proxy-{number}", MEMBERS + number, network
        self.away, self.closed, self.busy, self.door = True, False, 0, threading.Condition()
        self.folder = folder / self.name
        self.folder.mkdir()
        self.clock = self.folder / "clock"
        self.clock.write_text("+0")
        host, self.ports = network.address(self.host), [network.port(8080), network.port(9900)]
        releases = "".join(
            f'[releases.{name}]\nendpoints = ["http://{network.here}:{port}"]\n' for name, port in zip(("blue", "green"), agents)
        )
        routes = "".join(
            f'[[routes]]\nname = "r{route}"\npath_prefix = "/r{route}"\nsplit = {{ blue = {WHOLE}, green = 0 }}\n'
            for route in range(ROUTES)
        )
        (self.folder / "switchback.toml").write_text(f"""
workers = 2
[[listeners]]
address = "{host}:{self.ports[0]}"
[admin]
address = "{host}:{self.ports[1]}"
[[admin.tokens]]
role = "operator"
name = "chaos"
env = "CHAOS_TOKEN"
[history]
path = "{self.folder / 'history'}"
[fleet]
etcd = {json.dumps(store.urls())}
prefix = "test"
node = "{self.name}"
lease = "5s"
{releases}{routes}""")
        self.start()

    def enter(self):
        """A client begins a call, if the node is not closed."""
        with self.door:
            self.busy += not self.closed
            return not self.closed

    def leave(self):
        with self.door:
            self.busy -= 1
            self.door.notify_all()

    def close(self):
        """Waits for the calls that clients have begun, and lets none begin."""
        with self.door:
            self.closed = True
            self.door.wait_for(lambda: self.busy == 0)

    def open(self):
        with self.door:
            self.closed = False

    @property
    def data(self):
        return self.network.address(self.host), self.ports[0]

    def start(self):
        environment = {**os.environ, "CHAOS_TOKEN": TOKEN}
        if FAKETIME:
            environment.update(LD_PRELOAD=str(FAKETIME[0]), FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_NO_CACHE="1",
                               FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
        command = [binary(), "serve", "--config", str(self.folder / "switchback.toml")]
        self.process = Process(f"proxy-{time.monotonic_ns()}", self.network.command(self.host, command), self.folder, env=environment)

        def is_ready():
            assert self.process.child.poll() is None, self.process.log.read_text()[-3000:]
            try:
                return self.ask("GET", "/readyz")[0] == 200
            except GONE:
                return False

        wait_until(f"{self.name} is ready", is_ready, 20)
        self.away = False

    def signal(self, which):
        self.away = which != signal.SIGCONT
        self.process.child.send_signal(which)
        if which == signal.SIGKILL:
            self.process.child.wait()

    def ask(self, method, path, body=None, fields=(), seconds=12):
        fields = {"authorization": f"Bearer {TOKEN}", **dict(fields)}
        return call((self.data[0], self.ports[1]), method, path, body, fields, seconds)

    def fleet(self, seconds=12):
        return self.ask("GET", "/v1/fleet", seconds=seconds)[2]

    def records(self):
        """The records of its history that a kill has left, and older ones in the same file."""
        text = (self.folder / "history/history.redb").read_bytes().decode(errors="replace")
        reader = json.JSONDecoder()
        for piece in text.split('"record":')[1:]:
            try:
                yield reader.raw_decode(piece)[0]
            except ValueError:
                continue


class Traffic:
    """Requests to all nodes, none of which may fail while its node is there."""

    def __init__(self, nodes, pause):
        self.ended, self.done, self.lost, self.pause = threading.Event(), collections.Counter(), [], pause
        self.threads = [threading.Thread(target=self.requests, args=(node,), daemon=True) for node in nodes]
        for thread in self.threads:
            thread.start()

    def requests(self, node):
        chance, connection, process = random.Random(node.name), None, None
        while not self.ended.wait(self.pause):
            if node.away:
                continue
            if process is not node.process:
                # A kept connection has ended with the process before.
                process, connection = node.process, None
            try:
                connection = connection or http.client.HTTPConnection(*node.data, timeout=15)
                connection.request("GET", f"/r{chance.randrange(ROUTES)}")
                answer = connection.getresponse()
                body = answer.read()
                assert (answer.status, body) == (200, b"ok"), (answer.status, body)
                self.done[node.name] += 1
            except (*GONE, AssertionError) as error:
                connection = None
                # It was killed: what it had at that moment is lost.
                if not node.away and node.process is process:
                    self.lost.append(f"{node.name}: {error!r}")

    def finish(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.lost, f"{len(self.lost)} lost: {self.lost[:5]}"
        return sum(self.done.values())
