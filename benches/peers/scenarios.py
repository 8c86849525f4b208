"""What is measured. Every round visits every candidate once, in turn, so that all meet the same noise."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time

import measure
import peers

CHUNKY = dict(settle=1.0)

# name: (verb, port, arguments, candidates without it)
REQUESTS = {
    "keepalive-1k": ("keepalive", "plain", dict(connections=64, path="/b/1024")),
    "keepalive-10k": ("keepalive", "plain", dict(connections=64, path="/b/10240")),
    "keepalive-100k": ("keepalive", "plain", dict(connections=64, path="/b/102400")),
    "open-15000": ("keepalive", "plain", dict(connections=64, path="/b/1024", rate=15_000)),
    "close": ("close", "plain", dict(connections=16, path="/b/1024")),
    "tls-keepalive": ("keepalive", "tls", dict(connections=64, path="/b/1024", tls=1)),
    "tls-handshake": ("close", "tls", dict(connections=8, path="/b/1024", tls=1)),
    "h2-8x16": ("h2", "h2", dict(connections=8, streams=16)),
    "h2-64x1": ("h2", "h2", dict(connections=64, streams=1)),
    "grpc": ("grpc", "grpc", dict(connections=8, streams=16)),
    "routes-10000": ("keepalive", "plain", dict(connections=64, path="/r/9999")),
    "sse-1000": ("sse", "plain", dict(connections=1_000, rate=20, **CHUNKY)),
    "sse-5000": ("sse", "plain", dict(connections=5_000, rate=4, **CHUNKY)),
    "ws-1000": ("ws", "plain", dict(connections=1_000, rate=20, **CHUNKY)),
    "ws-5000": ("ws", "plain", dict(connections=5_000, rate=4, **CHUNKY)),
}
OTHERS = ["idle-5000", "flip", "flip-10000", "rollback-sick-disk"]
NAMES = list(REQUESTS) + OTHERS


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(bench, names, rounds, seconds, deadline):
    figures = {}
    check_split(bench)
    for name in names:
        if time.monotonic() > deadline:
            note(f"time is up before {name}")
            break
        note(f"{name} …")
        if name in REQUESTS:
            figures[name] = requests(bench, name, rounds, seconds, deadline)
        else:
            figures[name] = {"idle-5000": idle, "flip": flip, "flip-10000": flip_large, "rollback-sick-disk": sick_disk}[name](bench, rounds)
    return figures


def check_split(bench):
    """Each candidate really proxies, and really splits 90/10."""
    for name in bench.names:
        seen = bench.measured("keepalive", bench.peer(name).ports["plain"], connections=16, seconds=1.0)
        share = seen["green"] / max(1, seen["count"])
        if seen["errors"] or not 0.07 < share < 0.13:
            raise RuntimeError(f"{name} does not split 90/10: {seen}")


def can(peer, name):
    return not (name == "routes-10000" and peer == "pingora")


def requests(bench, name, rounds, seconds, deadline):
    verb, port, arguments = REQUESTS[name]
    routes = 10_000 if name == "routes-10000" else 1
    streams = verb in ("sse", "ws")
    names = [each for each in bench.names if can(each, name)]
    figures = {each: [] for each in names + ["direct"]}
    for _ in range(rounds):
        if time.monotonic() > deadline:
            break
        for each in names + ["direct"]:
            if each == "direct" and (port == "tls" or routes > 1):
                continue
            peer = bench.fresh(each) if streams and each != "direct" else bench.peer(each, routes)
            figures[each].append((stream_round if streams else request_round)(bench, peer, verb, port, arguments, seconds))
    for each in names:
        if routes > 1:
            bench.running.pop((each, routes)).stop()
    return {each: medians(rows) for each, rows in figures.items() if rows}


def request_round(bench, peer, verb, port, arguments, seconds):
    before = measure.cpu_ns(peer.pid)
    seen = bench.measured(verb, peer.ports[port], seconds=seconds, **arguments)
    spent = measure.cpu_ns(peer.pid) - before
    seen["cpu_us"] = spent / 1e3 / max(1, seen["count"])
    return seen


def stream_round(bench, peer, verb, port, arguments, seconds):
    """Streams are opened first; CPU and memory are looked at while they flow."""
    empty = measure.memory_kb(peer.pid)
    process = bench.load(verb, peer.ports[port], seconds=seconds, **arguments)
    assert process.stdout.readline() == "open\n"
    time.sleep(arguments["settle"])
    before, start = measure.cpu_ns(peer.pid), time.monotonic()
    time.sleep(max(0.5, seconds - 0.5))
    spent, took = measure.cpu_ns(peer.pid) - before, time.monotonic() - start
    memory = measure.memory_kb(peer.pid) - empty
    out, _ = process.communicate(timeout=60)
    seen = json.loads(out.strip().splitlines()[-1])
    seen["cpu_us"] = spent / 1e3 / max(1.0, seen["rate"] * took)
    seen["kb_each"] = memory / arguments["connections"]
    seen["chunks_per_read"] = seen["count"] / max(1, seen["reads"])
    return seen


def medians(rows):
    keys = {key for row in rows for key in row if isinstance(row[key], (int, float))}
    out = {key: statistics.median(row[key] for row in rows if key in row) for key in keys}
    out["rounds"] = len(rows)
    out["all_cpu_us"] = [row["cpu_us"] for row in rows if "cpu_us" in row]
    out["errors"] = sum(row.get("errors", 0) for row in rows)
    return out


def idle(bench, rounds):
    figures = {}
    for name in bench.names:
        rows = []
        for _ in range(min(rounds, 3)):
            peer = bench.fresh(name)
            bench.measured("keepalive", peer.ports["plain"], connections=8, seconds=0.5)
            before = measure.memory_kb(peer.pid)
            process = bench.load("idle", peer.ports["plain"], connections=5_000)
            held = json.loads(process.stdout.readline())
            time.sleep(0.5)
            kb = (measure.memory_kb(peer.pid) - before) / max(1, held["held"])
            process.stdin.close()
            process.wait(20)
            rows.append({"kb_each": kb, "errors": held["errors"]})
        figures[name] = medians(rows)
    return figures


def flip(bench, rounds):
    return flips(bench, rounds, 1, "/b/1024")


def flip_large(bench, rounds):
    return flips(bench, rounds, 10_000, "/r/9999")


def flips(bench, rounds, routes, path):
    """8,000 requests a second over 64 keep-alive connections while the candidate is flipped to and fro."""
    figures = {}
    count = max(4, 4 * rounds)
    for name in [each for each in bench.names if each != "pingora"]:
        peer = bench.fresh(name, routes)
        log = os.path.join(bench.folder, "flips")
        pause = 0.25 if routes == 1 or name != "nginx" else 12.0
        times = count if routes == 1 or name != "nginx" else 2
        seconds = 1.0 + times * (pause + (0.4 if name == "envoy" and routes > 1 else 0.05))
        box = {}
        thread = threading.Thread(target=lambda: box.update(bench.measured("keepalive", peer.ports["plain"], connections=64, rate=8_000, seconds=seconds, path=path, log=log)))
        peer.flip("blue")
        time.sleep(0.3 if routes == 1 else pause)
        thread.start()
        time.sleep(0.5)
        commands = []
        for place in range(times):
            to = "green" if place % 2 == 0 else "blue"
            issued = time.time_ns()
            peer.flip(to)
            commands.append((issued, time.time_ns(), to))
            time.sleep(pause)
        thread.join()
        figures[name] = judge(box, log, commands)
        bench.running.pop((name, routes)).stop()
    return figures


def judge(seen, log, commands):
    rows = sorted(tuple(int(word) for word in line.split()) for line in open(log))
    late, after, last = 0, 0, []
    for place, (issued, done, to) in enumerate(commands):
        until = commands[place + 1][0] if place + 1 < len(commands) else rows[-1][0] + 1
        old = [sent for sent, _, side in rows if issued <= sent < until and side in (0, 1) and (side == 1) != (to == "green")]
        late += len(old)
        after += sum(1 for sent in old if sent > done)
        last.append(max(((sent - issued) / 1e6 for sent in old), default=0.0))
    took = [(done - issued) / 1e6 for issued, done, _ in commands]
    return {
        "failed": seen["errors"], "dropped": seen["connections_lost"], "flips": len(commands), "command_ms": statistics.median(took), "command_ms_max": max(took),
        "last_old_ms": statistics.median(last), "last_old_ms_max": max(last), "old_after_command": after, "requests": len(rows),
    }


def sick_disk(bench, rounds):
    """A rollback while the history's file system is frozen: an ext4 of our own on a loop device, frozen with fsfreeze."""
    folder = os.path.join(bench.folder, "sick")
    image = folder + ".img"
    os.makedirs(folder)
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made = subprocess.run(f"truncate -s 64M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {folder}", shell=True, **quiet)
    if made.returncode != 0:
        note("no loop-mounted file system can be had here: rollback-sick-disk is left out")
        return {}
    old, bench.folder = bench.folder, folder
    try:
        peer = peers.Peer(bench, "switchback")
        rows = []
        for _ in range(max(3, rounds)):
            for to in ("green", "blue"):
                peer.flip(to)
            subprocess.run(["fsfreeze", "-f", folder], check=True)
            start = time.monotonic()
            try:
                answer = peers.admin(peer.ports["admin"], "POST", "/v1/rollback", {})
            finally:
                took = time.monotonic() - start
                subprocess.run(["fsfreeze", "-u", folder], check=True)
            rows.append({"command_ms": took * 1e3, "durable": int(bool(answer["durable"]))})
            time.sleep(1.0)
        peer.stop()
        return {"switchback": medians(rows)}
    finally:
        bench.folder = old
        subprocess.run(["umount", folder], **quiet)
