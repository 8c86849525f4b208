"""Faults of processes, of the network, of clocks and of the space of the store. Each mends what it broke."""

import base64
import collections
import contextlib
import random
import signal
import threading
import time

from chaos_world import FAKETIME, GONE, MEMBERS, NODES

JUNK = base64.b64encode(b"junk/").decode()


class Faults:
    """Two of them at a time: one at the proxies, one at the store."""

    def __init__(self, store, nodes, network, seed):
        self.store, self.nodes, self.network = store, nodes, network
        self.ended, self.count, self.problems = threading.Event(), collections.Counter(), []
        of_proxies = [self.proxy_is_killed, self.proxy_is_stopped, self.two_proxies_are_killed]
        of_store = [self.member_is_killed, self.leader_is_stopped, self.quorum_is_stopped, self.all_members_are_killed,
                    self.compaction, self.space_is_full]
        if network.is_real:
            of_proxies.append(self.proxy_is_cut_off)
            of_store += [self.member_is_cut_off, self.leader_is_cut_off, self.network_is_split]
        if FAKETIME:
            of_proxies.append(self.clock_is_set)
        self.threads = [
            threading.Thread(target=self.loop, args=(kinds, random.Random(f"{seed}-{number}")))
            for number, kinds in enumerate((of_proxies, of_store))
        ]
        for thread in self.threads:
            thread.start()

    def loop(self, kinds, chance):
        # Each once, and then at random.
        first = chance.sample(kinds, len(kinds))
        while not self.ended.wait(chance.uniform(0.1, 0.6)):
            fault = first.pop() if first else chance.choice(kinds)
            try:
                fault(chance)
                self.count[fault.__name__.replace("_", " ")] += 1
            except BaseException as error:  # noqa: B036 - reported by the check
                self.problems.append(f"{fault.__name__}: {error!r}")
                return

    def finish(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.problems, self.problems
        self.network.join_all()
        self.make_space()

    def hold(self, chance, longest):
        """A fault is there for that long."""
        self.ended.wait(chance.uniform(0.2, longest))

    # --- proxies

    def proxy_is_killed(self, chance):
        node = chance.choice(self.nodes)
        node.signal(signal.SIGKILL)
        self.hold(chance, 1.5)
        node.start()

    def two_proxies_are_killed(self, chance):
        pair = chance.sample(self.nodes, 2)
        for node in pair:
            node.signal(signal.SIGKILL)
        self.hold(chance, 1)
        for node in pair:
            node.start()

    def proxy_is_stopped(self, chance):
        node = chance.choice(self.nodes)
        node.signal(signal.SIGSTOP)
        self.hold(chance, 3)
        node.signal(signal.SIGCONT)

    def proxy_is_cut_off(self, chance):
        host = chance.choice(self.nodes).host
        self.cut(chance, [(host, member) for member in range(MEMBERS)], 4)

    def clock_is_set(self, chance):
        chance.choice(self.nodes).clock.write_text(f"{chance.randint(-7200, 7200):+}")

    # --- members of the store

    def member_is_killed(self, chance):
        self.kill([chance.randrange(MEMBERS)], chance)

    def all_members_are_killed(self, chance):
        self.kill(range(MEMBERS), chance)

    def kill(self, members, chance):
        for member in members:
            self.store.signal(member, signal.SIGKILL)
        self.hold(chance, 1.5)
        for member in members:
            self.store.start(member)

    def leader_is_stopped(self, chance):
        leader = self.store.leader()
        self.stop([] if leader is None else [leader], chance)

    def quorum_is_stopped(self, chance):
        self.stop(chance.sample(range(MEMBERS), 2), chance)

    def stop(self, members, chance):
        for member in members:
            self.store.signal(member, signal.SIGSTOP)
        self.hold(chance, 3)
        for member in members:
            self.store.signal(member, signal.SIGCONT)

    def member_is_cut_off(self, chance):
        """From the other members, not from the proxies."""
        member = chance.randrange(MEMBERS)
        self.cut(chance, [(member, other) for other in range(MEMBERS) if other != member], 3)

    def leader_is_cut_off(self, chance):
        leader = self.store.leader() or 0
        self.cut(chance, [(leader, other) for other in range(MEMBERS) if other != leader], 3)

    def network_is_split(self, chance):
        """One member and some proxies here, the others there."""
        hosts = range(MEMBERS + NODES)
        here = {chance.randrange(MEMBERS), *chance.sample(hosts[MEMBERS:], 2)}
        self.cut(chance, [(one, other) for one in here for other in hosts if other not in here], 4)

    def cut(self, chance, pairs, longest):
        for pair in pairs:
            self.network.cut(*pair)
        self.hold(chance, longest)
        for pair in pairs:
            self.network.join(*pair)

    # --- the space of the store

    def compaction(self, _):
        with contextlib.suppress(*GONE):
            now = self.store.ask("/v3/kv/range", {"key": JUNK})["header"]["revision"]
            self.store.ask("/v3/kv/compaction", {"revision": now})

    def space_is_full(self, chance):
        value = base64.b64encode(bytes(1_000_000)).decode()
        with contextlib.suppress(*GONE):
            for number in range(40):
                self.store.ask("/v3/kv/put", {"key": base64.b64encode(f"junk/{number}".encode()).decode(), "value": value})
        self.hold(chance, 1.5)
        self.make_space()

    def make_space(self):
        """Removes the junk. Tried until it works, as an operator would: other faults end meanwhile."""
        end = time.monotonic() + 40
        while True:
            try:
                return self.try_to_make_space()
            except GONE:
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def try_to_make_space(self):
        removed = self.store.ask("/v3/kv/deleterange", {"key": JUNK, "range_end": base64.b64encode(b"junk0").decode()})
        with contextlib.suppress(*GONE):
            self.store.ask("/v3/kv/compaction", {"revision": removed["header"]["revision"], "physical": True}, seconds=10)
        for member in range(MEMBERS):
            self.store.ask("/v3/maintenance/defragment", {}, member, 10)
        alarms = self.store.ask("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
        for alarm in alarms:
            self.store.ask("/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": alarm.get("memberID", "0"), "alarm": alarm["alarm"]})
        # A compaction that came to nothing has left it full, and the next write raises the alarm again.
        self.store.ask("/v3/kv/put", {"key": base64.b64encode(b"probe").decode(), "value": ""})
        again = self.store.ask("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
        if again:
            raise OSError(f"the store is full still: {again}")
