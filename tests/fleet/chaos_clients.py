"""Clients that change and roll back on random nodes and record their calls, and somebody who decides what is in dispute."""

import random
import threading
import time

from chaos_world import GONE, ROUTES, WHOLE
from linearizability import ANY, NEVER, Operation


class Recorder:
    """Calls, as the checker takes them, and what became of each changed value: `done`, `refused` or `unknown`."""

    def __init__(self, operations):
        self.lock, self.left, self.value = threading.Lock(), operations, 0
        self.operations, self.changes, self.answers = [], {}, {}

    def next(self):
        """A value that no other change has; none when there were enough."""
        with self.lock:
            if self.left == 0:
                return None
            self.left, self.value = self.left - 1, self.value + 1
            return self.value

    def add(self, *operation):
        with self.lock:
            self.operations.append(Operation(*operation))

    def change(self, value, outcome, route, start, end):
        with self.lock:
            self.changes[value] = (outcome, route, start, end)

    def answered(self, kind, status):
        with self.lock:
            key = f"{kind} {status}"
            self.answers[key] = self.answers.get(key, 0) + 1


def green_of(receipt):
    """Route, and weight of green before and after, of each route that a receipt says has changed."""
    for one in receipt.get("diff", []):
        section, route, *rest = one["path"].split(".")
        if section == "routes" and rest == ["split", "green"]:
            yield route, one["before"], one["after"]


class Client:
    """Makes operations until there were enough, or the time is over."""

    def __init__(self, nodes, recorder, pause, end, seed):
        self.nodes, self.recorder, self.pause, self.end, self.chance = nodes, recorder, pause, end, random.Random(seed)
        self.problem = None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            while time.monotonic() < self.end and (value := self.recorder.next()) is not None:
                self.operate(self.node(), value)
                time.sleep(self.chance.expovariate(1 / self.pause))
        except BaseException as error:  # noqa: B036 - reported by the check
            self.problem = error

    def node(self):
        """A node, most often one that is there."""
        while True:
            node = self.chance.choice(self.nodes)
            if not node.away or self.chance.random() < 0.05:
                return node
            time.sleep(0.005)

    def operate(self, node, value):
        while not node.enter():
            time.sleep(0.01)
        try:
            route, kind = f"r{self.chance.randrange(ROUTES)}", self.chance.random()
            if kind < 0.55:
                self.change(node, route, value)
            elif kind < 0.8:
                self.change_if(node, route, value)
            elif kind < 0.97:
                self.roll_back(node, f"/v1/routes/{route}/rollback", [route])
            else:
                self.roll_back(node, "/v1/rollback", [f"r{number}" for number in range(ROUTES)])
        finally:
            node.leave()

    def change_if(self, node, route, value):
        """A change of what was read, and of nothing else."""
        try:
            status, fields, answer = node.ask("GET", f"/v1/routes/{route}")
        except GONE:
            return
        if status == 200:
            self.change(node, route, value, answer["split"].get("green", 0), fields["etag"])

    def change(self, node, route, value, read=ANY, tag=None):
        start = time.monotonic()
        weights = {"weights": {"blue": WHOLE - value, "green": value}}
        try:
            status, _, answer = node.ask("PUT", f"/v1/routes/{route}/split", weights, {"if-match": tag} if tag else {})
        except ConnectionRefusedError:
            status, answer = "refused", {}
        except GONE:
            status, answer = "lost", {}
        end = time.monotonic()
        said = f"{status} {answer['type'].rsplit(':', 1)[-1]}" if "type" in answer else status
        self.recorder.answered("change" if read is ANY else "change-if", said)
        if status == 200:
            (found,) = (before for name, before, after in green_of(answer) if (name, after) == (route, value))
            if read not in (ANY, found):
                # The receipt says what was there in fact: the comparison was wrong.
                raise AssertionError(f"{node.name}: {route} was {read} when it was read, and {found} when {value} replaced it")
            self.recorder.add(route, start, end, found, value, node.name)
            outcome = "done"
        elif status == "lost" or (status != "refused" and status >= 500 and "may have" in answer.get("detail", "may have")):
            self.recorder.add(route, start, NEVER, read, value, node.name)
            outcome = "unknown"
        else:
            outcome = "refused"
        self.recorder.change(value, outcome, route, start, end)

    def roll_back(self, node, path, routes):
        """It is live on the node at once, and later in the fleet, or never."""
        start = time.monotonic()
        try:
            status, _, answer = node.ask("POST", path)
        except ConnectionRefusedError:
            status = "refused"
        except GONE:
            status = "lost"
        self.recorder.answered("rollback", status if status in (200, "refused", "lost") else f"{status} {answer['type'].rsplit(':', 1)[-1]}")
        if status == 200:
            for route, _, after in green_of(answer):
                self.recorder.add(route, start, NEVER, ANY, after, node.name)
        elif status == "lost":
            for route in routes:
                self.recorder.add(route, start, NEVER, ANY, ANY, node.name)


class Referee:
    """Watches the reports of the nodes, and decides what is in dispute, one way or the other."""

    def __init__(self, nodes, recorder, seed):
        self.nodes, self.recorder, self.chance = nodes, recorder, random.Random(seed)
        self.ended, self.problems, self.kept = threading.Event(), [], {"mine": 0, "theirs": 0}
        # What nodes have reported: revision of the fleet, and the digest that was live then.
        self.reports, self.stopped = set(), set()
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def loop(self):
        try:
            while not self.ended.wait(0.15):
                for node in self.nodes:
                    if not node.away:
                        self.look(node)
        except BaseException as error:  # noqa: B036 - reported by the check
            self.problems.append(repr(error))

    def look(self, node):
        try:
            fleet = node.fleet(2)
        except GONE:
            return
        for report in fleet.get("nodes", []):
            # While a node takes a revision up, its report has the number of one and the table of another.
            is_calm = report.get("followed") == report["revision"]
            if is_calm and not report["rollbacks"] and not report.get("reason"):
                self.reports.add((report["revision"], report["digest"], report["node"]))
        if fleet["state"] == "stopped" and node.name not in self.stopped:
            self.stopped.add(node.name)
            self.problems.append(f"{node.name} has stopped: {fleet['reason']}")
        disputed = [one["part"] for one in fleet.get("rollbacks", []) if one.get("disputed")]
        if disputed and fleet["state"] == "following" and self.chance.random() < 0.5:
            self.decide(node, [part["route"] for part in disputed], self.chance.choice(["mine", "theirs"]))

    def decide(self, node, routes, side):
        """What is kept must be known: clients stay away from the node meanwhile."""
        node.close()
        try:
            start = time.monotonic()
            kept = {route: node.ask("GET", f"/v1/routes/{route}")[2]["split"].get("green", 0) for route in routes}
            if side == "mine":
                for route, value in kept.items():
                    self.recorder.add(route, start, NEVER, ANY, value, node.name)
            status, _, _ = node.ask("POST", "/v1/fleet/keep", {"keep": side})
            self.kept[side] += status == 200
        except (*GONE, KeyError, TypeError):
            pass
        finally:
            node.open()

    def finish(self):
        self.ended.set()
        self.thread.join(20)
        assert not self.problems, self.problems[:5]
