"""Changes under load: what a flip breaks, how late it is, and what a rollback waits for."""

import contextlib
import os
import shutil
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

import peers

RATE = 8_000
# `fsync` that takes so much longer, in front of the C library's own.
SLOW_MS = 50
SLOW_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static void wait_a_little(void) { struct timespec time = {0, %d * 1000000L}; nanosleep(&time, 0); }
int fsync(int file) { wait_a_little(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file); }
int fdatasync(int file) { wait_a_little(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file); }
"""


def other(side):
    return "blue" if side == "green" else "green"


@dataclass(frozen=True)
class Flips:
    """Requests over 64 keep-alive connections while the candidate is flipped to and fro."""

    says: str
    routes: int
    seconds: float = 0.25
    most_rounds: int = 100

    def candidates(self, bench):
        return [name for name in bench.names if name != "pingora"]

    def times(self, name):
        """How often, and how long to wait after each: a reload of 10,000 routes takes nginx ten seconds."""
        if self.routes > 1 and name == "nginx":
            return 1, 14.0
        return 4, 0.25 if self.routes == 1 or name != "envoy" else 0.7

    def estimate(self, names, rounds, seconds):
        each = lambda name: 2.3 + (0.9 if self.routes > 1 else 0) + self.times(name)[0] * (self.times(name)[1] + 0.01)  # noqa: E731
        first = lambda name: (3.0 if self.routes > 1 else 0.5) + self.times(name)[1]  # noqa: E731
        return sum(min(rounds, self.most_rounds) * each(name) + first(name) for name in names if name != "pingora")

    def round(self, bench, name, seconds):
        peer = bench.peer(name, self.routes)
        times, pause = self.times(name)
        if peer.side is None:
            peer.flip("blue")
            time.sleep(max(0.3, pause))
        load = Load(bench, peer, 1.0 + times * (pause + 0.05))
        for _ in range(times):
            load.command(other(peer.side), lambda: peer.flip(other(peer.side)))
            time.sleep(pause)
        seen, strays, lateness = load.end()
        took = [ms for ms, _, _ in lateness]
        return {
            "flips": times, "failed": seen["errors"], "dropped": seen["connections_lost"], "strays": strays, "late": sum(late for _, _, late in lateness),
            "command_ms": statistics.median(took), "command_ms_max": max(took),
            "last_old_ms": statistics.median(last for _, last, _ in lateness), "last_old_ms_max": max(last for _, last, _ in lateness),
            "requests": seen["count"], "fsync_ms": fsync_ms(bench.folder),
        }

    def finish(self, bench):
        for name in bench.names:
            bench.drop(name, self.routes)


class Load:
    """Requests at a fixed rate, each with the time it was sent, the time it was answered and the side that answered."""

    def __init__(self, bench, peer, seconds):
        self.bench, self.begun, self.commands = bench, peer.side, []
        self.log = os.path.join(bench.folder, "requests")
        self.process = bench.opened("keepalive", peer.ports["plain"], connections=64, rate=RATE, warm=0.3, seconds=seconds, path=peer.path, log=self.log)
        time.sleep(0.2)

    def command(self, to, act):
        issued = time.time_ns()
        answer = act()
        self.commands.append((issued, time.time_ns(), to))
        return answer

    def end(self):
        """What was seen; how many requests were on the wrong side before the first command; and for each command how
        long it took, when the last request was sent that the old side still answered, and how many were sent after it
        was done and were still answered by the old side."""
        seen = self.bench.result(self.process)
        with open(self.log) as lines:
            rows = [tuple(int(word) for word in line.split()) for line in lines]
        rows = [(sent, received, "green" if side == 1 else "blue") for sent, received, side in rows if side in (0, 1)]
        strays = sum(1 for _, received, side in rows if received < self.commands[0][0] and side != self.begun)
        lateness = []
        for place, (issued, done, to) in enumerate(self.commands):
            # A response that came after the next command says nothing about this one.
            until = self.commands[place + 1][0] if place + 1 < len(self.commands) else max(received for _, received, _ in rows)
            old = [sent for sent, received, side in rows if sent >= issued and received <= until and side != to]
            lateness.append(((done - issued) / 1e6, max(((sent - issued) / 1e6 for sent in old), default=0.0), sum(1 for sent in old if sent > done)))
        return seen, strays, lateness


def fsync_ms(folder, times=5):
    """What the disk takes to sync 512 bytes, median."""
    took = []
    with open(os.path.join(folder, "synced"), "ab") as file:
        for _ in range(times):
            file.write(bytes(512))
            file.flush()
            begun = time.monotonic()
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - begun) * 1e3)
    return statistics.median(took)


@dataclass(frozen=True)
class Rollback:
    """switchback alone: no peer keeps a history. A publish waits for the disk, a rollback must not.

    A rollback's response waits a little, within a bound, to say whether it is durable. Traffic has moved by then, and the
    time of that is measured: the last request that was still answered by the side that was rolled back.
    """

    says: str
    seconds: float = 1.0
    most_rounds: int = 100
    routes: int = 1

    def candidates(self, bench):
        known = ["the disk as it is", "10,000 routes"]
        known += [f"{SLOW_MS} ms for each sync"] if shutil.which("cc") else []
        return known + ["a frozen disk"]

    def estimate(self, names, rounds, seconds):
        return rounds * (3.5 + 5 + 4 + 5)

    def round(self, bench, name, seconds):
        if name == "a frozen disk":
            with file_system(bench.folder) as place:
                return observed(bench, peers.Peer(bench, "switchback", history=os.path.join(place, "history")), 1, lambda work: while_frozen(place, work))
        slow = {"LD_PRELOAD": slow_disk(bench.folder)} if name.endswith("sync") else None
        return observed(bench, peers.Peer(bench, "switchback", 10_000 if name.startswith("10,000") else 1, environment=slow), 4, lambda work: work())

    def finish(self, bench):
        pass


def observed(bench, peer, times, during):
    """Publishes and rolls back while requests flow, of which none may fail."""
    try:
        peer.flip("blue")
        load = Load(bench, peer, 1.0 + times * 0.6)
        swaps, durable = [], []
        for _ in range(times):
            load.command("green", lambda: peer.flip("green"))
            time.sleep(0.2)
            receipt = during(lambda: load.command("blue", peer.rollback))
            swaps.append(receipt["swap_microseconds"])
            durable.append(int(receipt["durable"]))
            time.sleep(0.2)
        seen, _, lateness = load.end()
    finally:
        peer.stop()
    published, back = lateness[0::2], lateness[1::2]
    return {
        "publish_ms": statistics.median(ms for ms, _, _ in published), "command_ms": statistics.median(ms for ms, _, _ in back), "command_ms_max": max(ms for ms, _, _ in back),
        "moved_ms": statistics.median(last for _, last, _ in back), "moved_ms_max": max(last for _, last, _ in back), "late": sum(late for _, _, late in back),
        "swap_us": statistics.median(swaps), "durable": statistics.mean(durable), "errors": seen["errors"] + seen["connections_lost"], "fsync_ms": fsync_ms(bench.folder),
    }


def slow_disk(folder):
    """The library that makes every sync slow, for LD_PRELOAD."""
    library = os.path.join(folder, "slow.so")
    if not os.path.exists(library):
        source = os.path.join(folder, "slow.c")
        with open(source, "w") as out:
            out.write(SLOW_SOURCE % SLOW_MS)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@contextlib.contextmanager
def file_system(folder):
    """An ext4 of our own on a loop device, which can be frozen."""
    place, image = os.path.join(folder, "sick"), os.path.join(folder, "sick.img")
    os.makedirs(place, exist_ok=True)
    made = subprocess.run(f"truncate -s 64M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {place}", shell=True, capture_output=True, text=True)
    if made.returncode != 0:
        raise RuntimeError("no loop-mounted file system can be had here: " + made.stderr.strip()[-200:])
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=False)
        os.remove(image)


def while_frozen(place, work):
    """A file system that stays frozen would hang the machine's next sync: five seconds are the most."""
    subprocess.run(["fsfreeze", "-f", place], check=True)
    thaw = lambda: subprocess.run(["fsfreeze", "-u", place], check=False, stderr=subprocess.DEVNULL)  # noqa: E731
    late = threading.Timer(5.0, thaw)
    late.start()
    try:
        return work()
    finally:
        late.cancel()
        thaw()
