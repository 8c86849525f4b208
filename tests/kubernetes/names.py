"""Agents behind a headless Service, as the proxy of the manifests sees them: by its DNS name, on addresses of their own.

It runs in a network namespace of its own (`unshare`), where every port is free and /etc/resolv.conf is that of a pod. So the
configuration of the pod is taken as it is, but for its folders.
"""

import contextlib
import fcntl
import http.client
import json
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from harness import Process, binary, folder, wait_until
from live import secrets_of
from manifests import FOLDER, kustomize
from static import same

# /etc/resolv.conf of a pod in the namespace `agents`.
RESOLVER = "search agents.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n"
NAME = "chat-{}.agents.svc.cluster.local"

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
A, SERVFAIL, NXDOMAIN = 1, 2, 3


def be_a_pod(path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    (path / "resolv.conf").write_text(RESOLVER)
    subprocess.run(["mount", "--bind", str(path / "resolv.conf"), "/etc/resolv.conf"], check=True)


class ClusterDns(threading.Thread):
    """The cluster's DNS: the ready addresses of each Service, with a time to live of a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.zone, self.fails, self.asked = {}, False, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(2048)
            self.socket.sendto(self.answer(query), client)
            self.asked += 1

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        question, (kind,) = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])
        addresses = self.zone.get(".".join(labels))
        code = SERVFAIL if self.fails else NXDOMAIN if not addresses else 0
        found = [] if code or kind != A else addresses
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 1, 4) + socket.inet_aton(one) for one in found)
        return query[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(found), 0, 0) + question + records

    def is_asked_again(self, times=8):
        """Waits for some more queries, so that the answers to earlier ones have been read."""
        enough = self.asked + times
        wait_until("more queries", lambda: self.asked >= enough, 60)


class AgentPod:
    """A pod of the Deployment of blue, on an address of its own and the port of all."""

    def __init__(self, path, deployment, address):
        self.address = address
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        arguments = [one.replace("0.0.0.0", address) for one in container["args"]]
        self.process = Process(f"agent-{address}", [binary(), *arguments], path)
        wait_until(f"{address} listens", self.is_ready)

    def is_ready(self):
        with contextlib.suppress(OSError):
            socket.create_connection((self.address, 9000), 1).close()
            return True
        return False


class ProxyPod:
    def __init__(self, path):
        manifests, secrets = kustomize(FOLDER / "base"), secrets_of(path)
        places = {"/run/secrets/switchback": str(secrets), "/var/lib/switchback": str(path), "/etc/switchback": str(path)}

        def here(text):
            for written, place in places.items():
                text = text.replace(written, place)
            return text

        (path / "switchback.toml").write_text(here(manifests.config()))
        self.environment = {key: here(value) for key, value in manifests.environment().items()}
        arguments = [here(one) for one in manifests.container()["args"]]
        self.process = Process("switchback", [binary(), *arguments], path, env=self.environment)
        for port in (*manifests.ports().values(), 9900):
            self.process.wait_for_port(port)

    def get(self, path, port=8080):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def addresses(self):
        """Those of the endpoints of blue that are healthy."""
        _, page = self.get("/metrics", 9901)
        lines = [line for line in page.splitlines() if line.startswith('switchback_endpoint_healthy{') and line.endswith(" 1")]
        return {re.search(r'address="([^":]+):', line)[1] for line in lines if 'release="blue"' in line}

    def has_work_elsewhere(self):
        """True while something is in flight on endpoints that have left blue."""
        done = subprocess.run([binary(), "drain", "blue", "--json"], env=self.environment, capture_output=True, check=True)
        return bool(json.loads(done.stdout).get("removed_endpoints"))


class Users:
    """Requests one after the other, in a few threads, ten minutes at most."""

    def __init__(self, proxy):
        self.statuses, self.done, self.proxy = {}, threading.Event(), proxy
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        for _ in range(300_000):
            if self.done.wait(0.002):
                return
            try:
                status = self.proxy.get("/")[0]
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join()
        return self.statuses


def main():
    with folder() as path:
        be_a_pod(path)
        deployment = kustomize(FOLDER / "example").one("Deployment", "chat-blue")
        dns, name = ClusterDns(), NAME.format("blue")
        pods = [AgentPod(path, deployment, f"127.0.1.{index}") for index in (1, 2)]
        dns.zone[name] = [pod.address for pod in pods]
        proxy = ProxyPod(path)
        wait_until("both agents are endpoints", lambda: proxy.addresses() == set(dns.zone[name]), 30)
        users = Users(proxy)
        try:
            roll(path, deployment, dns, name, pods, proxy)
            lose_the_control_plane(dns, name, proxy)
        finally:
            statuses = users.stop()
        same(set(statuses), {200})
        print(f"{statuses[200]} requests")
        for process in Process.started:
            process.stop()


def roll(path, deployment, dns, name, pods, proxy):
    """A rollout of the Deployment with `maxUnavailable: 0`, whose pods sleep in `preStop` until the proxies know."""
    for index, old in enumerate(list(pods)):
        new = AgentPod(path, deployment, f"127.0.2.{index}")
        pods.append(new)
        dns.zone[name] = [pod.address for pod in pods]
        wait_until(f"{new.address} is an endpoint", lambda: new.address in proxy.addresses(), 30)
        pods.remove(old)
        dns.zone[name] = [pod.address for pod in pods]
        wait_until(f"{old.address} is none", lambda: old.address not in proxy.addresses(), 30)
        wait_until("its turns are over", lambda: not proxy.has_work_elsewhere(), 30)
        old.process.child.send_signal(signal.SIGTERM)
        old.process.child.wait(10)
    same(proxy.addresses(), {"127.0.2.0", "127.0.2.1"})


def lose_the_control_plane(dns, name, proxy):
    """No answer takes an endpoint away: neither a server that fails, nor one that knows of no ready pod."""
    before = proxy.addresses()
    dns.fails = True
    dns.is_asked_again()
    same(proxy.addresses(), before)
    dns.fails, dns.zone[name] = False, []
    dns.is_asked_again()
    same(proxy.addresses(), before)


if __name__ == "__main__":
    main()
