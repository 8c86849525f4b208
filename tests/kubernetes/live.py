"""Two proxies as their pods run them, with the commands of docs/kubernetes.md and docs/ci/kubernetes.sh: a kubectl of the
suite runs `exec` on this machine, renders what is applied, and refuses everything else that the page should not have."""

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from xml.etree import ElementTree

from harness import ROOT, Process, accepts, binary, free_port, wait_until
from manifests import FOLDER, TOOLS, kustomize
from static import same

KUBECTL = """#!{python}
import json, os, subprocess, sys
here = json.load(open({about!r}))
arguments = sys.argv[1:]
while arguments[:1] in (["-n"], ["--namespace"]):
    arguments = arguments[2:]
verb, rest = arguments[0], arguments[1:]
if verb == "exec":
    pod, container, dashes, command = rest[0], rest[1:3], rest[3], rest[4:]
    if container != ["-c", "switchback"] or dashes != "--" or pod not in here["pods"] or command[0] != "switchback":
        sys.exit("kubectl exec: " + " ".join(rest))
    os.execve(here["binary"], command, here["pods"][pod])
if verb == "apply" and rest[0] == "-k":
    sys.exit(subprocess.run([here["kubectl"], "kustomize", rest[1]], stdout=subprocess.DEVNULL).returncode)
if verb == "create" and rest[:3] == ["secret", "generic", "switchback"]:
    made = subprocess.run([here["kubectl"], "create", *rest, "--dry-run=client", "-o", "json"], capture_output=True, text=True, check=True)
    open(here["secret"], "w").write(made.stdout)
    sys.exit(0)
allowed = {{"set": ["image"], "rollout": ["status"], "scale": [None]}}
objects = [one for one in rest if one.startswith("deployment/")]
if verb in allowed and (allowed[verb] == [None] or rest[:1] == allowed[verb]) and objects and objects[0] in here["deployments"]:
    containers = [one.split("=")[0] for one in rest if verb == "set" and "=" in one]
    sys.exit(0 if containers in ([], ["agent"]) else f"no container {{containers}}")
sys.exit("kubectl: " + " ".join(sys.argv[1:]))
"""

HELM = """#!/bin/sh
[ "$1 $2" = "upgrade --install" ] || exit 64
shift 2
exec {helm} template "$@" >/dev/null
"""

QUICK = """
[plans.quick]
steps = [{ weight = 25, hold = "1s" }, { weight = 100 }]
bake = "1s"

[plans.patient]
steps = [{ weight = 25, hold = "10m" }, { weight = 100 }]
"""


class Agent:
    """The sample agent of the example, with its arguments."""

    def __init__(self, folder, deployment):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        self.port = free_port()
        arguments = [one.replace("0.0.0.0:9000", f"127.0.0.1:{self.port}") for one in container["args"]]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process(deployment["metadata"]["name"], [binary(), *arguments], folder)
        self.process.wait_for_port(self.port)

    def behave(self, how):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/behave", json.dumps(how), {"content-type": "application/json"})
        same(connection.getresponse().status, 200)


class Pod:
    """One proxy: the command, the variables and the configuration of the manifests, on other ports and folders."""

    def __init__(self, name, manifests, folder, secrets, endpoints, not_ready_for, more=""):
        self.name, self.manifests, self.folder = name, manifests, folder / name
        self.folder.mkdir()
        self.http, self.observe, self.admin = (free_port() for _ in range(3))
        config, places = manifests.config(), {
            "0.0.0.0:8080": f"127.0.0.1:{self.http}", "127.0.0.1:9900": f"127.0.0.1:{self.admin}",
            "0.0.0.0:9901": f"127.0.0.1:{self.observe}", "/var/lib/switchback": str(self.folder),
            "/run/secrets/switchback": str(secrets), 'not_ready_for = "10s"': f'not_ready_for = "{not_ready_for}"', **endpoints,
        }
        for written, here in places.items():
            assert written in config, written
            config = config.replace(written, here)
        self.config = self.folder / "switchback.toml"
        self.config.write_text(config + more)
        self.environment = {
            **{key: value.replace("/run/secrets/switchback", str(secrets)).replace("/etc/switchback", str(self.folder))
               for key, value in manifests.environment().items()},
            "SWITCHBACK_ADMIN": f"http://127.0.0.1:{self.admin}",
        }
        arguments = [one.replace("/etc/switchback", str(self.folder)) for one in manifests.container()["args"]]
        self.process = Process(name, [binary(), *arguments], folder, env=self.environment)
        for port in (self.http, self.observe, self.admin):
            self.process.wait_for_port(port)
        wait_until(f"{name} is ready", lambda: self.probe("readinessProbe") == 200)

    def probe(self, name):
        probe = self.manifests.container()[name]["httpGet"]
        same(probe["port"], "observe")
        return self.get(probe["path"], self.observe)[0]

    def get(self, path, port=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def switchback(self, *arguments):
        done = subprocess.run([binary(), *arguments], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def split(self):
        weights = json.loads(self.switchback("route", "show", "chat", "--json"))["split"]
        return {release for release, weight in weights.items() if weight}


class Turn(http.server.BaseHTTPRequestHandler):
    """An agent whose answer to `/turn` ends when the test says so."""

    protocol_version = "HTTP/1.1"
    may_end = threading.Event()

    def do_GET(self):
        self.send_response(200)
        if self.path != "/turn":
            self.send_header("content-length", "0")
            return self.end_headers()
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.chunk(b"data: begun\n\n")
        assert self.may_end.wait(60)
        self.chunk(b"data: done\n\n")
        return self.chunk(b"")

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, *_):
        pass


def secrets_of(folder):
    """The Secret as the page makes it."""
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "operator-token").write_text(os.urandom(32).hex())
    (secrets / "session-key").write_text(os.urandom(32).hex())
    return secrets


def a_pod_that_ends_takes_connections_and_finishes_its_turns(folder):
    manifests = kustomize(FOLDER / "base")
    same(manifests.pod()["spec"]["containers"][0].get("lifecycle"), None)
    agent = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Turn)
    agent.daemon_threads = True
    threading.Thread(target=agent.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{agent.server_port}"
    pod = Pod("alone", manifests, folder, secrets_of(folder), {"http://chat-blue:9000": url, "http://chat-green:9000": url}, "5s")
    same([pod.probe(name) for name in ("startupProbe", "livenessProbe", "readinessProbe")], [200, 200, 200])
    with socket.create_connection(("127.0.0.1", pod.http), 10) as client:
        client.settimeout(30)
        client.sendall(b"GET /turn HTTP/1.1\r\nhost: chat\r\n\r\n")
        seen = b""
        while b"begun" not in seen:
            seen += client.recv(4096)
        pod.process.child.send_signal(signal.SIGTERM)
        wait_until("not ready", lambda: pod.probe("readinessProbe") == 503)
        same(pod.get("/")[0], 200)
        same(pod.probe("livenessProbe"), 200)
        wait_until("the listener is closed", lambda: not accepts(pod.http), 20)
        same(pod.process.child.poll(), None)
        Turn.may_end.set()
        while not seen.endswith(b"0\r\n\r\n"):
            more = client.recv(4096)
            assert more, seen
            seen += more
    assert b"data: done" in seen, seen
    same(pod.process.child.wait(20), 0)
    agent.shutdown()


class Cluster:
    """Two proxies and two agents, with a kubectl and a Helm in `path`."""

    def __init__(self, folder):
        self.folder, self.secret = folder, folder / "secret.json"
        manifests, example = kustomize(FOLDER / "base"), kustomize(FOLDER / "example")
        self.blue, self.green = (Agent(folder, example.one("Deployment", f"chat-{name}")) for name in ("blue", "green"))
        self.endpoints = {"http://chat-blue:9000": self.blue.url, "http://chat-green:9000": self.green.url}
        secrets = secrets_of(folder)
        names = [f"switchback-{index}" for index in range(manifests.one("StatefulSet")["spec"]["replicas"])]
        self.pods = [Pod(name, manifests, folder, secrets, self.endpoints, "1s", QUICK) for name in names]
        self.tools(example)

    def tools(self, example):
        path = self.folder / "bin"
        path.mkdir()
        about = self.folder / "cluster.json"
        about.write_text(json.dumps({
            "binary": binary(), "kubectl": str(TOOLS / "kubectl"), "secret": str(self.secret),
            "pods": {pod.name: pod.environment for pod in self.pods},
            "deployments": [f"deployment/{one['metadata']['name']}" for one in example.of("Deployment")],
        }))
        for name, text in (("kubectl", KUBECTL.format(python=sys.executable, about=str(about))), ("helm", HELM.format(helm=TOOLS / "helm"))):
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        self.environment = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": str(self.folder)}

    def each(self, *arguments):
        for pod in self.pods:
            pod.switchback(*arguments)

    def splits(self):
        return [pod.split() for pod in self.pods]

    def job(self, version, plan):
        command = [ROOT / "docs/ci/kubernetes.sh", "chat", "green", version, self.green.url]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env={**self.environment, "PLAN": plan}, cwd=self.folder, start_new_session=True, **options)


def commands_of_the_page():
    page = (ROOT / "docs/kubernetes.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.M | re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def the_commands_of_the_page_work(cluster):
    commands = commands_of_the_page()
    assert len(commands) >= 15, commands
    script = "set -eu\n"
    for index, command in enumerate(commands):
        for written, here in cluster.endpoints.items():
            command = command.replace(written, here)
        script += f"echo '-- {index}'\n{command}\n"
    done = subprocess.run(["bash", "-c", script], env=cluster.environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    same(cluster.splits(), [{"green"}, {"green"}])
    # The Secret of the page has what the configuration reads.
    made = json.loads(cluster.secret.read_text())
    config = tomllib.loads(kustomize(FOLDER / "base").config())
    files = [config["admin"]["tokens"][0]["file"], config["sessions"]["keys"][0]["file"]]
    same(sorted(made["data"]), sorted(one.rpartition("/")[2] for one in files))
    # What the first proxy has sealed, the second one opens: both have the key.
    (token,) = re.findall(r"-- \d+\n(\S+)\n", done.stdout[done.stdout.index(f"-- {preview_command(commands)}\n"):])[:1]
    for pod in cluster.pods:
        status, answer = pod.get("/", headers={"x-switchback-release": token})
        same((status, json.loads(answer)["release"]), (200, "blue"))
        same(json.loads(pod.get("/")[1])["release"], "green")
    return f"{len(commands)} commands"


def preview_command(commands):
    (index,) = [index for index, one in enumerate(commands) if " preview " in one]
    return index


def without_the_token_nothing_is_changed(cluster):
    for pod in cluster.pods:
        environment = {"SWITCHBACK_ADMIN": pod.environment["SWITCHBACK_ADMIN"]}
        done = subprocess.run([binary(), "rollback"], env=environment, capture_output=True, text=True)
        same(done.returncode, 77)


@contextlib.contextmanager
def users_of(pod):
    """Requests to one proxy for as long as the block lasts, a minute at most."""
    done = threading.Event()

    def ask():
        for _ in range(60_000):
            if done.is_set():
                return
            with contextlib.suppress(OSError, http.client.HTTPException):
                pod.get("/")
            done.wait(0.001)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def ended(job, status):
    said, _ = job.communicate(timeout=60)
    assert job.returncode == status, f"exit status {job.returncode}\n{said}"
    return said


def what_one_proxy_takes_back_leaves_both(cluster):
    cluster.each("switch", "chat", "blue", "--wait", "10s")
    cluster.green.behave({"error_rate": 0.5})
    with users_of(cluster.pods[1]):
        said = ended(cluster.job("3.0.0", "patient"), 83)
    same(cluster.splits(), [{"blue"}, {"blue"}])
    assert "fails" in said, said
    states = [json.loads(pod.switchback("rollout", "list", "--json"))["rollouts"][0]["state"] for pod in cluster.pods]
    same(states[0], "aborted")
    # Each proxy says for itself what it saw: one aborted by the job, one that has taken the release back.
    same(reports(cluster), {"switchback-0": ("rollout",), "switchback-1": ("rollout", "failures")})
    cluster.green.behave({})


def reports(cluster):
    """The checks that have failed, by proxy; the files are gone then."""
    failed = {}
    for path in sorted(cluster.folder.glob("rollout-*.xml")):
        suite = ElementTree.parse(path).getroot().find("testsuite")
        assert suite.get("name").startswith("rollout "), suite.attrib
        failed[path.stem.removeprefix("rollout-")] = tuple(
            case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None)
        path.unlink()
    return failed


def a_job_that_is_cancelled_leaves_no_canary(cluster):
    job = cluster.job("3.1.0", "patient")
    wait_until("both proxies have a canary", lambda: cluster.splits() == [{"blue", "green"}] * 2, 30)
    os.killpg(job.pid, signal.SIGTERM)
    ended(job, 143)
    same(cluster.splits(), [{"blue"}, {"blue"}])
    same(reports(cluster), {"switchback-0": ("rollout",), "switchback-1": ("rollout",)})


def a_good_release_gets_the_users_of_both(cluster):
    one, two = cluster.pods
    with users_of(one), users_of(two):
        ended(cluster.job("3.2.0", "quick"), 0)
    same(reports(cluster), {"switchback-0": (), "switchback-1": ()})
    same(cluster.splits(), [{"green"}, {"green"}])


CHECKS = (
    the_commands_of_the_page_work, without_the_token_nothing_is_changed, what_one_proxy_takes_back_leaves_both,
    a_job_that_is_cancelled_leaves_no_canary, a_good_release_gets_the_users_of_both,
)
