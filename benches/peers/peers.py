"""Starts each candidate with its split 90/10, `X-Forwarded-For` added and no log; ends them by PID."""

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


def pinned(cores, command, **options):
    return subprocess.Popen(["taskset", "-c", str(cores)] + [str(word) for word in command], **options)


def end(process):
    """Ends one process, by force after five seconds."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def wait_for(port, process, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


class Origin:
    """Blue and green, over HTTP/1.1 and HTTP/2, and blue over TLS, in one process on core 1."""

    def __init__(self, bench):
        self.blue, self.green, self.h2_blue, self.h2_green, self.tls = free_ports(5)
        command = [bench.binaries["load"], "origin", "--blue", self.blue, "--green", self.green, "--h2-blue", self.h2_blue, "--h2-green", self.h2_green]
        command += ["--tls", self.tls, "--cert", bench.cert, "--key", bench.key]
        self.process = pinned(1, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            end(self.process)


class Peer:
    """One candidate. `ports` maps plain, tls, h2 (down only) and grpc (both sides) to where it listens."""

    def __init__(self, bench, name, routes=1, workers=1, environment=None, history=None):
        self.bench, self.name, self.routes, self.workers = bench, name, routes, workers
        # Where requests go that a flip is about, and which side they are on.
        self.path, self.side = "/b/1024" if routes == 1 else f"/r/{routes - 1}", None
        self.folder = os.path.join(bench.folder, f"{name}-{routes}-{time.monotonic_ns()}")
        self.history = history or os.path.join(self.folder, "history")
        os.makedirs(self.folder)
        self.ports = dict(zip(("plain", "tls", "h2", "grpc", "admin"), free_ports(5)))
        command, own = getattr(configs, name)(self)
        cores = ",".join(str(core) for core in range(workers))
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = pinned(cores, command, stdout=log, stderr=log, cwd=self.folder, env=dict(os.environ, **own, **(environment or {})))
        try:
            for kind in ("plain", "tls", "h2", "grpc"):
                wait_for(self.ports[kind], self.process)
            configs.wait_until_ready(self)
        except RuntimeError:
            end(self.process)
            with open(os.path.join(self.folder, "log")) as told:
                raise RuntimeError(f"{name} did not start:\n" + told.read()[-3000:]) from None
        time.sleep(0.2)

    @property
    def pid(self):
        return self.process.pid

    def flip(self, to):
        """Gives `to` everything; returns when the candidate's own command says that it is done."""
        self.side = to
        return configs.flip(self, to)

    def rollback(self):
        return configs.rollback_switchback(self)

    def stop(self):
        end(self.process)


class Direct:
    """No proxy at all: the baseline of every latency."""

    name = "direct"

    def __init__(self, origin):
        self.ports = {"plain": origin.blue, "tls": origin.tls, "h2": origin.h2_blue, "grpc": origin.h2_blue}
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
            for part in (self.cert, self.key):
                with open(part) as text:
                    both.write(text.read())
        self.origin = Origin(self)
        self.running, self.loads = {}, []

    def peer(self, name, routes=1):
        if name == "direct":
            return Direct(self.origin)
        key = (name, routes)
        if key not in self.running:
            self.running[key] = Peer(self, name, routes)
        return self.running[key]

    def drop(self, name, routes=1):
        old = self.running.pop((name, routes), None)
        if old:
            old.stop()

    def fresh(self, name, routes=1):
        self.drop(name, routes)
        return self.peer(name, routes)

    def load(self, verb, port, **arguments):
        """Starts the load generator on core 1."""
        command = [self.binaries["load"], verb, "--address", f"127.0.0.1:{port}"]
        for key, value in arguments.items():
            command += ["--" + key, value]
        process = pinned(1, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.loads = [each for each in self.loads if each.poll() is None] + [process]
        return process

    def opened(self, verb, port, **arguments):
        """The load generator when its measurement begins."""
        process = self.load(verb, port, **arguments)
        if process.stdout.readline() != "open\n":
            self.result(process)
            raise RuntimeError("the load generator did not begin")
        return process

    def result(self, process, seconds=60):
        """What the load generator saw."""
        try:
            out, told = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            end(process)
            raise RuntimeError("the load generator does not end") from None
        if process.returncode != 0:
            raise RuntimeError(f"the load generator failed: {told.strip()[-300:]}")
        return json.loads(out.strip().splitlines()[-1])

    def measured(self, verb, port, **arguments):
        return self.result(self.opened(verb, port, **arguments))

    def stop(self):
        for process in self.loads:
            if process.poll() is None:
                end(process)
        for peer in self.running.values():
            peer.stop()
        self.running = {}
        self.origin.stop()
