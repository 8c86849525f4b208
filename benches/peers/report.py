"""Figures as a Markdown table: each candidate's own, and switchback's ratio to it, round by round."""

import os
import platform
import statistics

import scenarios


def ratio(ours, theirs):
    pairs = [a / b for a, b in zip(ours.get("all_cpu_us", []), theirs.get("all_cpu_us", [])) if b]
    return statistics.median(pairs) if pairs else None


def row(cells):
    return "| " + " | ".join(cells) + " |"


def figure(value, digits=1):
    return "–" if value is None else f"{value:.{digits}f}"


def markdown(figures, names):
    others = [name for name in names if name != "switchback"]
    lines = [f"Measured on {os.cpu_count()} cores ({platform.machine()}, Linux {platform.release()}); medians of interleaved rounds.", ""]
    lines += ["CPU time of the proxy per request or chunk, µs; in brackets switchback's share of it.", ""]
    lines += [row(["work", "switchback"] + others), row(["---"] + ["--:"] * (len(others) + 1))]
    for name in scenarios.REQUESTS:
        seen = figures.get(name)
        if not seen or "switchback" not in seen:
            continue
        ours = seen["switchback"]
        cells = [figure(ours["cpu_us"])]
        for other in others:
            theirs = seen.get(other)
            cells.append("–" if not theirs else f"{figure(theirs['cpu_us'])} (**{figure(ratio(ours, theirs), 2)}**)")
        lines.append(row([name] + cells))
    lines += ["", "Latency in µs, p50 / p99, added to what the origin takes without a proxy; requests or chunks a second; failures.", ""]
    lines += [row(["work"] + names), row(["---"] + ["--:"] * len(names))]
    for name in scenarios.REQUESTS:
        seen = figures.get(name)
        if not seen:
            continue
        base = seen.get("direct", {"p50_us": 0, "p99_us": 0})
        cell = lambda one: f"{one['p50_us'] - base['p50_us']:.0f} / {one['p99_us'] - base['p99_us']:.0f}, {one['rate']:.0f}/s" + (f", {one['errors']} failed" if one["errors"] else "")  # noqa: E731
        lines.append(row([name] + [cell(seen[each]) if each in seen else "–" for each in names]))
    memory = [name for name in ("idle-5000", "sse-1000", "sse-5000", "ws-1000", "ws-5000") if name in figures]
    if memory:
        lines += ["", "Memory for each connection or stream with its upstream side, kB.", "", row(["what"] + names), row(["---"] + ["--:"] * len(names))]
        lines += [row([name] + [figure(figures[name].get(each, {}).get("kb_each")) for each in names]) for name in memory]
    for name in ("flip", "flip-10000"):
        if name in figures:
            lines += ["", f"{name}: under 8,000 requests a second, 64 keep-alive connections.", ""]
            lines += [row(["", "flips", "failed", "dropped", "command ms (max)", "last request on the old side, ms after the command (max)", "old side after the command returned"]), row(["---"] + ["--:"] * 6)]
            for each, seen in figures[name].items():
                cells = [seen["flips"], seen["failed"], seen["dropped"], f"{seen['command_ms']:.2f} ({seen['command_ms_max']:.2f})", f"{seen['last_old_ms']:.2f} ({seen['last_old_ms_max']:.2f})", seen["old_after_command"]]
                lines.append(row([each] + [str(cell) for cell in cells]))
    sick = figures.get("rollback-sick-disk", {}).get("switchback")
    if sick:
        lines += ["", f"A rollback while the disk is frozen: {sick['command_ms']:.1f} ms."]
    return "\n".join(lines) + "\n"
