"""The fleet of docker/kubernetes/example-fleet, by the commands of docs/fleet.md: three proxies and three members of etcd as
their pods run them, behind the names that the cluster's DNS gives them.

It runs in a network namespace of its own (`unshare`), as names.py does. Each pod has an address of its own there, and each
proxy a host name; its configuration is that of the manifests, but for addresses, folders and the plans. A kubectl of the suite
asks this process for what the cluster would do.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from harness import ROOT, Process, binary, folder, wait_until
from live import QUICK, ended, secrets_of, users_of
from manifests import FOLDER, kustomize
from names import AgentPod, ClusterDns, be_a_pod
from static import same

DOMAIN = "agents.svc.cluster.local"
CLUSTER = ("127.0.0.1", 7000)

KUBECTL = """#!{python}
import json, os, sys, urllib.request
request = urllib.request.Request("http://{host}:{port}/", json.dumps(sys.argv[1:]).encode(), method="POST")
answer = json.load(urllib.request.urlopen(request))
if "command" in answer:
    os.execve(answer["binary"], answer["command"], answer["environment"])
sys.exit(answer["said"] or 0)
"""

# What the kubelet does: a container that ends is started again. It waits for longer.
PAUSE = 0.5


class Pod:
    """A pod of a StatefulSet with one container, on an address of its own, started again whenever it ends."""

    # Statuses of an end in order.
    ENDS = (0,)

    def __init__(self, path, stateful_set, name, address):
        self.name, self.address, self.path = name, address, path / name
        self.template = stateful_set["spec"]["template"]["spec"]
        (self.container,) = self.template["containers"]
        self.volume = self.path / "volume"
        self.volume.mkdir(parents=True, exist_ok=True)
        self.is_wanted, self.process, self.failures = threading.Event(), None, []
        self.is_wanted.set()
        self.kubelet = threading.Thread(target=self.keep_running, daemon=True)
        self.kubelet.start()

    def keep_running(self):
        for turn in range(1000):
            command, environment = self.command(), self.environment()
            self.process = Process(f"{self.name}-{turn}", command, self.path, env={**os.environ, **environment})
            while self.process.child.poll() is None and self.is_wanted.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.child.wait(PAUSE)
            if not self.is_wanted.is_set():
                self.process.stop(30)
                return
            self.failures.append(self.process.child.returncode)

    def end(self):
        self.is_wanted.clear()
        self.kubelet.join(40)
        status = self.process.child.returncode
        assert status in self.ENDS, f"{self.name} ended with {status}\n{self.said()}"

    def is_ready(self):
        probe = self.container["readinessProbe"]["httpGet"]
        (port,) = [one["containerPort"] for one in self.container["ports"] if one["name"] == probe["port"]]
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(probe["path"], port)[0] == 200
        return False

    def get(self, path, port=8080):
        connection = http.client.HTTPConnection(self.address, port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def said(self):
        return self.process.log.read_text()


class EtcdPod(Pod):
    # It ends by the signal that it was sent.
    ENDS = (0, -signal.SIGTERM)

    def environment(self):
        return {}

    def command(self):
        places = {"$(POD_NAME)": self.name, "/var/lib/etcd": str(self.volume), "//0.0.0.0:": f"//{self.address}:"}
        words = [*self.container["command"], *self.container["args"]]
        for written, here in places.items():
            words = [word.replace(written, here) for word in words]
        return words


class ProxyPod(Pod):
    def __init__(self, path, stateful_set, name, address, config, secrets):
        self.config, self.secrets = config, secrets
        super().__init__(path, stateful_set, name, address)

    def here(self, text):
        places = {"/run/secrets/switchback": str(self.secrets), "/var/lib/switchback": str(self.volume),
                  "/etc/switchback": str(self.path), "0.0.0.0:": f"{self.address}:", "127.0.0.1:9900": f"{self.address}:9900",
                  'not_ready_for = "30s"': 'not_ready_for = "1s"'}
        for written, place in places.items():
            text = text.replace(written, place)
        return text

    def environment(self):
        written = {one["name"]: self.here(one["value"]) for one in self.container["env"]}
        return {**written, "SWITCHBACK_ADMIN": f"http://{self.address}:9900"}

    def command(self):
        (self.path / "switchback.toml").write_text(self.here(self.config))
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$1"; shift; exec "$@"', "sh", self.name]
        return [*named, binary(), *map(self.here, self.container["args"])]

    def switchback(self, *arguments):
        done = subprocess.run([binary(), *arguments], env=self.environment(), capture_output=True, text=True)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def green(self):
        """The share of green."""
        return json.loads(self.switchback("route", "show", "chat", "--json"))["split"]["green"]


class Cluster:
    """What a cluster makes of the commands of the page: its StatefulSets by name, each a list of pods."""

    def __init__(self, path):
        self.path, self.secrets, self.dns = path, secrets_of(path), ClusterDns()
        self.sets, self.kinds, self.lost, self.agents = {}, {}, set(), []
        cluster = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                words = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = json.dumps(cluster.kubectl(words)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        door = http.server.ThreadingHTTPServer(CLUSTER, Door)
        threading.Thread(target=door.serve_forever, daemon=True).start()
        tools = path / "bin"
        tools.mkdir()
        (tools / "kubectl").write_text(KUBECTL.format(python=sys.executable, host=CLUSTER[0], port=CLUSTER[1]))
        (tools / "kubectl").chmod(0o755)
        self.environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(path)}

    def kubectl(self, words):
        match words:
            case ["exec", pod, "-c", "switchback", "--", "switchback", *arguments] if pod in self.names("switchback"):
                found = self.pod(pod)
                return {"binary": binary(), "command": ["switchback", *arguments], "environment": found.environment()}
            case ["apply", "-k", place]:
                said = self.apply(kustomize(ROOT / place))
            case ["rollout", "status", place] if place.removeprefix("statefulset/") in self.sets:
                said = self.wait_for(place.removeprefix("statefulset/"))
            case ["scale", "statefulset/switchback", count]:
                said = self.scale("switchback", int(count.removeprefix("--replicas=")))
            case ["delete", place, "--wait=false"] if place.removeprefix("pvc/history-") in self.names("switchback"):
                # It is gone once no pod has it.
                said = self.lost.add(place.removeprefix("pvc/history-"))
            case ["delete", place] if place.removeprefix("pod/") in self.names("switchback"):
                said = self.replace("switchback", place.removeprefix("pod/"))
            case _:
                said = f"kubectl: {' '.join(words)}"
        return {"said": said}

    def names(self, name):
        return [pod.name for pod in self.sets.get(name, ())]

    def pod(self, name):
        return next(pod for pod in self.sets[name.rpartition("-")[0]] if pod.name == name)

    def apply(self, manifests, replicas=None):
        """Objects that are new, and pods one after the other with what is new about them, the last one first."""
        if not self.agents:
            self.start_agents(manifests)
        sets = {one["metadata"]["name"]: one for one in manifests.of("StatefulSet")}
        config = manifests.config() + QUICK
        if "etcd" in sets:
            self.kinds["etcd"] = lambda name, number: EtcdPod(self.path, sets["etcd"], name, f"127.0.2.{number}")
        self.kinds["switchback"] = lambda name, number: ProxyPod(
            self.path, sets["switchback"], name, f"127.0.3.{number}", config, self.secrets)
        for name, one in sets.items():
            before = self.names(name)
            self.scale(name, replicas or one["spec"]["replicas"])
            for pod in reversed(before):
                self.replace(name, pod)
                assert not (late := self.wait_for(name)), late

    def start_agents(self, manifests):
        for number, release in enumerate(("blue", "green"), 1):
            self.agents.append(AgentPod(self.path, manifests.one("Deployment", f"chat-{release}"), f"127.0.1.{number}"))
            self.dns.zone[f"chat-{release}.{DOMAIN}"] = [f"127.0.1.{number}"]

    def scale(self, name, count):
        """A new pod has a name and an address, ready or not."""
        pods = self.sets.setdefault(name, [])
        for number in range(len(pods), count):
            pods.append(self.started(name, number))

    def started(self, name, number):
        pod = self.kinds[name](f"{name}-{number}", number)
        self.dns.zone[f"{pod.name}.{name}.{DOMAIN}"] = [pod.address]
        return pod

    def replace(self, name, pod):
        """The StatefulSet makes another pod of that name, with a new volume if the earlier one is gone."""
        number = self.names(name).index(pod)
        self.sets[name][number].end()
        if pod in self.lost:
            shutil.rmtree(self.sets[name][number].volume)
            self.lost.remove(pod)
        self.sets[name][number] = self.started(name, number)

    def wait_for(self, name):
        def are_ready():
            return all(pod.is_ready() for pod in self.sets[name])

        try:
            wait_until(f"{name} is ready", are_ready, 30)
        except AssertionError as late:
            return f"{late}\n" + "\n".join(f"--- {pod.name}\n{pod.said()[-2000:]}" for pod in self.sets[name])


def commands_of_the_page():
    page = (ROOT / "docs/fleet.md").read_text()
    section = page[page.index("\n## With Kubernetes\n"):]
    section = section[:section.index("\n## ", 1)]
    blocks = re.findall(r"^```console\n(.*?)^```", section, re.M | re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def the_commands_of_the_page_work(cluster):
    commands = commands_of_the_page()
    assert len(commands) >= 15, commands
    script = "\n".join(["set -euo pipefail", *commands])
    done = subprocess.run(["bash", "-c", script], env=cluster.environment, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    proxies = cluster.sets["switchback"]
    same([pod.green() for pod in proxies], [10] * 4)
    wait_until("each node has the name of its pod", lambda: nodes(proxies[0]) == [pod.name for pod in proxies])
    return len(commands)


def nodes(pod):
    """The names of the fleet's nodes, as one of them knows them."""
    return sorted(one["node"] for one in json.loads(pod.switchback("fleet", "status", "--json"))["nodes"])


def a_job_releases_at_one_pod(cluster):
    one, *others = cluster.sets["switchback"]
    one.switchback("switch", "chat", "blue", "--force", "--wait-fleet")
    environment = {**cluster.environment, "PODS": "switchback-0", "PLAN": "quick"}
    command = [ROOT / "docs/ci/kubernetes.sh", "chat", "green", "3.0.0", "http://chat-green:9000"]
    with contextlib.ExitStack() as stack:
        for pod in cluster.sets["switchback"]:
            stack.enter_context(users_of(pod))
        job = subprocess.Popen(command, env=environment, cwd=cluster.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        ended(job, 0)
    wait_until("green has the users of all", lambda: all(pod.green() > 0 and not blue(pod) for pod in cluster.sets["switchback"]))


def blue(pod):
    return json.loads(pod.switchback("route", "show", "chat", "--json"))["split"].get("blue")


def without_etcd_a_pod_needs_its_volume(cluster):
    """One with its volume starts again; one without does not, until etcd is back."""
    _, two, three, _ = cluster.sets["switchback"]
    for pod in cluster.sets["etcd"]:
        pod.process.child.send_signal(signal.SIGSTOP)
    cluster.replace("switchback", two.name)
    cluster.lost.add(three.name)
    cluster.replace("switchback", three.name)
    _, two, three, _ = cluster.sets["switchback"]
    wait_until("the pod with a volume is ready", two.is_ready, 30)
    same(two.get("/")[0], 200)
    wait_until("the pod without one has ended", lambda: three.failures, 30)
    # A mistake in its configuration would be 78.
    same((set(three.failures), three.is_ready()), ({75}, False))
    for pod in cluster.sets["etcd"]:
        pod.process.child.send_signal(signal.SIGCONT)
    same(cluster.wait_for("switchback"), None)
    same(three.green(), two.green())


def pods_that_serve_become_a_fleet(cluster):
    """Two whose tables are neither that of their file nor the same: the table of the last one becomes that of the fleet."""
    cluster.apply(kustomize(FOLDER / "example"))
    same(cluster.wait_for("switchback"), None)
    for pod, share in zip(cluster.sets["switchback"], (30, 20)):
        pod.switchback("split", "chat", f"green={share}")
    cluster.apply(kustomize(FOLDER / "example-fleet"), replicas=2)
    cluster.scale("switchback", 3)
    same(cluster.wait_for("switchback"), None)
    same([pod.green() for pod in cluster.sets["switchback"]], [20] * 3)


def the_page(cluster):
    count = the_commands_of_the_page_work(cluster)
    a_job_releases_at_one_pod(cluster)
    without_etcd_a_pod_needs_its_volume(cluster)
    return f"{count} commands"


def main(what):
    with folder() as path:
        be_a_pod(path)
        cluster = Cluster(path)
        said = what(cluster)
        for pods in reversed(cluster.sets.values()):
            for pod in pods:
                pod.end()
        print(said or "")
        for process in Process.started:
            process.stop()


if __name__ == "__main__":
    main({"page": the_page, "serving": pods_that_serve_become_a_fleet}[sys.argv[1]])
