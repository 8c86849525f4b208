"""Three proxies and three members of etcd on loopback: changes, rollbacks, a lost quorum, kills, and the page of docs."""

import base64
import http.server
import json
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from harness import ROOT, Certificate, Process, Proxy, Suite, binary, folder, free_port, wait_until


class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.release.encode()
        is_bad = self.path.startswith("/tools/bad") and self.server.release == "green"
        self.send_response(500 if is_bad else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class AgentServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A proxy that is killed resets its connections."""


def agent(release):
    server = AgentServer(("127.0.0.1", 0), Agent)
    server.release = release
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Etcd:
    """A cluster of three members."""

    def __init__(self, folder):
        self.folder = folder
        self.clients = [free_port() for _ in range(3)]
        peers = [free_port() for _ in range(3)]
        cluster = ",".join(f"m{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        self.members = []
        for number, (client, peer) in enumerate(zip(self.clients, peers)):
            client, peer = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            command = [
                "etcd", "--name", f"m{number}", "--data-dir", str(folder / f"m{number}"),
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", cluster, "--heartbeat-interval", "50", "--election-timeout", "500",
                "--unsafe-no-fsync",
            ]
            if b"unsafe-no-fsync" not in subprocess.run(["etcd", "--help"], capture_output=True).stdout:
                command.pop()
            self.members.append(Process(f"etcd-{number}", command, folder))
        for member, port in zip(self.members, self.clients):
            member.wait_for_port(port)
        wait_until("etcd has a leader", self.healthy, 20)

    def healthy(self):
        return subprocess.run(
            ["etcdctl", "--endpoints", self.urls()[0], "endpoint", "health"], env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            capture_output=True,
        ).returncode == 0

    def urls(self):
        return [f"http://127.0.0.1:{port}" for port in self.clients]

    def ask(self, path, body):
        request = urllib.request.Request(self.urls()[0] + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def signal(self, number, which):
        self.members[number].child.send_signal(which)


class Node(Proxy):
    def __init__(self, folder, name, etcd, agents, more=""):
        folder.mkdir()
        table = f"""
[fleet]
etcd = {json.dumps(etcd.urls())}
prefix = "test"
node = "{name}"
lease = "5s"
[releases.blue]
endpoints = ["http://127.0.0.1:{agents[0]}"]
[releases.green]
endpoints = ["http://127.0.0.1:{agents[1]}"]
[[routes]]
name = "chat"
path_prefix = "/"
split = {{ blue = 100, green = 0 }}
[[routes]]
name = "tools"
path_prefix = "/tools"
split = {{ blue = 100, green = 0 }}
{more}
"""
        self.name = name
        super().__init__(folder, table)

    def split(self, route, green, query=""):
        weights = {"blue": 1000 - green, "green": green}
        status, text = self.request("PUT", f"/v1/routes/{route}/split{query}", {"weights": weights})
        return status, json.loads(text)

    def cli(self, *arguments):
        command = [binary(), "--admin", f"http://127.0.0.1:{self.admin}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def green(self, route="chat"):
        return json.loads(self.get(f"/v1/routes/{route}")[1])["split"].get("green")

    def digest(self):
        return json.loads(self.get("/v1/status")[1])["digest"]

    def fleet(self):
        return json.loads(self.get("/v1/fleet")[1])


class GuardedNode(Node):
    """A node whose admin API has TLS and asks for a token, and which tells its peers of rollbacks."""

    TOKEN = "a-token-of-operators"

    def __init__(self, folder, name, etcd, agents, certificate, port, peers):
        self.context = ssl.create_default_context(cafile=str(certificate.ca))
        token = folder.parent / f"{name}.token"
        token.write_text(self.TOKEN)
        urls = json.dumps([f"https://127.0.0.1:{peer}" for peer in peers])
        self.given = port
        super().__init__(folder, name, etcd, agents, f"""
[admin.tls]
certificates = [{{ cert = "{certificate.cert}", key = "{certificate.key}" }}]
[[admin.tokens]]
role = "operator"
file = "{token}"
[fleet.peers]
urls = {urls}
token_file = "{token}"
ca = "{certificate.ca}"
""")

    @property
    def admin(self):
        return self.given

    @admin.setter
    def admin(self, port):
        """The port is one that the peers know already."""

    def request(self, method, path, body=None, headers=(), token=TOKEN):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"https://127.0.0.1:{self.admin}{path}", data, dict(headers), method=method)
        if data is not None:
            request.add_header("content-type", "application/json")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class Traffic:
    """Requests to all proxies, none of which may fail."""

    def __init__(self, nodes):
        self.stop, self.done, self.lost, self.pause = threading.Event(), 0, [], set()
        self.threads = [threading.Thread(target=self.loop, args=(node,), daemon=True) for node in nodes]
        for thread in self.threads:
            thread.start()

    def loop(self, node):
        while not self.stop.wait(0.005):
            if node.name in self.pause:
                continue
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{node.plain}/", timeout=10) as answer:
                    assert answer.read() in (b"blue", b"green")
                self.done += 1
            except Exception as error:
                if node.name not in self.pause:
                    self.lost.append(f"{node.name}: {error!r}")

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.lost, f"{len(self.lost)} lost: {self.lost[:5]}"
        return self.done


class World:
    def __init__(self, path):
        self.path, self.etcd = path, Etcd(path)
        self.agents = [agent("blue"), agent("green")]
        self.nodes = [Node(path / name, name, self.etcd, self.agents) for name in ("a", "b", "c")]
        self.traffic = Traffic(self.nodes)

    def all_have(self, green, route="chat", seconds=5):
        try:
            wait_until(f"{route} has {green} on all", lambda: all(node.green(route) == green for node in self.nodes), seconds)
        except AssertionError as late:
            nodes = "\n".join(f"{node.green(route)} {json.dumps(node.fleet())}" for node in self.nodes)
            raise AssertionError(f"{late}\n{nodes}") from None

    def agree(self):
        wait_until("all digests are the same", lambda: len({node.digest() for node in self.nodes}) == 1)
        wait_until("all follow", lambda: all(node.fleet()["state"] == "following" for node in self.nodes))


def changes(world):
    took = []
    for number in range(20):
        node = world.nodes[number % 3]
        start = time.monotonic()
        status, receipt = node.split("chat", number + 1)
        assert status == 200, receipt
        answered = time.monotonic()
        world.all_have(number + 1)
        took.append((answered - start, time.monotonic() - start))
    world.agree()
    answers, all_live = sorted(one for one, _ in took), sorted(two for _, two in took)
    return f"median: answered after {answers[10] * 1000:.1f} ms, seen on all three after {all_live[10] * 1000:.1f} ms"


def whole_fleet(world):
    """A receipt that has waited for the fleet is one after which every node has the change, and names those that have not."""
    took = []
    for number in range(20):
        start = time.monotonic()
        status, receipt = world.nodes[number % 3].split("chat", 400 + number, "?wait=fleet&timeout=20s")
        took.append(time.monotonic() - start)
        assert status == 200 and "converged_at" in receipt["fleet"], receipt
        assert (receipt["fleet"]["nodes"], receipt["fleet"]["waiting_for"]) == (3, 0), receipt
        assert [node.green() for node in world.nodes] == [400 + number] * 3
    took.sort()
    # Without reports at once it would be the three seconds between two of them.
    assert took[10] < 0.5, took
    a, _, c = world.nodes
    back = a.cli("rollback", "--wait-fleet")
    assert back.returncode == 0 and "taken up by every worker of 3 nodes" in back.stdout, back
    assert [node.green() for node in world.nodes] == [418] * 3
    assert "fleet: a follows its fleet: revision" in a.cli("status").stdout
    world.traffic.pause.add("c")
    c.process.child.send_signal(signal.SIGSTOP)
    late = a.cli("split", "chat", "green=42", "--wait-fleet=300ms")
    c.process.child.send_signal(signal.SIGCONT)
    world.traffic.pause.discard("c")
    assert late.returncode == 75 and "1 of 3 nodes not known to have it" in late.stderr, late
    assert "    c has revision" in late.stderr, late.stderr
    status, text = a.post("/v1/rollback?wait=fleet")
    assert status == 200 and "converged_at" in json.loads(text)["fleet"], text
    world.all_have(418)
    return f"median {took[10] * 1000:.1f} ms, longest of 20 {took[-1] * 1000:.1f} ms"


def lease(world):
    """A lease that somebody has ended is granted again with the next report, also where it was kept a moment ago."""
    node, lost = world.nodes[0], "this node does not follow its fleet"
    key = base64.b64encode(f"test/nodes/{node.name}".encode()).decode()
    before = node.process.log.read_text().count(lost)
    for number in range(5):
        for green in (430, 431):
            status, receipt = node.split("chat", green, "?wait=fleet&timeout=20s")
            assert status == 200 and "converged_at" in receipt["fleet"], receipt
            if green == 430:
                (pair,) = world.etcd.ask("/v3/kv/range", {"key": key})["kvs"]
                world.etcd.ask("/v3/lease/revoke", {"ID": pair["lease"]})
    assert len(node.fleet()["nodes"]) == 3, node.fleet()
    assert node.process.log.read_text().count(lost) == before, node.process.log.read_text()[-2000:]


def rollback(world):
    world.nodes[0].split("chat", 500)
    world.all_have(500)
    status, text = world.nodes[2].post("/v1/rollback")
    assert status == 200, text
    world.all_have(20)
    # The next one on another node goes one further back, and not forth.
    status, text = world.nodes[1].post("/v1/rollback")
    assert status == 200, text
    world.all_have(19)
    world.agree()


def sealed(world):
    """A token that one node has sealed opens on the others: they have their keys in common."""
    status, text = world.nodes[0].post("/v1/routes/chat/preview", {"release": "green"})
    assert status == 200, text
    made = json.loads(text)
    for node in world.nodes:
        request = urllib.request.Request(f"http://127.0.0.1:{node.plain}/", headers={made["header"]: made["token"]})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.read() == b"green", node.name


def at_once(world):
    for number in range(10):
        answers = {}

        def change(node, route, weight):
            answers[node.name] = node.split(route, weight)

        threads = [
            threading.Thread(target=change, args=(node, route, 600 + number))
            for node, route in zip(world.nodes, ("chat", "tools", "chat"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for status, answer in answers.values():
            assert status == 200, answers
        world.all_have(600 + number, "tools")
        world.all_have(600 + number)
    base = json.loads(world.nodes[0].get("/v1/status")[1])["revision"]
    world.nodes[0].split("chat", 700)
    world.all_have(700)
    headers = [("If-Match", f'"{base}"')]
    status, text = world.nodes[0].request("PUT", "/v1/routes/chat/split", {"weights": {"blue": 1, "green": 1}}, headers)
    assert status == 412, text
    world.agree()


def quorum(world):
    world.nodes[0].split("chat", 750)
    world.all_have(750)
    for number in (1, 2):
        world.etcd.signal(number, signal.SIGSTOP)
    try:
        a, b, _ = world.nodes
        wait_until("the loss is noticed", lambda: all(node.fleet()["state"] == "alone" for node in world.nodes), 15)
        start = time.monotonic()
        status, problem = b.split("chat", 800)
        refused = time.monotonic() - start
        assert (status, problem["type"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]) == (503, "not-shared"), problem
        assert refused < 0.5, refused
        start = time.monotonic()
        status, text = a.post("/v1/routes/chat/rollback")
        took = time.monotonic() - start
        assert status == 200, text
        assert a.green() == 700 and b.green() == 750
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{a.observe}/metrics", timeout=5).read().decode()
        assert re.search(r"^switchback_fleet_following 0$", metrics, re.M), "the metric says that it follows"
        # Its rollback outlives a kill.
        world.traffic.pause.add("a")
        a.process.child.kill()
        a.process.child.wait()
        a.start()
        world.traffic.pause.discard("a")
        assert a.green() == 700
    finally:
        for number in (1, 2):
            world.etcd.signal(number, signal.SIGCONT)
    world.all_have(700, seconds=20)
    world.agree()
    return f"a change was refused after {refused * 1000:.0f} ms, a rollback live after {took * 1000:.0f} ms"


def dispute(world):
    a, b, _ = world.nodes
    a.split("chat", 710)
    world.all_have(710)
    # A proxy that is stopped is a proxy without the store for all others.
    for number in (0, 1, 2):
        world.etcd.signal(number, signal.SIGSTOP)
    wait_until("the loss is noticed", lambda: a.fleet()["state"] == "alone", 15)
    assert a.post("/v1/routes/chat/rollback")[0] == 200
    world.traffic.pause.add("a")
    a.process.child.send_signal(signal.SIGSTOP)
    for number in (0, 1, 2):
        world.etcd.signal(number, signal.SIGCONT)
    wait_until("b follows", lambda: b.fleet()["state"] == "following", 20)
    assert b.split("chat", 720)[0] == 200
    a.process.child.send_signal(signal.SIGCONT)
    wait_until("a is in dispute", lambda: any(one.get("disputed") for one in a.fleet().get("rollbacks", [])), 20)
    world.traffic.pause.discard("a")
    assert (a.green(), b.green()) == (700, 720)
    shown = subprocess.run([binary(), "fleet", "status"], env={"SWITCHBACK_ADMIN": f"http://127.0.0.1:{a.admin}"},
                           capture_output=True, text=True).stdout
    assert "in dispute" in shown, shown
    status, text = a.post("/v1/fleet/keep", {"keep": "mine"})
    assert status == 200, text
    world.all_have(700)
    world.agree()


def kills(world):
    """Publishes on two nodes while the third is killed again and again: what was acknowledged is there in its order."""
    stop, acknowledged, victim = threading.Event(), {"chat": [], "tools": []}, world.nodes[2]
    refused = {}

    def publish(node, route):
        weight = 0
        while not stop.is_set():
            weight += 1
            status, answer = node.split(route, weight)
            if status == 200:
                acknowledged[route].append(weight)
            else:
                refused[route] = answer

    threads = [threading.Thread(target=publish, args=pair) for pair in zip(world.nodes[:2], ("chat", "tools"))]
    for thread in threads:
        thread.start()
    world.traffic.pause.add("c")
    for _ in range(3):
        victim.process.child.kill()
        victim.process.child.wait()
        victim.start()
        wait_until("c follows", lambda: victim.fleet()["state"] == "following", 15)
    world.traffic.pause.discard("c")
    try:
        wait_until("both publish", lambda: all(acknowledged.values()), 15)
    except AssertionError as error:
        raise AssertionError(refused) from error
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for route, weights in acknowledged.items():
        world.all_have(weights[-1], route)
    world.agree()
    return f"{len(acknowledged['chat'])} and {len(acknowledged['tools'])} changes beside 3 kills"


def verdict(world):
    """A release that fails once on each node is taken back: three failures of the fleet, and one of each node."""
    a = world.nodes[0]
    a.split("tools", 0)
    world.all_have(0, "tools")
    plan = {"steps": [{"weight": 5, "hold": "10m"}, {"weight": 100}]}
    status, text = a.post("/v1/rollouts", {"route": "tools", "to": "green", "plan": plan})
    assert status in (200, 201), text
    started = time.monotonic()
    path = f"/v1/rollouts/{json.loads(text)['id']}"
    rollout = lambda: json.loads(a.get(path)[1])
    wait_until("all nodes count", lambda: rollout()["verdict"].get("nodes") == 3, 10)
    for node in world.nodes:
        assert rollout()["state"] == "running", rollout()
        fail_once(node)
    wait_until("it is taken back", lambda: rollout()["state"] == "rolled_back", 10)
    words = rollout()["verdict"]["words"]
    assert "(3 of 3)" in words and "counted on 3 of 3 nodes" in words, words
    world.all_have(0, "tools")
    world.agree()
    return f"taken back {time.monotonic() - started:.1f} s after its start: {words}"


def fail_once(node):
    """Sends requests until one of them fails."""
    for _ in range(5_000):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{node.plain}/tools/bad", timeout=10).read()
        except urllib.error.HTTPError as error:
            # A client that leaves before the end is no failure of the release.
            error.read()
            assert error.code == 500, error
            return
    raise AssertionError("no request came to green")


def members(world):
    """A member that dies is one that nobody misses."""
    world.etcd.signal(0, signal.SIGKILL)
    wait_until("a change is made", lambda: world.nodes[1].split("chat", 333)[0] == 200, 15)
    world.all_have(333, seconds=15)
    world.agree()


def rollout(world):
    """The node that runs a rollout is killed: another one goes on with it, and a command on a third one is carried out."""
    owner, others = world.nodes[2], world.nodes[:2]
    assert owner.split("chat", 0)[0] == 200
    world.all_have(0)
    # What the figures of the fleet have taken back before is in quarantine on all nodes, and lifted by one.
    wait_until("it is in quarantine here", lambda: json.loads(owner.get("/v1/quarantine")[1])["releases"])
    assert owner.request("DELETE", "/v1/quarantine/green")[0] == 200
    steps = [{"weight": 10, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "1h"}]
    status, text = owner.post("/v1/rollouts", {"route": "chat", "to": "green", "plan": {"steps": steps}})
    assert status == 201, text
    name = json.loads(text)["id"]
    path = f"/v1/rollouts/{name}"

    def shown(node):
        found = json.loads(node.get(path)[1])
        return found.get("node"), found.get("step"), found.get("weight")

    wait_until("all list it", lambda: all(shown(node) == ("c", 0, 10) for node in world.nodes))
    world.traffic.pause.add("c")
    owner.process.child.kill()
    owner.process.child.wait()
    start = time.monotonic()
    wait_until("another node runs it", lambda: all(shown(node)[0] in ("a", "b") for node in others), 20)
    took = time.monotonic() - start
    runs_on = shown(others[0])[0]
    assert runs_on == others[0].fleet()["leader"]["node"], runs_on
    other = next(node for node in others if node.name != runs_on)

    def knows_the_step():
        return any(entry["what"].startswith("step 1: ") for entry in json.loads(other.get(path)[1])["log"])

    wait_until("the step that was made is found", knows_the_step)
    status, text = other.post(f"{path}/skip")
    assert status == 200, text
    owner.start()
    world.traffic.pause.discard("c")
    wait_until("all know who runs it", lambda: all(shown(node) == (other.name, 1, 50) for node in world.nodes))
    status, text = owner.post(f"{path}/abort")
    assert status == 200, text
    world.all_have(0)
    world.agree()
    made = [one for one in json.loads(other.get("/v1/revisions")[1])["revisions"] if one["author"]["name"] == f"rollout {name}"]
    assert len(made) == 3, made
    return f"taken over {took:.1f} s after the kill, with a lease of 5 s; two steps and the way back are three revisions"


def namesake(world):
    """Two proxies with one name hide each other, and the log says so."""
    node = Node(world.path / "namesake", "c", world.etcd, world.agents)
    logs = [node.process.log, world.nodes[2].process.log]
    wait_until("the log says so", lambda: any("has the same name" in log.read_text() for log in logs), 15)
    assert node.process.stop() == 0
    assert "has the same name" not in world.nodes[0].process.log.read_text()


def offers(world):
    """Two more nodes tell each other of rollbacks; the others have no `[fleet.peers]`."""
    a, etcd, agents = world.nodes[0], world.etcd, world.agents
    certificate, ports = Certificate(world.path / "certificates"), [free_port(), free_port()]
    d, e = (GuardedNode(world.path / name, name, etcd, agents, certificate, port, ports) for name, port in zip("de", ports))
    try:
        for weight in (730, 740):
            assert a.split("chat", weight)[0] == 200
            wait_until("both have it", lambda: (d.green(), e.green()) == (weight, weight))
        for number in (1, 2):
            etcd.signal(number, signal.SIGSTOP)
        try:
            wait_until("the loss is noticed", lambda: all(node.fleet()["state"] == "alone" for node in (a, d, e)), 15)
            start = time.monotonic()
            assert d.post("/v1/routes/chat/rollback")[0] == 200
            assert (d.green(), a.green()) == (730, 740)
            wait_until("the other one has it", lambda: e.green() == 730)
            took = time.monotonic() - start
            wait_until("it is told who has it", lambda: [peer["taken"] for peer in d.fleet()["peers"]] == [0, 1])
            assert d.fleet()["peers"][1]["node"] == "e", d.fleet()
            offer = {"node": "x", "revision": 1, "author": {"actor": "api", "name": "x"}, "rollbacks": []}
            assert e.request("POST", "/v1/fleet/offers", offer, token=None)[0] == 401
            # What was taken outlives a kill, and its node tells of it as well.
            e.process.child.kill()
            e.process.child.wait()
            e.start()
            assert e.green() == 730
            wait_until("it tells of what it has taken", lambda: [peer["taken"] for peer in e.fleet()["peers"]] == [1, 0])
            assert a.green() == 740
        finally:
            for number in (1, 2):
                etcd.signal(number, signal.SIGCONT)
        world.all_have(730, seconds=20)
        world.agree()
        wait_until("nothing is left to tell", lambda: not any(node.fleet().get("rollbacks") for node in (d, e)), 20)
        assert len({node.digest() for node in (a, d, e)}) == 1
        return f"a rollback without etcd was live on the other node after {took * 1000:.0f} ms"
    finally:
        for node in (d, e):
            node.stop()


def page(path):
    """Every command of docs/fleet.md for one machine, as somebody pastes them: none fails. tests/install runs those for
    systemd, tests/kubernetes those for Kubernetes."""
    text = (ROOT / "docs/fleet.md").read_text()
    text = text[text.index("\n## Ten commands\n"):text.index("\n## With systemd\n")]
    ports = {port: str(free_port()) for port in sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)))}
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
    script = ["set -euo pipefail", f"export PATH={pathlib.Path(binary()).parent}:$PATH"]
    for name, content in re.findall(r"`(\w+\.toml)`:\n+```toml\n(.*?)```", text, re.S):
        (path / name).write_text(content)
    commands = [line[2:] for block in re.findall(r"```console\n(.*?)```", text, re.S) for line in block.splitlines() if line.startswith("$ ")]
    script += commands + ["kill $(jobs -p)", "wait || true"]
    ran = subprocess.run(["bash", "-c", "\n".join(script)], cwd=path, capture_output=True, text=True, timeout=50)
    logs = "".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in path.glob("*.log")) if ran.returncode else ""
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{logs}"
    assert "current" in ran.stdout, ran.stdout
    return f"{len(commands)} commands"


def main():
    suite = Suite()
    with folder() as path:
        world = World(path)
        suite.check("a change on one node is live on all", changes, world)
        suite.check("a rollback on one node is live on all, and no undo stack leads forth again", rollback, world)
        suite.check("a change can be waited for until every node has it", whole_fleet, world)
        suite.check("a lease that somebody has ended is granted again", lease, world)
        suite.check("what one node has sealed every node opens", sealed, world)
        suite.check("nodes that write at once lose nothing", at_once, world)
        suite.check("without a quorum changes are refused and a rollback is live, through a kill", quorum, world, seconds=60)
        suite.check("what two people contradict waits for one of them", dispute, world, seconds=60)
        suite.check("a proxy that is killed amid publishes ends with what the others have", kills, world)
        suite.check("a release that fails once on each of three nodes is taken back by the sum", verdict, world)
        suite.check("a member of etcd that dies is not missed", members, world)
        suite.check("the rollout of a node that is killed goes on on another one", rollout, world, seconds=60)
        suite.check("two proxies with one name are told", namesake, world)
        suite.check("without a quorum a rollback is told to the nodes that can be reached", offers, world, seconds=60)
        suite.check("no request was lost by any of it", lambda: f"{world.traffic.finish()} requests")
    with folder() as path:
        suite.check("the commands of docs/fleet.md", page, path)
    suite.finish()


main()
