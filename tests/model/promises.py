"""What the admin API promises, as a pure model: a table, the stack below it, and what each request makes of them.

Nothing here knows how switchback does it: no digests, no records, no files. The rules are those of ARCHITECTURE.md
(invariants 4, 6, 7 and 8), of the API's own texts and of `--help`; where this and the program differ, one is wrong.
"""

from dataclasses import dataclass, field, replace

# Releases that have a health check; of the others nothing is known, and they count as fit.
CHECKED = ("gold",)


class Refused(Exception):
    """A request that changes nothing; the statuses that it may have."""

    def __init__(self, *statuses):
        super().__init__(f"refused with {statuses}")
        self.statuses = statuses


@dataclass(frozen=True)
class Step:
    """The split of a route, and how it came to it: what it was before, and which decision was live until then."""

    split: tuple  # (release, weight), by release
    stable: str | None
    whole: str | None  # the release that last had all the weight
    before: "Step | None" = None
    until: int = 0

    @property
    def weights(self):
        return dict(self.split)

    def is_like(self, other):
        return (self.split, self.stable) == (other.split, other.stable)

    def stable_release(self):
        """The named one, or the one that last had all the weight; only a release in the split is."""
        names = [name for name in (self.stable, self.whole) if name is not None and name in self.weights]
        return names[0] if names else None


@dataclass(frozen=True)
class Table:
    """What was decided: each route's path and step, in order, and each release's version."""

    routes: tuple = ()  # (name, path, Step)
    releases: tuple = ()  # (name, version), by name

    def step(self, route):
        return next((step for name, _, step in self.routes if name == route), None)

    def path(self, route):
        return next((path for name, path, _ in self.routes if name == route), None)

    @property
    def versions(self):
        return dict(self.releases)

    def decides_like(self, other):
        plain = lambda table: [(name, path, step.split, step.stable) for name, path, step in table.routes]
        return plain(self) == plain(other) and self.releases == other.releases


@dataclass(frozen=True)
class Level:
    """A decision that a rollback can go to."""

    revision: int
    table: Table
    group: str | None = None


@dataclass(frozen=True)
class Live:
    """What is live: its number, the number of its decision, what was decided, the facts, the levels below, and the group
    that the decision belongs to."""

    revision: int = 0
    decision: int = 0
    table: Table = Table()
    rosters: tuple = ()  # ((release, version), endpoints)
    levels: tuple = ()  # the deepest first
    group: str | None = None

    def previous(self):
        """The place of the level that a bare rollback goes to: below the whole group of what is live."""
        outside = [
            place for place, level in enumerate(self.levels) if self.group is None or level.group != self.group
        ]
        return outside[-1] if outside else None

    def level(self):
        """What is live, as a level below the next decision."""
        return Level(self.decision, self.table, self.group)

    def endpoints(self, release):
        return dict(self.rosters).get((release, self.table.versions[release]), ())


@dataclass(frozen=True)
class Outcome:
    """What a request that is not refused comes to: what is live then (under its number, once that is known), and what
    its receipt says."""

    after: Live
    changed: bool = True
    cause: str = "publish"
    to: int | None = None
    undid: tuple | None = None
    is_rollback: bool = False
    is_fact: bool = False

    def numbered(self, revision):
        """The same once the number of the revision is known."""
        if not self.changed:
            return self.after
        return replace(self.after, revision=revision, decision=self.after.decision if self.is_fact else revision)


def with_entry(entries, key, value):
    """A sorted tuple of pairs with another value for a key; without it where there is none."""
    rest = {name: old for name, old in entries if name != key}
    if value is not None:
        rest[key] = value
    return tuple(sorted(rest.items()))


def whole_of(weights, before):
    """The release that has all the weight, or that had it before, as long as it is in the split."""
    weighed = [name for name, weight in weights.items() if weight > 0]
    if len(weighed) == 1:
        return weighed[0]
    return before if before in weights else None


def make_step(live, before, weights, stable):
    """The step of a route to these weights, from the one before, which is none where the route is new."""
    stable = stable if stable in weights else None
    whole = whole_of(weights, before.whole if before else None)
    step = Step(tuple(sorted(weights.items())), stable, whole, before, live.decision)
    if before is not None and step.is_like(before):
        return replace(before, whole=whole)
    return step


def put_route(live, table, route, path, weights, stable):
    step = make_step(live, table.step(route), weights, stable)
    entry = (route, path, step)
    if table.step(route) is None:
        return replace(table, routes=table.routes + (entry,))
    return replace(table, routes=tuple(entry if old[0] == route else old for old in table.routes))


def check_weights(table, weights):
    for release in weights:
        if release not in table.versions:
            raise Refused(404)
    if sum(weights.values()) == 0:
        raise Refused(400, 409, 422)


def known(table, route):
    step = table.step(route)
    if step is None:
        raise Refused(404)
    return step


def published(live, table, rosters=None, cause="publish"):
    """A decision, or a fact where only rosters differ: what was live goes on the stack, unless nothing was decided."""
    rosters = live.rosters if rosters is None else rosters
    if table.decides_like(live.table):
        if rosters == live.rosters:
            return Outcome(live, changed=False)
        fact = "roster" if cause == "publish" else cause
        return Outcome(replace(live, table=table, rosters=rosters), cause=fact, is_fact=True)
    levels = live.levels + (live.level(),) if live.revision else live.levels
    return Outcome(replace(live, table=table, rosters=rosters, levels=levels, group=None), cause=cause)


def grouped(outcome, group):
    """The same change as one of a group."""
    if not outcome.changed or outcome.is_fact:
        return outcome
    return replace(outcome, after=replace(outcome.after, group=group))


def set_weights(live, route, weights, stable):
    table = live.table
    check_weights(table, weights)
    return published(live, put_route(live, table, route, table.path(route), weights, stable))


def everything_to(live, route, release, moves=True):
    step = known(live.table, route)
    if release not in live.table.versions:
        raise Refused(404)
    weights = dict.fromkeys(step.weights, 0)
    weights[release] = min(max(sum(step.weights.values()), 1), 1_000_000)
    stable = release if moves and step.stable is not None else step.stable
    return set_weights(live, route, weights, stable)


# --- what each request does: one function each, called with what is live and the request's own words ---


def split(live, route, weights, drop=True):
    step = known(live.table, route)
    if not drop and any(weight > 0 and release not in weights for release, weight in step.split):
        # It may as well be refused for a name that there is not.
        raise Refused(400, 404, 409, 422)
    return set_weights(live, route, weights, step.stable)


def patch(live, route, weights):
    step = known(live.table, route)
    return set_weights(live, route, step.weights | weights, step.stable)


def percent(live, route, percents):
    """Those that are named get their percents; the others that have a weight share the rest as they did, to a millionth."""
    step = known(live.table, route)
    whole = 1_000_000
    named = {name: round(number * whole / 100) for name, number in percents.items()}
    rest = whole - sum(named.values())
    others = {name: weight for name, weight in step.split if weight > 0 and name not in named}
    unknown = [404] if any(name not in live.table.versions for name in named) else []
    if rest < 0 or (rest > 0 and not others):
        raise Refused(409, *unknown)
    total = sum(others.values())
    parts = {name: rest * weight // total for name, weight in others.items()}
    by_remainder = sorted(others, key=lambda name: (-(rest * others[name] % total), name))
    for name in by_remainder[: rest - sum(parts.values())]:
        parts[name] += 1
    weights = dict.fromkeys(step.weights, 0) | named | parts
    # As few digits as it takes, but a sum of 100 at least.
    by = next(by for by in (10_000, 1_000, 100, 10, 1) if all(weight % by == 0 for weight in weights.values()))
    return set_weights(live, route, {name: weight // by for name, weight in weights.items()}, step.stable)


def switch(live, route, to):
    return everything_to(live, route, to)


def promote(live, route, to=None):
    step = known(live.table, route)
    if to is None:
        canaries = [name for name, weight in step.split if weight > 0 and name != step.stable_release()]
        if len(canaries) != 1:
            raise Refused(409)
        to = canaries[0]
    return everything_to(live, route, to)


def abort(live, route):
    stable = known(live.table, route).stable_release()
    if stable is None:
        raise Refused(409)
    return everything_to(live, route, stable, moves=False)


def add_route(live, route, path, weights, stable):
    for release in [*weights, *([stable] if stable else [])]:
        if release not in live.table.versions:
            raise Refused(404)
    check_weights(live.table, weights)
    return published(live, put_route(live, live.table, route, path, weights, stable))


def remove_route(live, route):
    known(live.table, route)
    return published(live, replace(live.table, routes=tuple(old for old in live.table.routes if old[0] != route)))


def put_release(live, release, version, endpoints):
    table = replace(live.table, releases=with_entry(live.table.releases, release, version))
    return published(live, table, with_entry(live.rosters, (release, version), tuple(endpoints)))


def remove_release(live, release, force=False):
    table = live.table
    if release not in table.versions:
        raise Refused(404)
    if any(step.weights.get(release, 0) for _, _, step in table.routes):
        raise Refused(409)
    warm = [step for level in live.levels[-2:] for _, _, step in level.table.routes]
    wanted = any(release in step.weights for _, _, step in table.routes) or any(
        step.weights.get(release, 0) for step in warm
    )
    if wanted and not force:
        raise Refused(409)
    removed = replace(table, releases=with_entry(table.releases, release, None))
    for route, path, step in table.routes:
        if release in step.weights:
            weights = {name: weight for name, weight in step.split if name != release}
            removed = put_route(live, removed, route, path, weights, step.stable)
    return published(live, removed)


def gone_back(live, place):
    level = live.levels[place]
    undid = [live.decision, *(above.revision for above in reversed(live.levels[place + 1 :]))]
    after = replace(live, table=level.table, levels=live.levels[:place], group=level.group)
    return Outcome(after, cause="rollback", to=level.revision, undid=tuple(undid), is_rollback=True)


def back(live):
    if live.previous() is None:
        raise Refused(409)
    return gone_back(live, live.previous())


def back_a_step(live):
    if not live.levels:
        raise Refused(409)
    return gone_back(live, len(live.levels) - 1)


def back_to(live, revision, table):
    """Back to a revision, of which `table` was the content: on the stack if a level decides the same, else on top."""
    if revision == live.revision or table.decides_like(live.table):
        return Outcome(live, changed=False)
    own = [place for place, level in enumerate(live.levels) if level.revision == revision]
    like = [place for place, level in enumerate(live.levels) if level.table.decides_like(table)]
    if own or like:
        return gone_back(live, (own or like)[-1])
    again = live.table.routes, table.routes
    steps = {name: step for name, _, step in again[0]}
    routes = tuple(
        (name, path, retaken(live, steps.get(name), step)) for name, path, step in again[1]
    )
    after = replace(live, table=Table(routes, table.releases), levels=live.levels + (live.level(),), group=None)
    return Outcome(after, cause="rollback", to=revision, is_rollback=True)


def retaken(live, now, then):
    if now is not None and now.is_like(then):
        return replace(now, whole=then.whole)
    return Step(then.split, then.stable, then.whole, now, live.decision)


def back_route(live, route):
    """Back to the route's own split before; what was decided since leaves the stack."""
    step = known(live.table, route)
    before = step.before
    if before is None:
        raise Refused(409)
    if any(release not in live.table.versions for release in before.weights):
        raise Refused(409)
    entry = (route, live.table.path(route), before)
    table = replace(live.table, routes=tuple(entry if old[0] == route else old for old in live.table.routes))
    levels = tuple(level for level in live.levels if level.revision <= step.until)
    if levels and levels[-1].table.decides_like(table):
        # It is that revision again; going back to it would be no step.
        levels = levels[:-1]
    after = replace(live, table=table, levels=levels, group=None)
    return Outcome(after, cause="rollback_route", is_rollback=True)


# --- health ---


def shares(table, route):
    """The share of each release of a route, by weight and sum."""
    step = table.step(route)
    weights = step.weights if step else {}
    return {name: (weight, sum(weights.values())) for name, weight in weights.items()}


def growing(before, after):
    """The releases that get a larger share of a route. One with another version is another one, and begins with nothing."""
    names = set()
    for route, _, _ in after.table.routes:
        was = shares(before.table, route)
        for name, (weight, of) in shares(after.table, route).items():
            same = before.table.versions.get(name) == after.table.versions.get(name)
            old, old_of = was.get(name, (0, 1)) if same else (0, 1)
            if weight * old_of > old * of:
                names.add(name)
    return names


def taken_back(before, after):
    """The versions that had requests on a route where they get less, and have none on any now: what a rollback puts in
    quarantine."""
    weighed = {name for route, _, _ in after.table.routes for name, (weight, _) in shares(after.table, route).items() if weight}
    versions, now = before.table.versions, after.table.versions
    lost = [name for name in growing(after, before) if name not in weighed or now.get(name) != versions.get(name)]
    return {(name, versions[name]) for name in lost}


def unanswered(before, after, is_well):
    """Releases with a check that get more although none of their endpoints passes it."""
    checked = [name for name in growing(before, after) if name in CHECKED]
    return [name for name in checked if not any(is_well(url) for url in after.endpoints(name))]


# --- the file ---


@dataclass
class File:
    """The configuration file: releases as (version, endpoints), routes as (path, weights, stable)."""

    releases: dict = field(default_factory=dict)
    routes: dict = field(default_factory=dict)

    def copy(self):
        return File(dict(self.releases), {name: (path, dict(w), stable) for name, (path, w, stable) in self.routes.items()})


def as_file(live):
    routes = {name: (path, step.weights, step.stable) for name, path, step in live.table.routes}
    releases = {name: (version, live.endpoints(name)) for name, version in live.table.releases}
    return File(releases, routes)


def import_file(live, base, edited):
    """The three-way comparison: what changed only in the file is taken, what changed only live stays, and with a conflict
    nothing happens. Returns the outcome, or `None` for a conflict."""
    mine = as_file(live)
    merged = File()
    for part in ("releases", "routes"):
        was, now, file, chosen = (getattr(side, part) for side in (base, mine, edited, merged))
        for name in [*now, *(name for name in file if name not in now)]:
            sides = was.get(name), now.get(name), file.get(name)
            if sides[1] != sides[2] and sides[0] not in sides[1:]:
                return None
            value = sides[2] if sides[0] == sides[1] else sides[1]
            if value is not None:
                chosen[name] = value
    return whole_table(live, merged, cause="import")


def whole_table(live, merged, cause="publish"):
    """Another table instead of what is live; endpoints of other versions stay known."""
    table = Table((), tuple(sorted((name, version) for name, (version, _) in merged.releases.items())))
    rosters = live.rosters
    for name, (version, endpoints) in merged.releases.items():
        rosters = with_entry(rosters, (name, version), tuple(endpoints))
    routes = []
    for name, (path, weights, stable) in merged.routes.items():
        check_weights(table, weights)
        routes.append((name, path, make_step(live, live.table.step(name), weights, stable)))
    return published(live, replace(table, routes=tuple(routes)), rosters, cause=cause)
