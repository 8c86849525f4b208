"""The manifests and the chart of docker/kubernetes, read and lived; see tests/kubernetes/run."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import live
import static
from harness import Suite, folder


def a_rollout_of_the_agents_loses_nothing():
    return run_apart("names.py")


def three_pods_are_a_fleet_by_the_page():
    return run_apart("fleet.py", "page")


def pods_that_serve_become_a_fleet():
    return run_apart("fleet.py", "serving")


def run_apart(name, *arguments):
    """A script of this folder, in a network namespace of its own."""
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = pathlib.Path(__file__).with_name(name)
    # With the first process of the namespace all others end.
    apart = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = ["unshare", *rights, *apart, sys.executable, "-W", "ignore", str(script), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=190)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def main():
    suite = Suite()
    manifests = static.load()
    for function in static.CHECKS:
        suite.check(function.__name__, function, manifests)
    with folder() as path:
        life = live.a_pod_that_ends_takes_connections_and_finishes_its_turns
        suite.check(life.__name__, life, path)
    suite.check("a_rollout_of_the_agents_loses_nothing", a_rollout_of_the_agents_loses_nothing, seconds=200)
    for fleet in (three_pods_are_a_fleet_by_the_page, pods_that_serve_become_a_fleet):
        suite.check(fleet.__name__, fleet, seconds=200)
    with folder() as path:
        cluster = live.Cluster(path)
        for function in live.CHECKS:
            suite.check(function.__name__, function, cluster, seconds=90)
        suite.finish()


if __name__ == "__main__":
    main()
