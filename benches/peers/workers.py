"""From one worker to two: CPU time per request at a fixed rate. The load shares the second core, so only CPU time counts."""

import time
from dataclasses import dataclass

import measure
import peers

BASE = 4_000
SCALABLE = ("switchback", "haproxy", "nginx", "envoy")


@dataclass(frozen=True)
class Workers:
    """Each candidate with one worker on core 0, and with two on both: at the same rate in all, and at the same per worker."""

    says: str
    seconds: float = 1.2
    most_rounds: int = 100
    routes: int = 1

    def candidates(self, bench):
        return [f"{name}, {count}, {rate}" for name in bench.names if name in SCALABLE for count, rate in ((1, BASE), (2, BASE), (2, 2 * BASE))]

    def estimate(self, names, rounds, seconds):
        return 3 + rounds * 3 * len([name for name in names if name in SCALABLE]) * ((seconds or self.seconds) + 0.6)

    def round(self, bench, name, seconds):
        candidate, count, rate = name.split(", ")
        key = ("workers", candidate, count)
        if key not in bench.running:
            bench.running[key] = peers.Peer(bench, candidate, workers=int(count))
        peer = bench.running[key]
        process = bench.opened("keepalive", peer.ports["plain"], connections=64, rate=int(rate), warm=0.3, seconds=seconds)
        before = threads(peer.pid)
        seen = bench.result(process)
        spent = {task: ns - before.get(task, 0) for task, ns in threads(peer.pid).items()}
        busiest = sorted(spent.values(), reverse=True)[: int(count)]
        return {
            "rate": seen["rate"], "errors": seen["errors"], "cpu_us": sum(spent.values()) / 1e3 / max(1, seen["count"]),
            "busiest_share": busiest[0] / max(1, sum(busiest)), "p50_us": seen["p50_us"], "p99_us": seen["p99_us"],
        }

    def finish(self, bench):
        for key in [key for key in bench.running if key[0] == "workers"]:
            bench.running.pop(key).stop()
        time.sleep(0.1)


def threads(pid):
    return {task: ns for process in measure.tree(pid) for task, ns in measure.threads_ns(process)}
