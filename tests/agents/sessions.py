"""Sessions of MCP up to 2025-11-25, which the servers hold: the Python client against the library's own servers."""

import asyncio

from mcp_client import connect, where
from world import same


class Session:
    """One client that makes its calls in phases, so that the test can change the split between them."""

    def __init__(self, world, phases, room):
        self.places, self.ids, self.failure = [], set(), None
        self.reached = [asyncio.Event() for _ in phases]
        self.task = asyncio.create_task(self.run(world, phases, room))

    async def run(self, world, phases, room):
        try:
            async with connect(world, ids=self.ids) as client:
                for phase, reached in zip(phases, self.reached):
                    await phase.wait()
                    async with room:
                        self.places.append(await where(client))
                    reached.set()
        except BaseException as error:  # noqa: B036 - whatever it was, this session broke
            self.failure = repr(error)
        finally:
            for reached in self.reached:
                reached.set()

    def broken(self, expected_calls):
        """What is wrong with this session, or None."""
        if self.failure:
            return self.failure
        if len({(place["release"], place["endpoint"], place["session"]) for place in self.places}) != 1:
            return f"it moved: {self.places}"
        if [place["calls"] for place in self.places] != list(range(expected_calls)):
            return f"its state was lost: {self.places}"
        if self.places[0]["session"] in self.ids:
            return "the client knows the server's own id"
        return None

    def moved(self, old, new):
        """What is wrong with a session that should have moved between its two phases, or None."""
        if self.failure:
            return self.failure
        places = [(place["release"], place["calls"]) for place in self.places]
        if places != [(old, 0), (old, 1), (new, 0)]:
            return f"{self.places}"
        return None


async def sessions_through(world, count, changes):
    """Sessions that live through changes, each with a call before, between and after them."""
    phases, room = [asyncio.Event() for _ in range(len(changes) + 1)], asyncio.Semaphore(16)
    sessions = [Session(world, phases, room) for _ in range(count)]
    for number, phase in enumerate(phases):
        if number:
            await asyncio.to_thread(changes[number - 1])
        phase.set()
        await asyncio.gather(*(session.reached[number].wait() for session in sessions))
    await asyncio.gather(*(session.task for session in sessions))
    return sessions


def stay_whole(world, count, blue, green):
    """No session breaks while weights change and all new ones are switched away; all of them end at their servers."""
    world.split("tools", blue=blue, green=green)
    changes = [
        lambda: world.split("tools", blue=50, green=50),
        lambda: world.switch("tools", "green"),
        lambda: world.split("tools", blue=1, green=99),
    ]
    sessions = asyncio.run(sessions_through(world, count, changes))
    broken = [said for session in sessions if (said := session.broken(len(changes) + 1))]
    assert not broken, f"{len(broken)} of {count} sessions broke, such as: {broken[0]}"
    began = [session.places[0]["release"] for session in sessions].count("green")
    expected = count * green / (blue + green)
    assert abs(began - expected) < 5 * (expected * blue / (blue + green)) ** 0.5 + 1, f"{began} began on green"
    same({session.places[0]["endpoint"] for session in sessions}, {agent.name for agent in world.agents}, "endpoints in use")
    same([agent.look()["sessions"] for agent in world.agents], [0, 0, 0, 0], "sessions that were not ended")
    return f"{count} sessions, {began} of them on green"


def survive_a_restart(world, count):
    """Sessions go on at their endpoints after a restart of the proxy, which stores nothing about them."""
    world.split("tools", blue=50, green=50)
    sessions = asyncio.run(sessions_through(world, count, [world.restart]))
    broken = [said for session in sessions if (said := session.broken(2))]
    assert not broken, f"{len(broken)} of {count} sessions broke, such as: {broken[0]}"


def move_after_a_rollback(world, count):
    """Sessions of the release that was rolled back go on at the other one with their next call; clients do not notice."""
    world.switch("tools", "green")
    sessions = asyncio.run(sessions_through(world, count, [lambda: None, world.rollback]))
    moved = [session.moved("green", "blue") for session in sessions]
    assert not any(moved), f"{sum(map(bool, moved))} of {count} sessions broke, such as: {next(filter(None, moved))}"
    same([agent.look()["sessions"] for agent in world.of("blue")], [0, 0], "sessions that were not ended")


def move_from_a_dead_endpoint(world, count):
    """Sessions of an endpoint that died go on at the other one of the same release; the others stay where they are."""
    dead, alive = world.of("blue")
    sessions = asyncio.run(sessions_through(world, count, [dead.kill]))
    assert not (failures := [session.failure for session in sessions if session.failure]), failures[0]
    same({place["endpoint"] for session in sessions for place in session.places[1:]}, {alive.name})
    stayed = [session for session in sessions if session.places[0]["endpoint"] == alive.name]
    assert 0 < len(stayed) < count, f"{len(stayed)} of {count} on one endpoint"
    same([said for session in stayed if (said := session.broken(2))], [])
    same([agent.look()["sessions"] for agent in (alive,)], [0], "sessions that were not ended")
