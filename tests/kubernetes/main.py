"""The manifests and the chart of docker/kubernetes, read and lived; see tests/kubernetes/run."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import live
import static
from harness import Suite, folder


def main():
    suite = Suite()
    manifests = static.load()
    for function in static.CHECKS:
        suite.check(function.__name__, function, manifests)
    with folder() as path:
        life = live.a_pod_that_ends_takes_connections_and_finishes_its_turns
        suite.check(life.__name__, life, path)
    with folder() as path:
        cluster = live.Cluster(path)
        for function in live.CHECKS:
            suite.check(function.__name__, function, cluster, seconds=90)
        suite.finish()


if __name__ == "__main__":
    main()
