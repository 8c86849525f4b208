"""The figures of a run as one JSON file: what ran where, and every row of every round. All else is derived from the rows."""

import datetime
import json
import os
import platform
import re
import statistics
import sys


def about(versions, command):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "machine": machine(),
        "versions": versions, "commands": [command],
    }


def machine():
    model = "processor unknown"
    with open("/proc/cpuinfo") as info:
        found = re.search(r"model name\s*: (.+)", info.read())
        model = found[1].strip() if found else model
    with open("/proc/meminfo") as info:
        gigabytes = int(re.search(r"MemTotal:\s*(\d+)", info.read())[1]) / 1e6
    return f"{model} ({platform.machine()}), {os.cpu_count()} cores, {gigabytes:.0f} GB, Linux {platform.release()}"


def load(path):
    with open(path) as text:
        return json.load(text)


def save(path, results):
    """Written whole, a line for each row: it is kept with the code, and differences are read."""
    lines = ["{", f' "about": {json.dumps(results["about"])},', ' "scenarios": {']
    scenarios = []
    for name, scenario in results["scenarios"].items():
        candidates = []
        for each, rows in scenario["rows"].items():
            inner = ",\n".join("    " + json.dumps({key: tidy(value) for key, value in row.items()}) for row in rows)
            candidates.append(f'   {json.dumps(each)}: [\n{inner}\n   ]')
        scenarios.append(f'  {json.dumps(name)}: {{"about": {json.dumps(scenario["about"])}, "rows": {{\n' + ",\n".join(candidates) + "\n  }}")
    text = "\n".join(lines) + "\n" + ",\n".join(scenarios) + "\n }\n}\n"
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)


def tidy(value):
    return float(f"{value:.5g}") if isinstance(value, float) else value


def started(path, about, merge):
    """What is kept of an earlier file: everything, if this run is a part of it."""
    if not (merge and path and os.path.exists(path)):
        return {"about": about, "scenarios": {}}
    old = load(path)
    for name, version in about["versions"].items():
        known = old["about"]["versions"].get(name, version)
        if known != version:
            print(f"{path} is of {name} {known}, this is {version}: its older figures stay", file=sys.stderr)
    about["commands"] = old["about"]["commands"] + about["commands"]
    about["versions"] = {**old["about"]["versions"], **about["versions"]}
    return {"about": about, "scenarios": old["scenarios"]}


def whole(results, name, rounds):
    """Whether a scenario has all its rounds."""
    scenario = results["scenarios"].get(name)
    return bool(scenario) and max((len(rows) for rows in scenario["rows"].values()), default=0) >= rounds


def rows(results, name, candidate):
    return results["scenarios"].get(name, {}).get("rows", {}).get(candidate, [])


def values(results, name, candidate, key):
    return [row[key] for row in rows(results, name, candidate) if key in row]


def median(results, name, candidate, key):
    found = values(results, name, candidate, key)
    return statistics.median(found) if found else None


def total(results, name, candidate, key):
    return sum(values(results, name, candidate, key))


def ratios(results, name, ours, theirs, key="cpu_us"):
    """One figure for each round that both have: rounds are compared with themselves."""
    other = {row["round"]: row[key] for row in rows(results, name, theirs) if row.get(key)}
    return [row[key] / other[row["round"]] for row in rows(results, name, ours) if key in row and row["round"] in other]


def added(results, name, candidate, key):
    """What a candidate adds to the latency without a proxy, in µs, median over rounds."""
    base = {row["round"]: row[key] for row in rows(results, name, "direct") if key in row}
    found = [row[key] - base[row["round"]] for row in rows(results, name, candidate) if key in row and row["round"] in base]
    return statistics.median(found) if found else None
