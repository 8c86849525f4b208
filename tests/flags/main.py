"""Real OpenFeature providers through a flip, a rollback, a restart and an outage of switchback."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SWITCHBACK", str(ROOT / "target/release/switchback"))
NODE = ROOT / "target/node-flags"
TOKEN = "a-token-of-the-application"
FLAGS = """
[releases.blue]
endpoints = ["http://127.0.0.1:1"]
[[routes]]
name = "chat"
split = { blue = 1 }
[flags.planner]
type = "boolean"
variants = { on = true, off = false }
default = "off"
rules = [{ split = { on = 50, off = 50 } }]
[flags.rate]
type = "number"
variants = { low = 1, high = 2.5 }
default = "low"
[flags.count]
type = "number"
variants = { few = 3 }
default = "few"
[flags.theme]
type = "object"
variants = { dark = { ink = "white", sizes = [1, 2] } }
default = "dark"
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Switchback:
    """A running switchback, on the same ports after a restart."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.admin, self.ofrep, self.proxy = free_port(), free_port(), free_port()
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "switchback.toml").write_text(
            f'[[listeners]]\naddress = "127.0.0.1:{self.proxy}"\n'
            f'[admin]\naddress = "127.0.0.1:{self.admin}"\n'
            f'[ofrep]\naddress = "127.0.0.1:{self.ofrep}"\norigins = ["*"]\n'
            f'[[ofrep.tokens]]\nfile = "token"\n[history]\npath = "history"\n{FLAGS}'
        )
        self.start()

    def start(self):
        log = open(self.folder / "log", "ab")
        config = str(self.folder / "switchback.toml")
        self.process = subprocess.Popen([BINARY, "serve", "--config", config], stdout=log, stderr=log)
        until(lambda: self.get("/readyz") is not None, "switchback is ready")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as response:
                return response.read()
        except (urllib.error.URLError, ConnectionError):
            return None

    def post(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", method="POST", data=b"{}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


def until(holds, what, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Python:
    def __init__(self, url):
        provider = OFREPProvider(url, headers_factory=lambda: {"X-API-Key": TOKEN})
        api.set_provider(provider)
        self.client = api.get_client()

    def ask(self, user, flag="planner"):
        found = self.client.get_boolean_details(flag, None, EvaluationContext(user))
        return found.value, found.reason and str(getattr(found.reason, "value", found.reason))

    def close(self):
        pass


class Node:
    def __init__(self, kind, url):
        node = ROOT / "target/venv/bin/node"
        program = [str(node) if node.exists() else "node", "--experimental-eventsource", "provider.mjs", kind, url, TOKEN]
        self.process = subprocess.Popen(
            program, cwd=NODE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, user, flag="planner"):
        self.process.stdin.write(f"{user} {flag}\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return found["value"], found["reason"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


USERS = [f"user-{number}" for number in range(12)]


def through_everything(switchback, client, outage):
    """The values of a provider follow each change, and what happens without switchback is `outage`."""
    first = {user: client.ask(user)[0] for user in USERS}
    assert set(first.values()) == {True, False}, first
    assert client.ask(USERS[0])[1] == "SPLIT"
    switchback.post("/v1/flags/planner/off")
    for user in USERS:
        until(lambda: client.ask(user) == (False, "DISABLED"), f"{user} gets the default")
    switchback.post("/v1/rollback")
    for user in USERS:
        until(lambda: client.ask(user)[0] == first[user], f"{user} gets back what was before")
    switchback.kill()
    outage(first)
    switchback.start()
    for user in USERS:
        until(lambda: client.ask(user)[0] == first[user], f"{user} after the restart", 70)
    # A stream that broke is back by itself, and what changes from then on is seen.
    switchback.post("/v1/flags/planner/off")
    until(lambda: client.ask(USERS[0]) == (False, "DISABLED"), "a flip after the restart", 70)
    switchback.post("/v1/flags/planner/rollback")
    until(lambda: client.ask(USERS[0])[0] == first[USERS[0]], "a rollback after the restart")


def python_provider(switchback, url):
    client = Python(url)

    def outage(_):
        value, _reason = client.ask(USERS[0])
        assert value is None, "the default of the code"

    through_everything(switchback, client, outage)


def node_provider(switchback, url):
    client = Node("server", url)

    def outage(_):
        assert client.ask(USERS[0])[0] is None, "the default of the code"

    through_everything(switchback, client, outage)
    client.close()


def web_provider(switchback, url):
    client = Node("web", url)
    user = {}

    def outage(first):
        user["last"] = USERS[-1]
        assert client.ask(USERS[-1])[0] == first[USERS[-1]], "the flags that it has"

    through_everything(switchback, client, outage)
    client.close()


class Relay:
    """Passes connections on, and keeps the request lines that it saw."""

    def __init__(self, port):
        self.to, self.seen = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            for pair in ((client, server, self.seen), (server, client, [])):
                threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    @staticmethod
    def pass_on(source, sink, seen):
        try:
            while data := source.recv(65536):
                seen += [line for line in data.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def web_provider_sends_the_tag_of_an_event_back(switchback, _url):
    relay = Relay(switchback.ofrep)
    client = Node("web", f"http://127.0.0.1:{relay.port}")
    switchback.post("/v1/flags/planner/off")
    until(lambda: client.ask("user-1") == (False, "DISABLED"), "the flip is seen")
    until(lambda: any(b"flags?flagConfigEtag=" in line for line in relay.seen), "the tag comes back")
    client.close()
    relay.listener.close()


def types_and_errors(_switchback, url):
    client = Python(url).client
    context = EvaluationContext("user-1")
    assert client.get_float_details("rate", 9.0, context).value == 1.0
    assert client.get_integer_details("count", 9, context).value == 3
    assert client.get_object_details("theme", {}, context).value == {"ink": "white", "sizes": [1, 2]}
    code = client.get_boolean_details("gone", True, context).error_code
    assert code.value == "FLAG_NOT_FOUND", code
    code = client.get_boolean_details("planner", True, None).error_code
    assert code.value == "TARGETING_KEY_MISSING", code
    code = client.get_boolean_details("count", True, context).error_code
    assert code.value == "TYPE_MISMATCH", code


def main():
    passed, failed = 0, 0
    for check in (
        types_and_errors,
        python_provider,
        node_provider,
        web_provider,
        web_provider_sends_the_tag_of_an_event_back,
    ):
        with tempfile.TemporaryDirectory() as folder:
            switchback = Switchback(folder)
            try:
                check(switchback, f"http://127.0.0.1:{switchback.ofrep}")
                passed += 1
                print(f"ok {check.__name__}")
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAILED {check.__name__}: {error!r}")
                print((switchback.folder / "log").read_text()[-2000:])
            finally:
                switchback.kill()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
