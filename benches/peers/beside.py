"""Small requests beside bodies without end: how long they wait while the proxy moves as much as it can."""

import time
from dataclasses import dataclass

import measure
import peers

# Few enough that they are no load of their own; each has its turn, and is timed from its turn on.
RATE, CONNECTIONS = 500, 8
WARM = 0.4
CANDIDATES = ("switchback", "haproxy", "nginx")
SMALL = {
    "plain": ("keepalive", dict(connections=CONNECTIONS, path="/b/1024")),
    "h2": ("h2", dict(connections=CONNECTIONS, streams=1)),
}


@dataclass(frozen=True)
class Beside:
    """Requests at a rate beside `bulk` downloads (or uploads), each on a connection of its own."""

    says: str
    bulk: int
    port: str = "plain"
    is_up: bool = False
    workers: int = 1
    seconds: float = 2.0
    most_rounds: int = 100
    routes: int = 1

    def candidates(self, bench):
        return [name for name in bench.names if name in CANDIDATES] + (["direct"] if self.port == "plain" else [])

    def estimate(self, names, rounds, seconds):
        count = len([name for name in names if name in CANDIDATES]) + (self.port == "plain")
        return min(rounds, self.most_rounds) * count * (WARM + 0.25 + (seconds or self.seconds))

    def round(self, bench, name, seconds):
        peer = self.peer(bench, name)
        verb, how = SMALL[self.port]
        bulk = {"bulk": self.bulk, "bulk-up": int(self.is_up)}
        process = bench.opened(verb, peer.ports[self.port], seconds=seconds, warm=WARM, rate=RATE, **how, **bulk)
        before = measure.cpu_ns(peer.pid)
        seen = bench.result(process)
        spent = measure.cpu_ns(peer.pid) - before
        if not seen["count"] or seen["errors"] or seen["bulk_mb"] < 1:
            raise RuntimeError(f"this is not what was to be measured: {seen}")
        keys = ("rate", "p50_us", "p99_us", "p999_us", "errors", "bulk_mb")
        return {**{key: seen[key] for key in keys}, "cpu_us_mb": spent / 1e3 / (seen["bulk_mb"] * seen["seconds"])}

    def peer(self, bench, name):
        if name == "direct" or self.workers == 1:
            return bench.peer(name)
        key = ("beside", name, self.workers)
        if key not in bench.running:
            bench.running[key] = peers.Peer(bench, name, workers=self.workers)
        return bench.running[key]

    def finish(self, bench):
        for key in [key for key in bench.running if key[0] == "beside"]:
            bench.running.pop(key).stop()
        time.sleep(0.1)
