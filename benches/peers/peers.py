"""Starts each candidate with one worker, its split 90/10, `X-Forwarded-For` added and no log; ends them by PID."""

import http.client
import json
import os
import resource
import socket
import subprocess
import time

import configs


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def pinned(core, command, **options):
    return subprocess.Popen(["taskset", "-c", str(core)] + command, **options)


def wait_for(port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


class Origin:
    """Blue and green, over HTTP/1.1 and HTTP/2, in one process on core 1."""

    def __init__(self, load):
        self.blue, self.green, self.h2_blue, self.h2_green = free_ports(4)
        command = [load, "origin", "--blue", self.blue, "--green", self.green, "--h2-blue", self.h2_blue, "--h2-green", self.h2_green]
        self.process = pinned(1, [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Peer:
    """One candidate. `ports` maps plain, tls, h2 (down only) and grpc (both sides) to where it listens."""

    def __init__(self, bench, name, routes=1):
        self.bench, self.name, self.routes = bench, name, routes
        self.folder = os.path.join(bench.folder, f"{name}-{routes}-{time.monotonic_ns()}")
        os.makedirs(self.folder)
        self.ports = dict(zip(("plain", "tls", "h2", "grpc", "admin"), free_ports(5)))
        command, self.environment = getattr(configs, name)(self)
        log = open(os.path.join(self.folder, "log"), "wb")
        self.process = pinned(0, command, stdout=log, stderr=log, cwd=self.folder, env=dict(os.environ, **self.environment))
        try:
            for kind in ("plain", "tls", "h2", "grpc"):
                wait_for(self.ports[kind])
        except RuntimeError:
            with open(os.path.join(self.folder, "log")) as told:
                raise RuntimeError(f"{name} did not start:\n" + told.read()[-3000:]) from None
        time.sleep(0.2)

    @property
    def pid(self):
        return self.process.pid

    def flip(self, to):
        """Gives `to` everything; returns when the candidate's own command says that it is done."""
        configs.flip(self, to)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


class Direct:
    """No proxy at all: what everybody's latency is compared with."""

    name = "direct"

    def __init__(self, origin):
        self.ports = {"plain": origin.blue, "h2": origin.h2_blue, "grpc": origin.h2_blue}
        self.pid = origin.process.pid

    def stop(self):
        pass


class Bench:
    """Origin, binaries, a certificate, and the candidates that run now."""

    def __init__(self, folder, binaries, names):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.folder, self.binaries, self.names = folder, binaries, names
        self.cert, self.key, self.both = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench.test",
             "-addext", "subjectAltName=DNS:bench.test", "-keyout", self.key, "-out", self.cert],
            check=True, stderr=subprocess.DEVNULL,
        )
        with open(self.both, "w") as both:
            both.write(open(self.cert).read() + open(self.key).read())
        self.origin = Origin(binaries["load"])
        self.running = {}

    def peer(self, name, routes=1):
        if name == "direct":
            return Direct(self.origin)
        key = (name, routes)
        if key not in self.running:
            self.running[key] = Peer(self, name, routes)
        return self.running[key]

    def fresh(self, name, routes=1):
        old = self.running.pop((name, routes), None)
        if old:
            old.stop()
        return self.peer(name, routes)

    def load(self, verb, address, **arguments):
        """Starts the load generator on core 1."""
        command = [self.binaries["load"], verb, "--address", f"127.0.0.1:{address}"]
        for key, value in arguments.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        return pinned(1, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measured(self, verb, address, **arguments):
        process = self.load(verb, address, **arguments)
        out, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            raise RuntimeError(f"the load generator failed: {verb} {arguments}")
        return json.loads(out.strip().splitlines()[-1])

    def stop(self):
        for peer in self.running.values():
            peer.stop()
        self.origin.stop()


def admin(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"content-type": "application/json"} if body is not None else {}
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
    return json.loads(text) if text else None
