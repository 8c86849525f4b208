"""The agents of two releases, and the proxy in front of them."""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from harness import Proxy, binary, free_port, wait_until

HERE = pathlib.Path(__file__).parent


def same(got, expected, what=""):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"


class Launcher:
    """The process that forks endpoints, see launcher.py."""

    def __init__(self):
        command = [sys.executable, "-W", "ignore", str(HERE / "launcher.py")]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        assert json.loads(self.child.stdout.readline())["ready"]

    def ask(self, **command):
        with self.lock:
            self.child.stdin.write(json.dumps(command) + "\n")
            self.child.stdin.flush()
            answer = json.loads(self.child.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def stop(self):
        self.child.stdin.close()
        self.child.wait(20)


class Agent:
    """One endpoint: a process that can be killed and started again on its ports."""

    def __init__(self, launcher, journal, release, number, start=True):
        self.launcher, self.journal, self.release, self.name = launcher, journal, release, f"{release}-{number}"
        self.http, self.grpc, self.pid = free_port(), free_port(), None
        if start:
            self.start()

    def start(self):
        command = {"release": self.release, "name": self.name, "journal": str(self.journal), "http": self.http, "grpc_port": self.grpc}
        self.pid = self.launcher.ask(**command)["pid"]

    def kill(self):
        if self.pid:
            self.launcher.ask(kill=self.pid)
            self.pid = None

    def look(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/control", timeout=5) as answer:
            return json.load(answer)

    def open_gate(self):
        urllib.request.urlopen(f"http://127.0.0.1:{self.http}/control/open", b"", timeout=5).close()


# Name, path, keys of its own, and what its releases are called.
ROUTES = [
    ("tools", 'path_prefix = "/mcp"', 'agent_protocol = "mcp"\npins = [{ header = "mcp-session-id" }]', "{}"),
    ("tasks", 'path_prefix = "/"', 'agent_protocol = "a2a"', "{}"),
    ("chat", 'path_prefix = "/v1"', "", "{}"),
    ("sockets", 'path_prefix = "/ws"', "", "{}"),
    ("calls", 'path_prefix = "/test.Agent"', "", "{}-grpc"),
]


class World:
    """Two releases with two endpoints each, routes for every protocol, all weight on blue; nothing is shared with others.

    `start` starts the endpoints; `keys` are more lines for the configuration of routes, by name.
    """

    def __init__(self, launcher, path, start=True, keys=None):
        self.folder = pathlib.Path(path)
        self.journal = self.folder / "journal"
        self.journal.touch()
        self.agents = [Agent(launcher, self.journal, release, n, start) for release in ("blue", "green") for n in (1, 2)]
        table = ""
        for release in ("blue", "green"):
            table += self.release(release, "http/1.1", [agent.http for agent in self.of(release)])
            table += self.release(f"{release}-grpc", "h2", [agent.grpc for agent in self.of(release)])
        for name, match, always, of in ROUTES:
            split = f'{{ {of.format("blue")} = 1, {of.format("green")} = 0 }}'
            table += f'[[routes]]\nname = "{name}"\n{match}\nsplit = {split}\nexpose_release = "x-release"\n{always}\n'
            table += (keys or {}).get(name, "")
        self.proxy = Proxy(self.folder, table)
        self.url = f"http://127.0.0.1:{self.proxy.plain}"

    @staticmethod
    def release(name, protocol, ports):
        endpoints = ", ".join(f'"http://127.0.0.1:{port}"' for port in ports)
        return f'[releases.{name}]\nendpoints = [{endpoints}]\nprotocol = "{protocol}"\n'

    def of(self, release):
        return [agent for agent in self.agents if agent.release == release]

    def call(self, method, path, body=None):
        """A call of the admin API, which has to succeed."""
        status, text = self.proxy.request(method, path, body)
        assert status in (200, 201), f"{method} {path}: {status} {text}"
        return json.loads(text)

    def switch(self, route, release):
        return self.call("POST", f"/v1/routes/{route}/switch", {"to": release})

    def split(self, route, **weights):
        return self.call("PUT", f"/v1/routes/{route}/split", {"weights": weights})

    def rollback(self):
        return self.call("POST", "/v1/rollback")

    def restart(self):
        """The proxy is stopped, and started again on its history."""
        same(self.proxy.stop(), 0, "exit status")
        self.proxy.start()

    def command(self, *arguments, seconds=60):
        """A command of the program against this proxy; it has to succeed."""
        line = [binary(), *arguments, "--admin", f"http://127.0.0.1:{self.proxy.admin}"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def waiting(self, release):
        """Long work that is open on the endpoints of a release."""
        return sum(agent.look()["waiting"] for agent in self.of(release))

    def work_begins(self, release, count):
        wait_until(f"{count} open on {release}", lambda: self.waiting(release) == count)

    def open_gates(self):
        for agent in self.agents:
            if agent.pid:
                agent.open_gate()

    def executed(self):
        return self.journal.read_text().splitlines()

    def metrics(self, name):
        """The samples of one metric: labels as text, and the value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.proxy.observe}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        samples = [line.rpartition(" ") for line in lines if line.startswith((name + "{", name + " "))]
        return {sample[0].removeprefix(name): float(sample[2]) for sample in samples}

    def stop(self):
        code = self.proxy.stop()
        for agent in self.agents:
            agent.kill()
        return code


@contextlib.contextmanager
def world(launcher, folder, **options):
    here = folder / f"world-{time.monotonic_ns()}"
    here.mkdir()
    made = World(launcher, here, **options)
    try:
        yield made
    except BaseException as error:
        error.add_note("--- the proxy's last lines\n" + "\n".join(made.proxy.process.log.read_text().splitlines()[-12:]))
        raise
    finally:
        made.stop()
