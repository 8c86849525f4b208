"""What is measured. Every round visits every candidate once, in turn, so that all meet the same noise."""

import sys
import time
import urllib.request
from dataclasses import dataclass

import beside
import flips
import measure
import workers

WARM = 0.25
SETTLE = 0.4
# What a round of a candidate takes beyond what it measures: starting the load generator, and for streams the candidate.
OVERHEAD, FRESH = 0.15, 1.6
# A thousand requests to each port of a candidate, before anything is measured.
CHECK = 0.2


def note(text):
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Requests:
    """Requests in a closed loop, or at a rate."""

    says: str
    verb: str
    port: str
    arguments: dict
    routes: int = 1
    without: tuple = ()
    seconds: float = 1.5
    most_rounds: int = 100
    unit: str = "request"

    def candidates(self, bench):
        return [name for name in bench.names if name not in self.without] + ["direct"]

    def estimate(self, names, rounds, seconds):
        start = 3 * len(names) if self.routes > 1 else 0
        return start + min(rounds, self.most_rounds) * (len(names) + 1) * (WARM + OVERHEAD + (seconds or self.seconds))

    def round(self, bench, name, seconds):
        peer = bench.peer(name, self.routes)
        process = bench.opened(self.verb, peer.ports[self.port], seconds=seconds, warm=WARM, **self.arguments)
        before = measure.cpu_ns(peer.pid)
        seen = bench.result(process)
        spent = measure.cpu_ns(peer.pid) - before
        return {**shown(seen), "cpu_us": spent / 1e3 / max(1, seen["count"])}

    def finish(self, bench):
        if self.routes > 1:
            for name in bench.names:
                bench.drop(name, self.routes)


@dataclass(frozen=True)
class Streams(Requests):
    """Streams that are opened first, on a candidate that was just started; CPU and memory are looked at while they flow."""

    connections: int = 1_000
    rate: int = 20
    seconds: float = 1.5
    unit: str = "chunk"

    def estimate(self, names, rounds, seconds):
        opening = self.connections / (1_000 if self.port == "tls" else 3_000)
        return min(rounds, self.most_rounds) * (len(names) + 1) * (FRESH + SETTLE + opening + (seconds or self.seconds))

    def round(self, bench, name, seconds):
        peer = bench.peer(name) if name == "direct" else primed(bench, name, self.verb, self.port)
        empty = measure.memory_kb(peer.pid)
        how = self.arguments or dict(connections=self.connections)
        process = bench.opened(self.verb, peer.ports[self.port], seconds=seconds, settle=SETTLE, rate=self.rate, **how)
        time.sleep(SETTLE)
        before, start = measure.cpu_ns(peer.pid), time.monotonic()
        time.sleep(max(0.3, seconds - 0.2))
        spent, took = measure.cpu_ns(peer.pid) - before, time.monotonic() - start
        memory = measure.memory_kb(peer.pid) - empty
        seen = bench.result(process)
        if seen["rate"] < self.connections * self.rate * 0.9:
            note(f"{name}: only {seen['rate']:.0f} of {self.connections * self.rate} chunks a second got through: somebody was too slow")
        return {
            **shown(seen), "cpu_us": spent / 1e3 / max(1.0, seen["rate"] * took), "kb_each": memory / self.connections,
            "chunks_per_read": seen["count"] / max(1, seen["reads"]),
        }


@dataclass(frozen=True)
class Idle(Requests):
    """Keep-alive connections that have had one request each."""

    connections: int = 5_000
    most_rounds: int = 3
    unit: str = "connection"

    def candidates(self, bench):
        return list(bench.names)

    def estimate(self, names, rounds, seconds):
        return min(rounds, self.most_rounds) * len(names) * (FRESH + 0.5 + self.connections / (700 if self.port == "tls" else 4_000))

    def round(self, bench, name, seconds):
        peer = primed(bench, name, "keepalive", self.port)
        before = measure.memory_kb(peer.pid)
        process = bench.load("idle", peer.ports[self.port], connections=self.connections, **self.arguments)
        process.stdout.readline()
        time.sleep(0.5)
        kb = measure.memory_kb(peer.pid) - before
        process.stdin.close()
        process.stdin = None
        process.wait(20)
        return {"kb_each": kb / self.connections}


def primed(bench, name, verb, port):
    """A candidate that was just started and has had some requests, so that only what comes now is counted."""
    peer = bench.fresh(name)
    if verb == "sse-h2":
        bench.measured("h2", peer.ports[port], connections=2, streams=4, seconds=0.2)
    else:
        bench.measured("keepalive", peer.ports[port], connections=8, seconds=0.2, tls=int(port == "tls"))
    return peer


def shown(seen):
    return {key: seen[key] for key in ("rate", "p50_us", "p99_us", "errors")}


def requests(says, verb, port, *, connections, **more):
    options = {key: more.pop(key) for key in ("routes", "without", "seconds") if key in more}
    return Requests(says, verb, port, dict(connections=connections, **more), **options)


SCENARIOS = {
    "keepalive-1k": requests("HTTP/1.1 keep-alive, 1 KB, 64 connections, saturated", "keepalive", "plain", connections=64, path="/b/1024", seconds=2.0),
    "keepalive-10k": requests("the same, 10 KB", "keepalive", "plain", connections=64, path="/b/10240"),
    "keepalive-100k": requests("the same, 100 KB", "keepalive", "plain", connections=64, path="/b/102400"),
    "open-15000": requests("1 KB, open loop at 15,000/s", "keepalive", "plain", connections=64, path="/b/1024", rate=15_000, seconds=2.0),
    "open-5000": requests("1 KB, open loop at 5,000/s", "keepalive", "plain", connections=64, path="/b/1024", rate=5_000),
    "close": requests("a connection for each request", "close", "plain", connections=16, path="/b/1024"),
    "tls-keepalive": requests("TLS 1.3 keep-alive", "keepalive", "tls", connections=64, path="/b/1024", tls=1),
    "tls-handshake": requests("TLS 1.3, a handshake for each request", "close", "tls", connections=8, path="/b/1024", tls=1),
    "h2-8x16": requests("HTTP/2, 8 connections × 16 streams", "h2", "h2", connections=8, streams=16, seconds=2.0),
    "h2-64x1": requests("HTTP/2, 64 connections × 1 stream", "h2", "h2", connections=64, streams=1),
    "grpc": requests("gRPC unary, 8 connections × 16 calls", "grpc", "grpc", connections=8, streams=16),
    "routes-10000": requests("10,000 routes, the last one asked", "keepalive", "plain", connections=64, path="/r/9999", routes=10_000, without=("pingora",)),
    "sse-1000": Streams("1,000 SSE streams × 20 chunks/s", "sse", "plain", {}),
    "ws-1000": Streams("1,000 WebSockets × 20 frames/s", "ws", "plain", {}),
    "sse-5000": Streams("5,000 SSE streams × 4 chunks/s", "sse", "plain", {}, connections=5_000, rate=4),
    "ws-5000": Streams("5,000 WebSockets × 4 frames/s", "ws", "plain", {}, connections=5_000, rate=4),
    "sse-tls-1000": Streams("1,000 SSE streams over TLS × 20 chunks/s", "sse", "tls", dict(connections=1_000, tls=1)),
    "sse-h2-1000": Streams("1,000 SSE streams on 10 HTTP/2 connections × 20 chunks/s", "sse-h2", "h2", dict(connections=10, streams=100)),
    "idle-5000": Idle("5,000 idle keep-alive connections", "idle", "plain", {}),
    "idle-tls-2000": Idle("2,000 idle TLS connections", "idle", "tls", dict(tls=1), connections=2_000),
    "flip": flips.Flips("flips under 8,000 requests/s", 1),
    "flip-10000": flips.Flips("flips with 10,000 routes", 10_000, most_rounds=3),
    "rollback": flips.Rollback("a publish and its rollback, by what the disk does"),
    "workers": workers.Workers("one and two workers"),
    "beside-4": beside.Beside("4 downloads", 4),
    "beside-16": beside.Beside("16 downloads", 16),
    "beside-16-up": beside.Beside("16 uploads", 16, is_up=True),
    "beside-16-workers": beside.Beside("16 downloads, two workers", 16, workers=2),
    "beside-4-h2": beside.Beside("HTTP/2, 4 downloads", 4, port="h2"),
    "beside-16-h2": beside.Beside("HTTP/2, 16 downloads", 16, port="h2"),
}
NAMES = list(SCENARIOS)


def estimate(chosen, names, rounds, seconds):
    """Seconds that the whole will take, about."""
    return 4 * (CHECK + OVERHEAD) * len(names) + sum(SCENARIOS[name].estimate(names, rounds, seconds) for name in chosen)


def check(bench):
    """Each candidate really proxies, on every port, really splits 90/10, and says whom the request is from."""
    ways = (("keepalive", "plain", {}), ("keepalive", "tls", dict(tls=1)), ("h2", "h2", dict(streams=4)), ("grpc", "grpc", dict(streams=4)))
    for name in bench.names:
        peer = bench.peer(name)
        for verb, port, arguments in ways:
            seen = bench.measured(verb, peer.ports[port], connections=4, requests=1_000, seconds=20, **arguments)
            share = seen["green"] / max(1, seen["count"])
            if seen["errors"] or not seen["count"] or not 0.05 < share < 0.15:
                raise RuntimeError(f"{name} does not split 90/10 on its port {port}: {seen}")
        with urllib.request.urlopen(f"http://127.0.0.1:{peer.ports['plain']}/echo", timeout=5) as answer:
            head = answer.read().decode().lower()
        # Envoy names an address of the machine instead of the loopback one.
        if "x-forwarded-for: " not in head:
            raise RuntimeError(f"{name} does not say whom a request is from:\n{head}")


def run(bench, name, rounds, seconds, deadline, keep):
    """The rows of one scenario, by candidate; `keep` gets them after every round, so that an interrupted run has what it has."""
    scenario = SCENARIOS[name]
    names = scenario.candidates(bench)
    rows = {each: [] for each in names}
    ailing = {}
    for number in range(min(rounds, scenario.most_rounds)):
        if time.monotonic() > deadline:
            note(f"{name}: time is up after {number} rounds")
            break
        turn = number % len(names)
        for each in names[turn:] + names[:turn]:
            if ailing.get(each, 0) > 1:
                continue
            try:
                rows[each].append({"round": number, **scenario.round(bench, each, seconds or scenario.seconds)})
            except (RuntimeError, OSError, AssertionError, ValueError) as error:
                note(f"{name}: {each}: {error}")
                ailing[each] = ailing.get(each, 0) + 1
                bench.drop(each, getattr(scenario, "routes", 1))
        keep(rows)
    scenario.finish(bench)
    return rows
