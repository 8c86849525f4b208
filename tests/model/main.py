"""The admin API against a model of its promises, over the wire.

One client is compared step by step: every answer, the table, the status and the history, with restarts, kills, a history
writer that dies or hangs, an edited file, agents that fail and recover, dry runs, conditions and repeated keys between the
steps. Then the same on a history that keeps few revisions, and several clients at once, whose receipts are put in order
and replayed. A run is made of seeds, which are printed; `--seed N` repeats one.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace

import promises
from promises import File, Live, Refused
from server import HEALTH, Agents, Client, Lost, Server, pause, send_signal, wait_gone, wait_until

RELEASES = ["blue", "green", "red", "grey", "gold"]
ROUTES = ["chat", "search", "mail"]
VERSIONS = ["1", "2", "3"]
STEPS_SHOWN = int(os.environ.get("STEPS_SHOWN", "12"))
# Kept from runs that failed once.
FEW = [7]  # of them with few revisions kept
SEEDS = [int(line) for line in (pathlib.Path(__file__).parent / "seeds").read_text().split()]


def endpoints(rng):
    ports = rng.sample(range(20001, 20009), rng.randint(1, 3))
    return [f"http://127.0.0.1:{port}" for port in sorted(ports)]


def document(file):
    """A table as the API takes it."""
    release = lambda name, version, urls: {"version": version, "endpoints": list(urls)} | check_of(name)
    route = lambda name, path, weights, stable: {"name": name, "path_prefix": path, "split": weights} | (
        {"stable": stable} if stable else {}
    )
    return {
        "releases": {name: release(name, *entry) for name, entry in file.releases.items()},
        "routes": [route(name, *entry) for name, entry in file.routes.items()],
    }


def check_of(release):
    return {"health": HEALTH} if release in promises.CHECKED else {}


def first_file():
    releases = {name: ("1", (f"http://127.0.0.1:{20001 + place}",)) for place, name in enumerate(RELEASES[:3])}
    routes = {
        "chat": ("/chat", {"blue": 100}, None),
        "search": ("/search", {"blue": 95, "green": 5}, "blue"),
    }
    return File(releases, routes)


class Request:
    """One change: how it is asked for, and what the model makes of it."""

    def __init__(self, method, path, body, promise, about, publish=True):
        self.method, self.path, self.body = method, path, body
        self.promise, self.about, self.publish = promise, about, publish
        self.may_be_gone = False  # the revision that it goes to

    def __repr__(self):
        return f"{self.method} {self.path} {self.body}"


class Run:
    """One server, one client, one model."""

    def __init__(self, seed, folder, steps, skip=(), keep=None):
        # How many revisions are kept, where that is few: the far end of the stack goes then, and at times only the
        # status shows it.
        self.keep = keep
        self.skip = skip
        self.rng = random.Random(seed)
        self.steps = steps
        self.agents = Agents(3)
        self.file = first_file()
        self.file.releases["gold"] = ("1", (min(self.agents.well),))
        self.base = self.file
        self.server = Server(folder, self.file, keep)
        self.live = Live()
        self.forgotten = ()  # levels below those of what is live, which a start may find on the disk still
        self.tables = {}  # the content of every revision that was live
        self.changed = {}  # the revision that last changed ("route" or "release", name)
        self.structure = 0  # the last revision that added, removed or reordered routes
        self.receipts = {}  # idempotency key: request, headers, answer
        self.highest = 0
        self.trace = []
        self.compared = 0

    # --- the run ---

    def go(self):
        try:
            self.run()
        finally:
            self.agents.stop()

    def run(self):
        self.server.start()
        self.client = Client(self.server.admin)
        self.adopt(promises.import_file(Live(), File(), self.file), self.revision_live())
        self.compare()
        choices = [
            (70, self.step), (12, self.look), (6, self.repeat), (4, self.edit), (2, self.turn), (1, self.kill_idle), (1.5, self.kill_busy),
            (1, self.kill_history_writer), (0.2, self.hang), (0.5, self.restart),
        ]
        choices = [(weight, action) for weight, action in choices if action.__name__ not in self.skip]
        actions, weights = [action for _, action in choices], [weight for weight, _ in choices]
        for _ in range(self.steps):
            self.rng.choices(actions, weights)[0]()
        self.compare()
        assert self.server.stop() == 0, "it ends well"

    def note(self, what):
        self.trace.append(what)

    def revision_live(self):
        return int(self.client.ask("GET", "/v1/table").etag.strip('"'))

    def adopt(self, outcome, revision):
        """Takes over what a request came to, under the number that it got."""
        before = self.live
        self.live = outcome.numbered(revision)
        if not outcome.changed:
            return
        assert revision > self.highest, f"revision {revision} after {self.highest}"
        self.highest = revision
        self.tables[revision] = self.live.table
        old, new = promises.as_file(before), promises.as_file(self.live)
        for kind in ("routes", "releases"):
            was, now = getattr(old, kind), getattr(new, kind)
            for name in {*was, *now}:
                if was.get(name) != now.get(name):
                    self.changed[kind, name] = revision
        if list(old.routes) != list(new.routes):
            self.structure = revision

    # --- requests ---

    def weights(self, known=True):
        names = (list(self.live.table.versions) if known else []) or RELEASES
        chosen = self.rng.sample(names, self.rng.randint(1, min(3, len(names))))
        return {name: self.rng.choice([0, 1, 5, 50, 95, 100]) for name in chosen}

    def forget(self, status=None):
        """Takes over how far the stack still reaches; half of what is kept is for it."""
        if not self.keep:
            return
        status = status or self.client.ask("GET", "/v1/status").json
        depth, levels = status["rollback"]["depth"], self.live.levels
        # What is live, and the decision below it where it is a fact, are of that half.
        least = min(len(levels), self.keep // 2 - 2)
        assert least <= depth <= len(levels), f"{least} to {len(levels)} levels: {depth}"
        self.forgotten += levels[: len(levels) - depth]
        self.live = replace(self.live, levels=levels[len(levels) - depth :])

    def may_be_forgotten(self, revision):
        """Whether a revision is so old that it may be gone: neither at the near end of the stack nor one of the latest."""
        if not self.keep:
            return False
        near = [level.revision for level in self.live.levels[-(self.keep // 2 - 3) :]]
        # Of the latest, those that were refused take room as well.
        latest = list(self.tables)[-2:]
        return revision not in [self.live.revision, *near, *latest]

    def endpoints(self, release):
        if release not in promises.CHECKED:
            return endpoints(self.rng)
        return sorted(self.rng.sample(sorted(self.agents.well), self.rng.randint(1, 2)))

    def edited(self, file):
        """A table with a split changed, and now and then a release."""
        edited = file.copy()
        name = self.rng.choice(list(edited.routes))
        path, _, stable = edited.routes[name]
        weights = {release: self.rng.choice([0, 5, 95]) for release in self.rng.sample(list(edited.releases), 2)}
        weights[self.rng.choice(list(weights))] = 100
        edited.routes[name] = (path, weights, stable if stable in weights else None)
        if self.rng.random() < 0.3:
            release = self.rng.choice(list(edited.releases))
            edited.releases[release] = (self.rng.choice(VERSIONS), tuple(self.endpoints(release)))
        return edited

    def whole_table(self):
        """All of the table at once; it has to name the revision that it is based on."""
        edited = self.edited(promises.as_file(self.live))
        if self.rng.random() < 0.2 and len(edited.routes) > 1:
            del edited.routes[self.rng.choice(list(edited.routes))]
        promise = lambda now: promises.whole_table(now, edited)
        return Request("PUT", "/v1/table", document(edited), promise, None)

    def request(self):
        """A change at random, mostly one that makes sense."""
        self.forget()
        rng, live = self.rng, self.live
        route = rng.choice(ROUTES if rng.random() < 0.1 else [name for name, _, _ in live.table.routes] or ROUTES)
        release = rng.choice(RELEASES if rng.random() < 0.1 else list(live.table.versions) or RELEASES)
        on_route = lambda method, word, body, name, **words: Request(
            method, f"/v1/routes/{route}/{word}", body, lambda now: getattr(promises, name)(now, route, **words), ("routes", route)
        )
        kind = rng.choices(
            ["split", "patch", "percent", "switch", "promote", "promote_to", "abort", "put_route", "delete_route", "put_release",
             "scale", "delete_release", "back", "step", "to", "back_route"],
            [8, 6, 6, 6, 5, 2, 5, 3, 1, 4, 5, 2, 9, 2, 5, 5],
        )[0]
        if kind in ("split", "patch"):
            weights = self.weights(known=rng.random() < 0.9)
            if kind == "patch":
                return on_route("PATCH", "split", {"weights": weights}, kind, weights=weights)
            drop = rng.random() < 0.8
            body = {"weights": weights} | ({"drop": True} if drop else {})
            return on_route("PUT", "split", body, kind, weights=weights, drop=drop)
        if kind == "percent":
            percents = {name: rng.choice([0, 0.5, 5, 33.3333, 50, 95, 100]) for name in self.weights(rng.random() < 0.9)}
            return on_route("PATCH", "split", {"percent": percents}, kind, percents=percents)
        if kind == "switch":
            return on_route("POST", "switch", {"to": release}, kind, to=release)
        if kind == "promote":
            return on_route("POST", "promote", None, kind)
        if kind == "promote_to":
            return on_route("POST", "promote", {"to": release}, "promote", to=release)
        if kind == "abort":
            return on_route("POST", "abort", None, kind)
        if kind == "put_route":
            weights = self.weights()
            name, stable = rng.choice(ROUTES), rng.choice([None, *weights])
            body = {"path_prefix": f"/{name}", "split": weights} | ({"stable": stable} if stable else {})
            promise = lambda now: promises.add_route(now, name, f"/{name}", weights, stable)
            return Request("PUT", f"/v1/routes/{name}", body, promise, ("routes", name))
        if kind == "delete_route":
            promise = lambda now: promises.remove_route(now, route)
            return Request("DELETE", f"/v1/routes/{route}", None, promise, ("routes", route))
        if kind in ("put_release", "scale"):
            version = rng.choice(VERSIONS)
            if kind == "scale" and release in live.table.versions:
                version = live.table.versions[release]
            urls = self.endpoints(release)
            promise = lambda now: promises.put_release(now, release, version, urls)
            body = {"version": version, "endpoints": urls} | check_of(release)
            return Request("PUT", f"/v1/releases/{release}", body, promise, ("releases", release))
        if kind == "delete_release":
            force = rng.random() < 0.5
            promise = lambda now: promises.remove_release(now, release, force)
            path = f"/v1/releases/{release}" + ("?force=true" if force else "")
            return Request("DELETE", path, None, promise, ("releases", release))
        return self.rollback(kind, route)

    def rollback(self, kind, route):
        # The records that say where a route was before may be gone.
        if kind == "back_route" and not self.keep:
            promise = lambda now: promises.back_route(now, route)
            return Request("POST", f"/v1/routes/{route}/rollback", None, promise, ("routes", route), publish=False)
        if kind == "to":
            revision = self.rng.choice(list(self.tables)[-12:])
            promise = lambda now: promises.back_to(now, revision, self.tables[revision])
            request = Request("POST", "/v1/rollback", {"to": revision}, promise, None, publish=False)
            request.may_be_gone = self.may_be_forgotten(revision)
            return request
        if kind == "step":
            return Request("POST", "/v1/rollback", {"step": True}, promises.back_a_step, None, publish=False)
        return Request("POST", "/v1/rollback", self.rng.choice([None, {}]), promises.back, None, publish=False)

    def in_group(self, request):
        """The same change as one of a group, which a bare rollback undoes whole."""
        group = self.rng.choice(["night", "day"])
        path = request.path + ("&" if "?" in request.path else "?") + f"group={group}"
        promise = lambda now: promises.grouped(request.promise(now), group)
        return Request(request.method, path, request.body, promise, request.about)

    def expected(self, request):
        """The outcome, or the statuses of a refusal. Both where a way back may be refused, since what it leads to is unhealthy,
        or was not checked for long."""
        self.ill = []
        try:
            outcome = request.promise(self.live)
        except Refused as refused:
            return None, refused.statuses
        if not outcome.changed:
            return outcome, (404,) if request.may_be_gone else ()
        self.ill = promises.unanswered(self.live, outcome.after, self.agents.well.get)
        if request.publish and not request.path.split("?")[0].endswith("/abort"):
            return (None, (409,)) if self.ill else (outcome, ())
        may_be_refused = self.ill or not self.are_known(outcome.after)
        return outcome, ((409,) if may_be_refused else ()) + ((404,) if request.may_be_gone else ())

    def are_known(self, after):
        """True if each release with a check that gets more is watched, and has an endpoint that is known to be healthy."""
        names = promises.growing(self.live, after) & set(promises.CHECKED)
        if not names:
            return True
        found = {(one["name"], one["version"]) for one in self.client.ask("GET", "/v1/status").json["releases"] if one["healthy"]}
        return all((name, after.table.versions[name]) in found for name in names)

    def condition(self, request):
        """An `If-Match`, and what has to become of it: `None` where the model cannot tell."""
        base = self.rng.choice([self.live.revision, self.rng.choice(list(self.tables)[-8:])])
        if base == self.live.revision:
            holds = True
        elif request.about is None:
            holds = False
        elif base < self.structure:
            # Which routes count as changed by a change of their order is not promised.
            holds = None
        else:
            holds = self.changed.get(request.about, 0) <= base
        return {"if-match": f'"{base}"'}, holds

    # --- actions ---

    def step(self):
        whole = self.live.table.routes and self.live.table.releases[1:] and self.rng.random() < 0.05
        request = self.whole_table() if whole else self.request()
        if request.publish and "group" not in self.skip and self.rng.random() < 0.3:
            request = self.in_group(request)
        headers, holds = {"if-match": f'"{self.live.revision}"'} if whole else {}, True
        if self.rng.random() < 0.15:
            headers, holds = self.condition(request)
        outcome, refusals = self.expected(request)
        if self.rng.random() < 0.1:
            self.preview(request, headers, outcome, refusals, holds)
        key = None
        if self.rng.random() < 0.2:
            key = f"key-{len(self.receipts)}-{self.rng.getrandbits(32)}"
            headers = headers | {"idempotency-key": key}
        self.note((request, headers))
        before = self.live
        answer = self.client.ask(request.method, request.path, request.body, headers)
        self.judge(answer, outcome, refusals, holds)
        if answer.status == 200 and outcome.changed and not request.publish:
            missing = promises.taken_back(before, self.live) - self.quarantined()
            assert not missing, f"{missing} in quarantine: {answer}"
        if key and answer.status == 200:
            self.receipts[key] = request, headers, answer
        if self.rng.random() < 0.4:
            self.compare()

    def preview(self, request, headers, outcome, refusals, holds):
        self.note(("dry run", request, headers))
        path = request.path + ("&" if "?" in request.path else "?") + "dry_run=true"
        answer = self.client.ask(request.method, path, request.body, headers)
        self.compared += 1
        if self.ill and answer.status == 200:
            # A release that was not checked yet is reported as such: the change itself waits for the check.
            assert outcome is not None or answer.json["unknown"] == self.ill, answer
            return
        if self.is_refused(answer, outcome, refusals, holds):
            return
        preview = answer.json
        assert preview["revision"] == self.live.revision, answer
        assert preview["changed"] == outcome.changed, answer
        if outcome.undid is not None:
            assert tuple(preview.get("undoes", ())) == outcome.undid, f"undoes {outcome.undid}: {answer}"

    def is_refused(self, answer, outcome, refusals, holds):
        """Whether it was refused, and had to be."""
        allowed = set(refusals)
        if holds is not True:
            allowed.add(412)
        if outcome is not None and holds is not False:
            allowed.add(200)
        assert answer.status in allowed, f"one of {sorted(allowed)} was promised: {answer}"
        return answer.status != 200

    def judge(self, answer, outcome, refusals, holds):
        self.compared += 1
        if self.is_refused(answer, outcome, refusals, holds):
            return
        receipt = answer.json
        assert receipt["changed"] == outcome.changed, f"changed is {outcome.changed}: {answer}"
        if not outcome.changed:
            assert receipt["revision"] == self.live.revision, answer
            return
        assert receipt["parent"] == self.live.revision, f"parent {self.live.revision}: {answer}"
        assert receipt["cause"]["kind"] == outcome.cause, f"cause {outcome.cause}: {answer}"
        if outcome.to is not None:
            assert receipt["cause"]["to"] == outcome.to, f"to {outcome.to}: {answer}"
        if outcome.undid is not None:
            assert tuple(receipt.get("undid", ())) == outcome.undid, f"undid {outcome.undid}: {answer}"
        assert receipt.get("converged_at"), f"every worker has it: {answer}"
        if not outcome.is_rollback:
            assert receipt["durable"], f"durable before live: {answer}"
        self.adopt(outcome, receipt["revision"])

    def repeat(self):
        """A key that was used is answered as it was, whatever happened since; for another request it is refused."""
        if not self.receipts:
            return self.step()
        key = self.rng.choice(list(self.receipts)[-40:])
        request, headers, before = self.receipts[key]
        self.note(("repeat", request, headers))
        answer = self.client.ask(request.method, request.path, request.body, headers)
        self.compared += 1
        assert (answer.status, answer.body, answer.etag) == (200, before.body, before.etag), f"as before, {before}: {answer}"
        if self.rng.random() < 0.3:
            self.note(("another under the key", key))
            other = {"weights": {"blue": 17, "green": self.rng.randint(1, 99)}, "drop": True}
            answer = self.client.ask("PUT", "/v1/routes/chat/split", other, {"idempotency-key": key})
            self.compared += 1
            assert answer.status == 422, f"another request under a key: {answer}"
        return self.compare()

    def look(self):
        """The status and the history."""
        self.compared += 2
        status = self.client.ask("GET", "/v1/status").json
        self.forget(status)
        live = self.live
        assert status["revision"] == live.revision, status["revision"]
        rollback = status["rollback"]
        place = live.previous()
        assert rollback["available"] == (place is not None), rollback
        assert rollback["depth"] == len(live.levels), f"{len(live.levels)} levels: {rollback}"
        if place is not None:
            assert rollback["to"] == live.levels[place].revision, f"to {live.levels[place].revision}: {rollback}"
        for route in status["routes"]:
            stable = live.table.step(route["name"]).stable_release()
            assert route.get("stable") == stable, f"stable {stable}: {route}"
        page = self.client.ask("GET", "/v1/revisions?limit=20").json["revisions"]
        shown = [entry["revision"] for entry in page if entry["cause"]["kind"] != "void"]
        known = sorted(self.tables, reverse=True)[: len(shown)]
        if self.keep:
            assert set(shown) <= set(self.tables), f"revisions that were live, not {shown}"
            shown = known
        assert shown == known, f"history {known}, not {shown}"
        on_stack = {live.revision, live.decision, *(level.revision for level in live.levels)}
        for entry in page:
            assert entry["live"] == (entry["revision"] == live.revision), entry
            assert entry["undoable"] or entry["revision"] not in on_stack - {live.decision}, entry

    def compare(self):
        """The whole table, entry by entry."""
        self.compared += 1
        answer = self.client.ask("GET", "/v1/table")
        assert answer.etag == f'"{self.live.revision}"', f"revision {self.live.revision} is live: {answer.etag}"
        self.compare_table(answer.json, self.live)

    @staticmethod
    def compare_table(document, live):
        releases = {
            name: (release.get("version", ""), tuple(release["endpoints"])) for name, release in document["releases"].items()
        }
        routes = {
            route["name"]: (route["path_prefix"], route["split"], route.get("stable")) for route in document["routes"]
        }
        expected = promises.as_file(live)
        assert releases == expected.releases, f"releases {expected.releases}, not {releases}"
        assert routes == expected.routes, f"routes {expected.routes}, not {routes}"
        assert list(routes) == list(expected.routes), f"in this order {list(expected.routes)}, not {list(routes)}"

    def turn(self):
        """An agent fails its checks, or recovers."""
        url = self.rng.choice(sorted(self.agents.well))
        self.agents.well[url] = well = not self.agents.well[url]
        self.note(("an agent is well", url, well))

        def is_seen():
            releases = self.client.ask("GET", "/v1/status").json["releases"]
            its = [one for release in releases for one in release["endpoints"] if one["url"] == url and not one["draining"]]
            return all(one["health"] == ("healthy" if well else "unhealthy") for one in its)

        wait_until("its checks are answered", is_seen, 20)

    # --- the file ---

    def edit(self):
        """An operator edits the file, and has it read again: by a signal, or over the API."""
        edited = self.edited(self.file)
        self.file = edited
        self.server.write(edited)
        self.note(("edit", edited))
        signalled, reloads = self.rng.random() < 0.5, self.server.reloads()
        if signalled:
            self.server.signal(signal.SIGHUP)
        answer = self.client.ask("POST", "/v1/reload")
        # Later, a file that is refused now may be one that can be taken over.
        wait_until("it is read again", lambda: self.server.reloads() >= reloads + 1 + signalled, 10)
        self.take_over(answer)

    def take_over(self, answer):
        self.compared += 1
        try:
            outcome, refusals = promises.import_file(self.live, self.base, self.file), ()
        except Refused as refused:
            outcome, refusals = None, refused.statuses
        if outcome is not None and outcome.changed and promises.unanswered(self.live, outcome.after, self.agents.well.get):
            outcome = None
        if outcome is not None and self.is_held_back(outcome.after):
            outcome = None
        if outcome is None:
            # A conflict, an invalid table, or one that leads to an unhealthy release or to one in quarantine.
            assert answer.status in (409, *refusals), f"nothing is taken over: {answer}"
            return self.compare()
        assert answer.status == 200, answer
        if outcome.changed:
            # The signal may have been faster than the request.
            self.adopt(outcome, answer.json["import"]["revision"])
        self.base = self.file
        return self.compare()

    def quarantined(self):
        entries = self.client.ask("GET", "/v1/quarantine").json["releases"]
        return {(entry["release"], entry["version"]) for entry in entries}

    def is_held_back(self, after):
        """True if a file would give more to a version that was taken back."""
        entries = self.quarantined()
        return any((name, after.table.versions[name]) in entries for name in promises.growing(self.live, after))

    def started(self):
        """After a start, which takes the file over once more: with a conflict, what was live stays."""
        self.client = Client(self.server.admin)
        try:
            outcome = promises.import_file(self.live, self.base, self.file)
        except Refused:
            outcome = None
        if outcome is not None and not self.is_held_back(outcome.after):
            if outcome.changed:
                self.adopt(outcome, self.revision_live())
            self.base = self.file
        self.remember()
        self.compare()

    def remember(self):
        """The far end of the stack is forgotten at once, and on the disk a little later: a start may bring some of it back."""
        if self.forgotten:
            depth = self.client.ask("GET", "/v1/status").json["rollback"]["depth"]
            kept = len(self.forgotten) - max(0, depth - len(self.live.levels))
            assert kept >= 0, f"{len(self.forgotten)} levels were forgotten, {-kept} more came back"
            self.live = replace(self.live, levels=self.forgotten[kept:] + self.live.levels)
            self.forgotten = self.forgotten[:kept]

    # --- ends, clean and otherwise ---

    def restart(self):
        self.note("restart")
        self.client.close()
        assert self.server.stop() == 0
        self.server.start()
        self.started()

    def settle(self):
        """Waits until a restart would bring what is live, and the next change can be written.

        A rollback's slot alone makes it durable; the store behind it may still be waiting for another history writer.
        """

        def written():
            durability = self.client.ask("GET", "/v1/status").json["durability"]
            return durability["healthy"] and durability["pending_records"] == 0

        wait_until("the history is written and healthy", written, 15)

    def kill_idle(self):
        """`kill -9`: what was acknowledged is live again."""
        self.settle()
        self.note("kill -9")
        self.client.close()
        self.server.kill()
        self.server.start()
        self.started()

    def kill_busy(self):
        """`kill -9` with a change in flight: what was acknowledged is live again, or that change."""
        self.settle()
        request = self.request()
        outcome, _ = self.expected(request)
        key = f"busy-{self.rng.getrandbits(48)}"
        headers = {"idempotency-key": key}
        self.note(("kill -9 amid", request))
        self.client.ask("GET", "/livez")
        self.client.send(request.method, request.path, request.body, headers)
        pause(self.rng.random() * 0.003)
        self.server.kill()
        self.client.close()
        self.server.start()
        self.client = Client(self.server.admin)
        revision = self.revision_live()
        mine = self.made_by(key)
        if mine is not None:
            assert outcome is not None and outcome.changed, f"{request} came to revision {mine}"
            self.adopt(outcome, mine)
        else:
            assert revision == self.live.revision or self.file is not self.base, f"{revision}, not {self.live.revision}"
        self.started()
        if mine is not None and "repeat" not in self.skip:
            # A client that got no response repeats the request, and gets the result of the first one.
            answer = self.client.ask(request.method, request.path, request.body, headers)
            assert answer.status == 200 and answer.json["revision"] == mine, f"revision {mine}: {answer}"
            self.compare()

    def made_by(self, key):
        page = self.client.ask("GET", "/v1/revisions?limit=5").json["revisions"]
        made = [
            entry["revision"]
            for entry in page
            if entry["author"].get("idempotency_key") == key and entry["cause"]["kind"] != "void"
        ]
        return made[0] if made else None

    def kill_history_writer(self):
        """The history writer dies: the next change is written by another one, and nothing is lost."""
        self.settle()
        writer = self.server.history_writer()
        if writer is None:
            return self.step()
        self.note("the history writer is killed")
        send_signal(writer, signal.SIGKILL)
        if self.rng.random() < 0.5:
            wait_gone(writer)
        request = self.request()
        outcome, refusals = self.expected(request)
        self.note(request)
        answer = self.client.ask(request.method, request.path, request.body)
        if answer.status == 503:
            assert request.publish, f"a rollback waits for no disk: {answer}"
            # On a machine that is very busy the next history writer may come too late.
            assert "did not respond within" in answer.json["detail"], f"another history writer writes it: {answer}"
        else:
            self.judge(answer, outcome, refusals, True)
        self.compare()
        return self.settle()

    def hang(self):
        """The disk hangs: publishes are refused, rollbacks work, and a kill brings back no more and no less."""
        self.settle()
        writer = self.server.history_writer()
        if writer is None:
            # It was killed, and nothing was to be written since.
            return self.step()
        self.note("the disk hangs")
        send_signal(writer, signal.SIGSTOP)
        for _ in range(self.rng.randint(1, 6)):
            request = self.request()
            outcome, refusals = self.expected(request)
            if outcome is not None and outcome.changed and not outcome.is_rollback:
                refusals = (503, *refusals)
            self.note(request)
            answer = self.client.ask(request.method, request.path, request.body)
            # What changes nothing needs no disk.
            if refusals and not (outcome is not None and outcome.is_rollback and answer.status == 200):
                self.compared += 1
                assert answer.status in refusals, f"one of {refusals} was promised: {answer}"
            else:
                self.judge(answer, outcome, refusals, True)
                if outcome.changed:
                    assert not answer.json["durable"], answer
        self.compare()
        killed = self.rng.random() < 0.7
        if killed:
            self.note("kill -9 while the disk hangs")
            self.client.close()
            self.server.kill()
        send_signal(writer, signal.SIGCONT)
        if killed:
            self.server.start()
            self.started()
        else:
            self.settle()
        return self.compare()


# --- several clients ---


class Crowd:
    """Several clients at once. Their receipts say in which order they happened; in that order the model must agree."""

    def __init__(self, seed, folder, clients, each):
        self.seed, self.clients, self.each = seed, clients, each
        self.server = Server(folder, first_file())
        self.trace = []
        self.compared = 0

    def go(self):
        self.server.start()
        watcher = Client(self.server.admin)
        first = int(watcher.ask("GET", "/v1/table").etag.strip('"'))
        live = promises.import_file(Live(), File(), first_file()).numbered(first)
        with concurrent.futures.ThreadPoolExecutor(self.clients) as pool:
            done = [call for calls in pool.map(self.client, range(self.clients)) for call in calls]
        self.compared = len(done)
        live = self.replay(live, done)
        Run.compare_table(watcher.ask("GET", "/v1/table").json, live)
        self.server.kill()
        self.server.start()
        Run.compare_table(Client(self.server.admin).ask("GET", "/v1/table").json, live)
        assert self.server.stop() == 0

    def client(self, number):
        rng, client = random.Random(f"{self.seed}/{number}"), Client(self.server.admin)
        calls = []
        for _ in range(self.each):
            method, path, body, promise = self.request(rng)
            begin = time.monotonic()
            answer = client.ask(method, path, body)
            calls.append((begin, time.monotonic(), (method, path, body), promise, answer))
        return calls

    @staticmethod
    def request(rng):
        route = rng.choice(["chat", "search"])
        kind = rng.choices(["split", "patch", "switch", "promote", "abort", "scale", "back"], [6, 6, 5, 2, 2, 2, 5])[0]
        path = f"/v1/routes/{route}"
        if kind in ("split", "patch"):
            weights = {name: rng.randint(1, 100) for name in rng.sample(RELEASES[:3], rng.randint(1, 3))}
            method, body = ("PUT", {"weights": weights, "drop": True}) if kind == "split" else ("PATCH", {"weights": weights})
            return method, f"{path}/split", body, lambda now: getattr(promises, kind)(now, route, weights)
        if kind == "switch":
            to = rng.choice(RELEASES[:3])
            return "POST", f"{path}/switch", {"to": to}, lambda now: promises.switch(now, route, to)
        if kind in ("promote", "abort"):
            return "POST", f"{path}/{kind}", None, lambda now: getattr(promises, kind)(now, route)
        if kind == "scale":
            urls = endpoints(rng)
            body = {"version": "1", "endpoints": urls}
            return "PUT", "/v1/releases/red", body, lambda now: promises.put_release(now, "red", "1", urls)
        return "POST", "/v1/rollback", None, promises.back

    def replay(self, live, calls):
        states = {live.revision: live}
        made = [call for call in calls if call[4].status == 200 and call[4].json["changed"]]
        made.sort(key=lambda call: call[4].json["revision"])
        latest_begin = 0
        for begin, end, request, promise, answer in made:
            self.trace.append((request, answer.json["revision"]))
            receipt = answer.json
            assert receipt["parent"] == live.revision, f"parent {live.revision}: {request} {answer}"
            assert end > latest_begin, f"{request} was answered before one that it follows was asked: {answer}"
            latest_begin = max(latest_begin, begin)
            outcome = promise(live)
            assert outcome.changed and receipt["cause"]["kind"] == outcome.cause, f"{outcome.cause}: {request} {answer}"
            if outcome.undid is not None:
                assert tuple(receipt["undid"]) == outcome.undid, f"undid {outcome.undid}: {request} {answer}"
            live = outcome.numbered(receipt["revision"])
            states[live.revision] = live
        self.check_rest(calls, made, states)
        return live

    def check_rest(self, calls, made, states):
        """What changed nothing must have had a moment, while it was asked, at which that was right."""
        order = sorted(states)
        begun = {call[4].json["revision"]: call[0] for call in made}
        ended = {call[4].json["revision"]: call[1] for call in made}
        for begin, end, request, promise, answer in calls:
            if answer.status == 200 and answer.json["changed"]:
                continue
            # Live at some moment of the call: begun before its end, and not replaced before its beginning.
            window = [
                states[revision]
                for place, revision in enumerate(order)
                if begun.get(revision, 0) <= end and (place + 1 == len(order) or ended[order[place + 1]] >= begin)
            ]
            assert any(self.fits(promise, answer, live, window) for live in window), f"never right: {request} {answer}"

    @staticmethod
    def fits(promise, answer, live, window):
        try:
            outcome = promise(live)
        except Refused as refused:
            return answer.status in refused.statuses
        if answer.status == 412:
            # A rollback was faster than a publish that was being written.
            return len(window) > 1
        return answer.status == 200 and not outcome.changed and answer.json["revision"] == live.revision


# --- the suite ---


def attempt(name, make):
    """Runs one case in a folder of its own; a failure is reported with its seed and its last steps."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = tempfile.mkdtemp(prefix="switchback-model-", dir=memory)
    case, begin = make(folder), time.monotonic()
    try:
        case.go()
        failure = None
    except BaseException:  # noqa: B036 - whatever it was, the case has failed
        failure = traceback.format_exc(limit=4)
    finally:
        child = case.server.child
        if child is not None and child.poll() is None:
            writer = case.server.history_writer()
            case.server.kill()
            if writer:
                try:
                    send_signal(writer, signal.SIGCONT)
                except ProcessLookupError:
                    pass
    took = time.monotonic() - begin
    if failure is None:
        shutil.rmtree(folder, ignore_errors=True)
        return name, case.compared, took, None
    steps = "\n".join(f"  {step}" for step in case.trace[-STEPS_SHOWN:])
    log = case.server.tail()
    shutil.rmtree(folder, ignore_errors=True)
    return name, case.compared, took, f"{failure}last steps:\n{steps}\nlog:\n{log}"


def one(argument):
    kind, seed, size, skip = argument
    if kind == "one":
        return attempt(f"one client, seed {seed}", lambda folder: Run(seed, folder, size, skip))
    if kind == "few":
        return attempt(f"few revisions kept, seed {seed}", lambda folder: Run(seed, folder, size, skip, keep=12))
    return attempt(f"several clients, seed {seed}", lambda folder: Crowd(seed, folder, 4, size))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed alone, with one client and with several")
    parser.add_argument("--runs", type=int, default=15, help="runs with further seeds, the same each time")
    parser.add_argument("--new", action="store_true", help="draw the further seeds anew, to look for what is not known yet")
    parser.add_argument("--steps", type=int, default=500, help="steps of a run with one client")
    parser.add_argument("--only", choices=["one", "few", "several"])
    parser.add_argument("--skip", default="", help="actions to leave out, to look at one kind of failure: repeat,hang")
    options = parser.parse_args()
    # The same seeds each time, so that a failure is due to the change and not to chance; `--new` is for looking further.
    fresh = random.SystemRandom() if options.new else random.Random(1)
    seeds = [options.seed] if options.seed is not None else SEEDS + [fresh.randrange(10**9) for _ in range(options.runs)]
    skip = tuple(options.skip.split(","))
    cases = [("one", seed, options.steps, skip) for seed in seeds]
    few = seeds if options.seed is not None else FEW + seeds[-max(1, options.runs // 4) :]
    cases += [("few", seed, options.steps // 2, skip) for seed in few]
    cases += [("several", seed, options.steps * 2 // 3, skip) for seed in few]
    cases = [case for case in cases if options.only in (None, case[0])]
    passed = failed = operations = 0
    begin = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for name, compared, took, failure in pool.map(one, cases):
            operations += compared
            if failure is None:
                passed += 1
                print(f"ok      {name}: {compared} compared ({took:.1f} s)", flush=True)
            else:
                failed += 1
                print(f"FAILED  {name}: after {compared} ({took:.1f} s); again: tests/model/run --seed N\n{failure}", flush=True)
    print(f"{operations} operations compared in {time.monotonic() - begin:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


if __name__ == "__main__":
    main()
