"""Hand-overs under load: nothing is refused, reset or lost, and a rollback is made at every moment.

`--rounds N` sets the number of hand-overs; every third one is tried with a broken new process before.
"""

import contextlib
import http.server
import pathlib
import signal
import socketserver
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from clients import Load, Operator, Stream, Tls, Websocket, fresh, http2, kept
from harness import Process, Suite, binary, folder, free_port, wait_until

ROUNDS = 5


class Agent(http.server.BaseHTTPRequestHandler):
    """Answers at once, streams events for as long as a round lasts, and echoes WebSockets."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        if self.path == "/events":
            return self.events()
        if self.path == "/ws":
            return self.echo()
        self.answer()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer()

    def answer(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.wfile.flush()

    def events(self):
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.wfile.write(head.encode())
        number, stop = 0, self.server.round
        while True:
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            number += 1
            if stop.wait(0.02):
                break
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        self.close_connection = True

    def echo(self):
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\n"
        )
        self.wfile.flush()
        with contextlib.suppress(OSError):
            while data := self.connection.recv(4096):
                self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Agents(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256
    # Set at the end of a round.
    round = threading.Event()


class World:
    """A proxy, in processes that follow one another, in front of two agents."""

    def __init__(self, path):
        self.folder = path
        self.agents = [Agents(("127.0.0.1", 0), Agent) for _ in range(2)]
        for agent in self.agents:
            threading.Thread(target=agent.serve_forever, daemon=True).start()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path / "key.pem",
             "-out", path / "cert.pem"],
            check=True, stderr=subprocess.DEVNULL,
        )
        self.plain, self.tls, self.admin = (free_port() for _ in range(3))
        self.config = path / "switchback.toml"
        self.good = f"""
workers = 2
access_log.format = "off"
[admin]
address = "127.0.0.1:{self.admin}"
[history]
path = "{path / 'history'}"
[shutdown]
grace = "30s"
[[listeners]]
address = "127.0.0.1:{self.plain}"
[[listeners]]
address = "127.0.0.1:{self.tls}"
tls = {{ certificates = [{{ cert = "{path / 'cert.pem'}", key = "{path / 'key.pem'}" }}] }}
[releases.blue]
endpoints = ["http://127.0.0.1:{self.agents[0].server_port}"]
[releases.green]
endpoints = ["http://127.0.0.1:{self.agents[1].server_port}"]
[[routes]]
name = "all"
split = {{ blue = 1, green = 0 }}
"""
        self.config.write_text(self.good)
        self.number = 0
        self.process = self.start()
        self.wait_until_ready(self.process)

    def start(self, *arguments):
        self.number += 1
        command = [binary(), "serve", "--config", str(self.config), *arguments]
        return Process(f"switchback.{self.number}", command, self.folder)

    def wait_until_ready(self, process):
        def is_ready():
            text = process.log.read_text()
            assert process.child.poll() is None, text
            return ": ready " in text

        wait_until("ready", is_ready, 60)

    def take_over(self):
        """Replaces the process; returns the new one's figure of how long changes waited, in milliseconds."""
        before, self.process = self.process, self.start("--takeover")
        self.wait_until_ready(self.process)
        text = self.process.log.read_text()
        (line,) = [line for line in text.splitlines() if "taken over; changes have waited" in line]
        return before, int(line.split("waited_ms=")[1].split()[0])

    def fail(self, kind):
        """A new process that cannot take over, in one of several ways."""
        if kind == "config":
            self.config.write_text("nonsense = 1")
        elif kind == "late":
            # Its address is taken, which is found once it has the history.
            self.config.write_text(f'observe.address = "127.0.0.1:{self.agents[0].server_port}"\n{self.good}')
        broken = self.start("--takeover")
        if kind == "killed":
            wait_until("it begins", lambda: "taking over" in broken.log.read_text(), 60)
            broken.child.send_signal(signal.SIGKILL)
        status = broken.child.wait(60)
        self.config.write_text(self.good)
        assert status != 0, broken.log.read_text()
        assert self.process.child.poll() is None, "the old process has ended"


def hand_overs(rounds):
    with folder() as path:
        world = World(path)
        load, tls, operator = Load(), Tls(world.tls, str(path / "cert.pem")), Operator(world.admin)
        load.start("new connections", lambda: fresh(world.plain), 2)
        load.start("kept connections", lambda: kept(world.plain), 2)
        load.start("HTTP/2 connections", lambda: http2(world.plain))
        load.start("TLS connections", tls.once)
        load.start("rollbacks", operator.once)
        waited, events, drained = [], 0, 0.0
        for number in range(rounds):
            Agents.round = threading.Event()
            for agent in world.agents:
                agent.round = Agents.round
            streams = [Stream(world.plain) for _ in range(3)]
            sockets = [Websocket(world.plain) for _ in range(3)]
            if number % 3 == 0:
                world.fail(["config", "late", "killed"][number // 3 % 3])
            before, gap = world.take_over()
            waited.append(gap)
            for one in sockets:
                one.echo()
            assert before.child.poll() is None, f"streams were cut:\n{before.log.read_text()}"
            Agents.round.set()
            begin = time.monotonic()
            events += sum(one.finish() for one in streams)
            for one in sockets:
                one.finish()
            status = before.child.wait(60)
            drained = max(drained, time.monotonic() - begin)
            assert status == 0, f"exit status {status}:\n{before.log.read_text()}"
            assert "aborted" not in before.log.read_text(), before.log.read_text()
        load.finish()
        assert not load.lost, f"{len(load.lost)} lost of {load.done}: {load.lost[:10]}"
        assert tls.full == 1, f"{tls.full} full handshakes, {tls.resumed} resumed"
        waited.sort()
        return (
            f"{rounds} hand-overs, 0 lost of {load.done}, {events} events; changes waited {waited[len(waited) // 2]} ms "
            f"(median), {waited[-1]} ms (most); the longest rollback or switch took {operator.longest * 1000:.0f} ms; the old process "
            f"ended {drained:.1f} s after its last stream at most"
        )


def main():
    rounds = ROUNDS
    if "--rounds" in sys.argv:
        place = sys.argv.index("--rounds")
        rounds = int(sys.argv[place + 1])
        del sys.argv[place : place + 2]
    suite = Suite()
    suite.check("hand-overs under load lose nothing", hand_overs, rounds, seconds=60 + 30 * rounds)
    suite.finish()


main()
