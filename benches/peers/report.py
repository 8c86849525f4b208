"""Figures as Markdown: each candidate's own, switchback's ratio to it round by round, and the targets."""

import os
import statistics

import beside
import results as r
import scenarios
import targets

OURS = "switchback"
SAYS = {name: scenario.says for name, scenario in scenarios.SCENARIOS.items()}
TITLES = {"switchback": "switchback", "haproxy": "HAProxy", "nginx": "nginx", "envoy": "Envoy", "pingora": "Pingora"}


def title(name):
    return TITLES.get(name, name)


def row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return [row(head), row(["---"] + ["--:"] * (len(head) - 1)), *map(row, rows), ""]


def figure(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def present(results, kind):
    """Scenarios of a kind that were measured, in the order of the list."""
    return [name for name, scenario in scenarios.SCENARIOS.items() if type(scenario) in kind and r.rows(results, name, OURS)]


def candidates(results):
    seen = {each for scenario in results["scenarios"].values() for each in scenario["rows"]}
    return [name for name in TITLES if name in seen]


def about(results):
    said = results["about"]
    versions = ", ".join(f"{title(name)} {version}" for name, version in said["versions"].items())
    rounds = sorted({len(rows) for scenario in results["scenarios"].values() for rows in scenario["rows"].values() if rows})
    how = f"{rounds[-1]}" if rounds and rounds[0] == rounds[-1] else f"{rounds[0]} to {rounds[-1]}" if rounds else "no"
    return [f"Measured {said['date']} on {said['machine']}: {versions}. Medians of {how} interleaved rounds, with the range in brackets.", ""] + [
        "```console", *[f"$ {command}" for command in said["commands"]], "```", ""]


def ratio_cell(results, name, other, with_spread=True):
    found = r.ratios(results, name, OURS, other)
    if not found:
        return "–"
    spread = f" ({min(found):.2f}–{max(found):.2f})" if with_spread and len(found) > 1 else ""
    median = f"{statistics.median(found):.2f}"
    # Below 1 is better: only a win is bold.
    return (f"**{median}**" if float(median) < 1 else median) + spread


def cpu(results, kinds, what):
    names = candidates(results)
    others = [name for name in names if name != OURS]
    own = [[SAYS[name]] + [figure(r.median(results, name, each, "cpu_us")) for each in names] for name in present(results, kinds)]
    ratio = [[SAYS[name]] + [ratio_cell(results, name, each) for each in others] for name in present(results, kinds)]
    if not own:
        return []
    return [f"CPU time of the proxy for each {what}, µs:", "", *table(["work"] + [title(name) for name in names], own),
            f"switchback's share of the others' CPU time for each {what}:", "", *table(["work"] + [title(name) for name in others], ratio)]


def latency_cell(results, name, each):
    p50, p99 = (r.added(results, name, each, key) for key in ("p50_us", "p99_us"))
    failed = r.total(results, name, each, "errors")
    rate = r.median(results, name, each, "rate")
    return "–" if rate is None else f"{figure(p50, 0)} / {figure(p99, 0)}, {figure(rate, 0)}/s" + (f", {failed} failed" if failed else "")


def latency(results):
    names = candidates(results)
    shown = present(results, (scenarios.Requests, scenarios.Streams))
    rows = [[SAYS[name]] + [latency_cell(results, name, each) for each in names] for name in shown]
    if not rows:
        return []
    return ["Latency added to what the origin takes without a proxy, µs, p50 / p99 (for streams, of each chunk); requests or chunks a second. Where the load is a closed "
            "loop, it shares its core with the origin, and both are full: requests a second are the load's limit, and latency is the queue's.", "",
            *table(["work"] + [title(name) for name in names], rows)]


def memory(results):
    names = candidates(results)
    shown = present(results, (scenarios.Streams, scenarios.Idle))
    rows = [[SAYS[name]] + [figure(r.median(results, name, each, "kb_each")) for each in names] for name in shown]
    return ["Memory for each connection, or stream with its upstream side, kB:", "", *table(["what"] + [title(name) for name in names], rows)] if rows else []


def together(results):
    names = candidates(results) + ["direct"]
    rows = [[SAYS[name]] + [figure(r.median(results, name, each, "chunks_per_read"), 2) for each in names] for name in present(results, (scenarios.Streams,))]
    return ["Chunks that the client reads at a time (1.00: each comes alone; more: a late sender sent several together):", "",
            *table(["work"] + [title(name) for name in names], rows)] if rows else []


def flips(results):
    lines = []
    for name in ("flip", "flip-10000"):
        rows = []
        for each in candidates(results):
            if not r.rows(results, name, each):
                continue
            one = lambda key: r.median(results, name, each, key)  # noqa: E731, B023
            most = lambda key: max(r.values(results, name, each, key))  # noqa: E731, B023
            count = lambda key: r.total(results, name, each, key)  # noqa: E731, B023
            rows.append([title(each), count("flips"), count("failed"), count("dropped"), count("late"), f"{one('command_ms'):.2f} ({most('command_ms_max'):.2f})",
                         f"{one('last_old_ms'):.2f} ({most('last_old_ms_max'):.2f})"])
        if rows:
            sync = r.median(results, name, OURS, "fsync_ms")
            note = f"; a sync of the disk takes {sync:.2f} ms" if sync else ""
            lines += [f"{SAYS[name].capitalize()}, 64 keep-alive connections{note}:", "",
                      *table(["", "flips", "failed", "connections dropped", "on the old side after the command was done", "command, ms (max)", "last on the old side, ms after the command was issued (max)"], rows)]
    return lines


def rollback(results):
    rows = []
    for each, seen in results["scenarios"].get("rollback", {}).get("rows", {}).items():
        if seen:
            one = lambda key: r.median(results, "rollback", each, key)  # noqa: E731, B023
            most = lambda key: max(r.values(results, "rollback", each, key))  # noqa: E731, B023
            rows.append([each, figure(one("publish_ms"), 2), f"{one('command_ms'):.2f} ({most('command_ms_max'):.2f})", f"{one('moved_ms'):.2f} ({most('moved_ms_max'):.2f})",
                         figure(one("swap_us"), 0), r.total(results, "rollback", each, "errors")])
    return ["A publish waits for the disk; a rollback does not, only its response waits up to 50 ms to say whether it is durable (under 8,000 requests a second):", "",
            *table(["", "publish, ms", "rollback, ms (max)", "traffic has moved, ms after the command was issued (max)", "swap, µs", "failed requests"], rows)] if rows else []


def workers(results):
    rows = []
    for each in candidates(results):
        names = [name for name in results["scenarios"].get("workers", {}).get("rows", {}) if name.startswith(f"{each}, ")]
        if len(names) != 3 or not all(r.rows(results, "workers", name) for name in names):
            continue
        one, same, double = names
        cells = [figure(r.median(results, "workers", name, "cpu_us")) for name in names]
        for name in (same, double):
            found = r.ratios(results, "workers", name, one)
            cells.append(f"**{statistics.median(found):.2f}** ({min(found):.2f}–{max(found):.2f})")
        cells.append(f"{100 * (r.median(results, 'workers', double, 'busiest_share') or 0):.0f} %")
        rows.append([title(each)] + cells)
    return ["CPU time for each request, µs, with one worker at 4,000/s, two at 4,000/s, two at 8,000/s (as much for each worker as the first); the second worker "
            "shares its core with the load, so its caches are colder than alone:", "",
            *table(["", "1 at 4,000", "2 at 4,000", "2 at 8,000", "ratio, same rate", "ratio, same per worker", "the busier worker does"], rows)] if rows else []


def bulk(results):
    names = [name for name in [*candidates(results), "direct"] if name in (*beside.CANDIDATES, "direct")]
    shown = present(results, (beside.Beside,))
    if not shown:
        return []
    one = lambda name, each, key, digits=2, by=1e3: figure(None if (found := r.median(results, name, each, key)) is None else found / by, digits)  # noqa: E731
    times = lambda name, each: " / ".join(one(name, each, key) for key in ("p50_us", "p99_us", "p999_us"))  # noqa: E731
    rows = [[SAYS[name]] + [f"{times(name, each)}, {one(name, each, 'bulk_mb', 0, 1)} MB/s" for each in names] for name in shown]
    text = [f"Small requests ({beside.RATE}/s in all on {beside.CONNECTIONS} connections, each timed from its turn on) beside bodies without end, ms, p50 / p99 / p99.9; and what the bodies moved meanwhile:", "",
            *table(["beside"] + [title(name) for name in names], rows)]
    others = [name for name in names if name not in (OURS, "direct")]
    cell = lambda name, other: ", ".join(share(r.ratios(results, name, OURS, other, key)) for key in ("p50_us", "p99_us", "p999_us", "bulk_mb", "cpu_us_mb"))  # noqa: E731
    ratio = [[SAYS[name]] + [cell(name, other) for other in others] for name in shown]
    return text + ["switchback's ratio to the others': p50, p99, p99.9 (below 1 is better), bytes moved (above 1 is better), CPU time for a megabyte (below 1 is better):", "",
                   *table(["beside"] + [title(name) for name in others], ratio)]


def share(found):
    return f"**{statistics.median(found):.2f}** ({min(found):.2f}–{max(found):.2f})" if found else "–"


def markdown(results):
    """Everything."""
    parts = [about(results), targets.lines(results), cpu(results, (scenarios.Requests,), "request"), cpu(results, (scenarios.Streams,), "chunk"), latency(results),
             together(results), memory(results), flips(results), rollback(results), workers(results), bulk(results)]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


# What a reader of the README sees; everything else is in benches/README.md.
README_ROWS = ("keepalive-1k", "open-15000", "tls-keepalive", "h2-8x16", "sse-1000", "ws-1000")


def readme(results):
    """One small table: CPU time of the commonest work, and its ratios."""
    others = [name for name in candidates(results) if name != OURS]
    shown = [name for name in README_ROWS if r.rows(results, name, OURS)]
    rows = [[SAYS[name], figure(r.median(results, name, OURS, "cpu_us"))] + [ratio_cell(results, name, each, False) for each in others] for name in shown]
    said = results["about"]
    versions = ", ".join(f"{title(name)} {version}" for name, version in said["versions"].items())
    lines = [f"Measured {said['date']} on {said['machine']}: {versions}.", "",
             "CPU time for each request, or chunk of a stream: switchback's in µs, and its ratio to the others' (below 1 is better):", "",
             *table(["work", "switchback"] + [f"to {title(name)}" for name in others], rows)]
    return "\n".join(lines).rstrip() + "\n"


def put(path, text, mark="benches/peers/run"):
    """Between the two marks in a file; what stands around them is not touched."""
    begin, end = f"<!-- begin: {mark} -->", f"<!-- end: {mark} -->"
    with open(path) as old:
        whole = old.read()
    if begin not in whole or end not in whole:
        raise SystemExit(f"{path} has no place for figures: {begin} and {end}")
    before, after = whole.split(begin)[0], whole.split(end)[1]
    with open(path + ".new", "w") as out:
        out.write(f"{before}{begin}\n\n{text}\n{end}{after}")
    os.rename(path + ".new", path)
