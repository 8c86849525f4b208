"""What is aimed at, and whether it was reached: all features on, access log off."""

import statistics

import results as r

PEERS = ("haproxy", "nginx", "envoy", "pingora")
# CPU time as a ratio to each peer's in the same round.
RATIOS = (
    ("CPU, HTTP/1.1 saturated", "keepalive-1k", (0.82, 0.82, 0.42, 0.55)),
    ("CPU, 15,000/s", "open-15000", (0.90, 0.98, 0.65, 0.85)),
    ("CPU, TLS keep-alive", "tls-keepalive", (0.78, 0.80, 0.45, 0.58)),
    ("CPU, TLS handshake", "tls-handshake", (0.65, 0.70, 0.85, 0.75)),
    ("CPU, HTTP/2 multiplexed", "h2-8x16", (1.0, 0.67, 0.45, 0.47)),
    ("CPU per chunk, 1,000 SSE × 20/s", "sse-1000", (0.87, 0.92, 0.70, 0.80)),
    ("CPU per chunk, 1,000 WebSockets × 20/s", "ws-1000", (0.87, 0.92, 0.70, 0.80)),
)


def mark(good):
    return "✓" if good else "✗"


def against(found, most, digits=2):
    return "–" if found is None else f"{found:.{digits}f} {mark(found <= most)} (≤ {most})"


def added_ratio(results, peer, scenario="open-15000"):
    ours, theirs = (r.added(results, scenario, name, "p50_us") for name in ("switchback", peer))
    return None if ours is None or not theirs or theirs <= 0 else ours / theirs


def ratio_rows(results):
    for says, scenario, most in RATIOS:
        cells = []
        for peer, limit in zip(PEERS, most):
            found = r.ratios(results, scenario, "switchback", peer)
            cells.append(against(statistics.median(found) if found else None, limit))
        yield [says, *cells]
    yield ["added p50, 15,000/s", *(against(added_ratio(results, peer), 1.0) for peer in PEERS)]


def highest(results, scenario, key, candidate="switchback"):
    found = r.values(results, scenario, candidate, key)
    return max(found) if found else None


def single_rows(results):
    """Name, what was found, what is allowed, digits."""
    median = lambda scenario, key, candidate="switchback": r.median(results, scenario, candidate, key)  # noqa: E731
    yield "memory of an idle keep-alive connection, kB", median("idle-5000", "kb_each"), 2.5
    for says, scenario in (("an SSE stream", "sse-1000"), ("one of 5,000 SSE streams", "sse-5000"), ("a WebSocket", "ws-1000")):
        yield f"memory of {says} with its upstream side, kB", median(scenario, "kb_each"), 4
    ours, theirs = (r.added(results, "open-15000", name, "p99_us") for name in ("switchback", "haproxy"))
    yield "added p99 at 15,000/s over HAProxy's, ms", None if ours is None or theirs is None else (ours - theirs) / 1e3, 2
    for scenario, where in (("flip", "1 route"), ("flip-10000", "10,000 routes")):
        for key, says in (("failed", "failed requests"), ("dropped", "connections dropped"), ("late", "requests on the old side after the receipt")):
            yield f"flips, {where}: {says}", highest(results, scenario, key), 0
        yield f"flips, {where}: receipt, median ms", median(scenario, "command_ms"), 2
    yield "rollback, the disk as it is: receipt, median ms", median("rollback", "command_ms", "the disk as it is"), 2
    for each in ("the disk as it is", "10,000 routes", "50 ms for each sync", "a frozen disk"):
        yield f"rollback, {each}: until traffic has moved, median ms", median("rollback", "moved_ms", each), 1
        yield f"rollback, {each}: swap, µs", median("rollback", "swap_us", each), 50


def lines(results):
    row = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    text = ["Ratios to each peer, and in brackets what is aimed at:", "", row(["", "HAProxy", "nginx", "Envoy", "Pingora"]), row(["---"] + ["--:"] * 4)]
    text += [row(cells) for cells in ratio_rows(results)]
    text += ["", row(["switchback's own", "measured", "at most", ""]), row(["---", "--:", "--:", "---"])]
    for says, found, most in single_rows(results):
        if found is not None:
            shown = f"{found:.0f}" if found == int(found) else f"{found:.2f}"
            text.append(row([says, shown, str(most), mark(found <= most)]))
    return text + [""]
