"""Operations on random nodes beside faults, and what has to be true of them afterwards. See `tests/fleet/chaos`."""

import argparse
import collections
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import linearizability_checks
from chaos_clients import Client, Recorder, Referee
from chaos_faults import Faults
from chaos_network import Network
from chaos_world import GONE, MEMBERS, NODES, ROUTES, Node, Store, Traffic, agent
from harness import Suite, folder, wait_until
from linearizability import ANY, NEVER, Operation, check

CLIENTS = 12


class Collector:
    """Every revision of the fleet, by its number, since the store does not keep all."""

    def __init__(self, store):
        self.store, self.revisions, self.ended, self.twice = store, {}, threading.Event(), []
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def loop(self):
        while not self.ended.wait(1):
            try:
                self.read()
            except GONE:
                continue

    def read(self):
        # The last ones again: a number never gets another revision.
        for number, revision in self.store.values("revisions", max(0, len(self.revisions) - 50)):
            known = self.revisions.setdefault(number, revision)
            if known["id"] != revision["id"]:
                self.twice.append(number)

    def finish(self):
        self.ended.set()
        self.thread.join(30)
        self.read()
        assert not self.twice, f"another revision under the number {self.twice}"
        assert sorted(self.revisions) == list(range(1, len(self.revisions) + 1)), "revisions are missing"


class Chaos:
    def __init__(self, path, options):
        self.options, self.final = options, {}
        self.network = Network(MEMBERS + NODES, os.environ.get("CHAOS_NETWORK") == "own")
        self.store = Store(path, self.network)
        agents = [agent(self.network.here) for _ in range(2)]
        self.nodes = [Node(number, path, self.network, self.store, agents) for number in range(NODES)]
        self.traffic = Traffic(self.nodes, 0.01)
        self.recorder = Recorder(options.operations)
        self.collector = Collector(self.store)

    def operate(self):
        start, seed = time.monotonic(), self.options.seed
        self.referee = referee = Referee(self.nodes, self.recorder, f"{seed}-referee")
        faults = Faults(self.store, self.nodes, self.network, seed)
        pause = CLIENTS * self.options.seconds / self.options.operations
        end = start + 2 * self.options.seconds
        clients = [Client(self.nodes, self.recorder, pause, end, f"{seed}-{number}") for number in range(CLIENTS)]
        for client in clients:
            client.thread.join()
        took = time.monotonic() - start
        faults.finish()
        try:
            wait_until("all nodes have the same", self.all_agree, 60)
        except AssertionError as late:
            raise AssertionError(f"{late}\n" + "\n".join(str(node.fleet()) for node in self.nodes)) from None
        referee.finish()
        problems = [client.problem for client in clients if client.problem]
        assert not problems, problems
        counts = ", ".join(f"{count} × {name}" for name, count in sorted(faults.count.items()))
        answers = ", ".join(f"{count} × {name}" for name, count in sorted(self.recorder.answers.items()))
        return f"{sum(self.recorder.answers.values())} operations in {took:.0f} s\n    faults: {counts}\n    answers: {answers}\n    disputes kept: {referee.kept}"

    def all_agree(self):
        fleets = [node.fleet() for node in self.nodes]
        calm = all(one["state"] == "following" and not one.get("reason") and not one.get("rollbacks") for one in fleets)
        return calm and len(self.digests()) == 1 and len({one["revision"] for one in fleets}) == 1

    def digests(self):
        return {node.ask("GET", "/v1/status")[2]["digest"] for node in self.nodes}

    def members_agree(self):
        """What they have of the fleet: else nothing that follows says anything about switchback."""
        end = time.monotonic() + 20
        while True:
            found = [dict(self.store.values("revisions", 0, member)) for member in range(MEMBERS)]
            if all(one == found[0] for one in found):
                return f"{len(found[0])} revisions"
            assert time.monotonic() < end, [len(one) for one in found]

    def same_table(self):
        """On every node, and it is the one of the last revision of the store."""
        self.collector.finish()
        revisions = self.collector.revisions
        (digest,) = self.digests()
        assert digest == revisions[len(revisions)]["digest"]
        for route in range(ROUTES):
            found = {node.ask("GET", f"/v1/routes/r{route}")[2]["split"].get("green", 0) for node in self.nodes}
            assert len(found) == 1, found
            self.final[f"r{route}"] = found.pop()
        return f"revision {len(revisions)} of the fleet"

    def one_table_for_a_number(self):
        """Whatever a node has reported or written, beside no rollback of its own, is what the store has under that number."""
        digests = {number: revision["digest"] for number, revision in self.collector.revisions.items()}
        seen = [(f"{name} reported", revision, digest) for revision, digest, name in self.referee.reports if revision]
        for node in self.nodes:
            for record in node.records():
                mark = record.get("shared", {})
                if mark.get("revision") and not mark.get("rollbacks"):
                    seen.append((f"{node.name} wrote", mark["revision"], record["digest"]))
        others = [one for one in seen if digests.get(one[1]) != one[2]]
        assert not others, f"{len(others)} of {len(seen)}: {others[:5]}"
        return f"{len(seen)} reports and records"

    def nothing_is_lost(self):
        """Each acknowledged change is in the store once, in the order of time; a refused one is not there."""
        places = collections.defaultdict(list)
        for number, revision in sorted(self.collector.revisions.items()):
            for change in revision["changes"] if revision["kind"] == "human" else []:
                if change["kind"] == "put_route":
                    places[change["route"]["split"].get("green", 0)].append((number, change["route"]["name"]))
        order, counts = [], collections.Counter()
        for value, (outcome, route, start, end) in self.recorder.changes.items():
            found = [number for number, name in places[value] if name == route]
            counts[outcome] += 1
            if outcome == "done":
                assert found, f"{route} = {value} was acknowledged and is not in the store"
                order.append((found[0], start, end))
            assert len(found) <= 1, f"{route} = {value} was made more than once: {found}"
            if outcome == "refused":
                assert not found, f"{route} = {value} was refused, and is revision {found}"
            counts["unknown, and there"] += outcome == "unknown" and bool(found)
        latest = 0
        for number, start, end in sorted(order):
            assert end > latest, f"revision {number} was answered before one before it was asked for"
            latest = max(latest, start)
        return ", ".join(f"{count} {name}" for name, count in counts.items())

    def is_linearizable(self):
        """The store is not asked: what clients saw, and what is there at the end."""
        end = time.monotonic()
        last = [Operation(route, end, end + 1, value, value, "end") for route, value in self.final.items()]
        check(self.recorder.operations + last, {f"r{route}": 0 for route in range(ROUTES)})
        open_ = sum(one.end == NEVER for one in self.recorder.operations)
        seeing = sum(one.before is not ANY for one in self.recorder.operations)
        return f"{len(self.recorder.operations)} calls, {open_} open, {seeing} that saw what was there"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--operations", type=int, default=150)
    parser.add_argument("--seconds", type=float, help="time for them, which may double; by default 8, and an eighth of one for each of more than 150")
    parser.add_argument("--keep", action="store_true", help="keeps logs and histories")
    options = parser.parse_args()
    options.seconds = options.seconds or (8 if options.operations <= 150 else options.operations / 8)
    sys.argv = sys.argv[:1]
    print(f"seed {options.seed}", flush=True)
    suite = Suite()
    suite.check("the checker finds what was planted", linearizability_checks.planted)
    suite.check("the checker says what a search by hand says", linearizability_checks.small)
    suite.check("the checker is through with long histories", linearizability_checks.large)
    with folder() as path:
        chaos = Chaos(path, options)
        suite.check("operations on five nodes beside faults", chaos.operate, seconds=options.seconds * 3 + 120)
        suite.check("the members of the store agree", chaos.members_agree)
        suite.check("every node ends with the same table", chaos.same_table)
        suite.check("no acknowledged change is lost, no refused one is there", chaos.nothing_is_lost)
        suite.check("no two tables with one number", chaos.one_table_for_a_number)
        suite.check("the calls are linearizable", chaos.is_linearizable)
        suite.check("no request has failed by it", lambda: f"{chaos.traffic.finish()} requests")
        if options.keep or suite.failed:
            print(f"kept: {keep(path)}")
    suite.finish()


def keep(path):
    """Logs and histories at a place that stays."""
    import shutil

    place = pathlib.Path(f"target/chaos-{os.getpid()}-{time.time_ns()}")
    shutil.copytree(path, place, ignore=shutil.ignore_patterns("*.sock", "m?"))
    return place


main()
