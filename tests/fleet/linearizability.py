"""A checker of recorded calls: is there an order of them, each at one moment between its call and its answer, in which a
plain register for each key would have answered as was seen?

The search is that of Wing and Gong with the memo of Lowe: what was reached before by other ways is not searched again. A
key is a register of its own, and an order of all exists if there is one for each.
"""

import collections
import math

# A call at one key. `before` is the value that it found, or ANY; `after` the one that it left. An operation without an
# answer has `end` = NEVER: it took effect at some time after its call, or not at all.
Operation = collections.namedtuple("Operation", "key start end before after name")
ANY = object()
NEVER = math.inf


class Violation(AssertionError):
    """There is no such order."""


def check(operations, initial):
    """Raises a violation that names the calls which no order explains. `initial` has the first value of each key."""
    by_key = collections.defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    for key, its in by_key.items():
        check_register(its, initial[key])


def check_register(operations, value):
    """The same for the operations at one key."""
    search = Search(operations)
    stack = [search.state(value, frozenset(), 0, frozenset(), False)]
    seen, furthest = set(stack), stack[0]
    while stack:
        state = stack.pop()
        if search.progress(state) >= search.progress(furthest):
            furthest = state
        if state.place == len(search.answered):
            return
        # The first way is taken first.
        for following in reversed(list(search.ways(state))):
            if following not in seen:
                seen.add(following)
                stack.append(following)
    raise Violation(search.told(furthest))


# The operations before `place` are done, and those of `beyond`; `used` are those without an answer that took effect. If
# `owed`, the last one was one of these, and something has to see it: one that nothing sees need not have taken effect.
State = collections.namedtuple("State", "value beyond place used owed")


class Search:
    def __init__(self, operations):
        by_start = sorted(operations, key=lambda operation: operation.start)
        self.answered = [operation for operation in by_start if operation.end != NEVER]
        self.unanswered = [operation for operation in by_start if operation.end == NEVER]

    @staticmethod
    def state(value, beyond, place, used, owed):
        return State(value, beyond, place, used, owed)

    @staticmethod
    def progress(state):
        return state.place + len(state.beyond)

    def open(self, state):
        """The answered operations that may be next: no other one has ended before they began."""
        limit, found = NEVER, []
        for number in range(state.place, len(self.answered)):
            operation = self.answered[number]
            if operation.start > limit:
                break
            if number not in state.beyond:
                limit = min(limit, operation.end)
                found.append(number)
        return [number for number in found if self.answered[number].start <= limit], limit

    def ways(self, state):
        """The states after one more operation."""
        numbers, limit = self.open(state)
        for number in numbers:
            operation = self.answered[number]
            sees = operation.before is not ANY
            if (sees and operation.before == state.value) or (not sees and not state.owed):
                yield self.done(state, number)
        if state.owed:
            may = [one for one in self.may(state, limit) if self.unanswered[one].before == state.value]
        else:
            may = self.may(state, limit)
        wanted = {self.answered[number].before for number in numbers}
        wanted |= {self.unanswered[one].before for one in self.may(state, limit)}
        wanted.discard(ANY)
        for one in may:
            operation = self.unanswered[one]
            if operation.before is not ANY and operation.before != state.value:
                continue
            for value in wanted if operation.after is ANY else wanted & {operation.after}:
                if value != state.value:
                    yield self.state(value, state.beyond, state.place, state.used | {one}, True)

    def may(self, state, limit):
        """The operations without an answer that may take effect now. Of equal ones the first does as well as any."""
        found = {}
        for number, operation in enumerate(self.unanswered):
            if number not in state.used and operation.start <= limit:
                found.setdefault((id(operation.before) if operation.before is ANY else operation.before,
                                  id(ANY) if operation.after is ANY else operation.after), number)
        return list(found.values())

    def done(self, state, number):
        beyond, place = state.beyond | {number}, state.place
        while place in beyond:
            beyond, place = beyond - {place}, place + 1
        return self.state(self.answered[number].after, beyond, place, state.used, False)

    def told(self, state):
        numbers, _ = self.open(state)
        calls = "\n".join(f"  {self.answered[number]}" for number in numbers)
        return f"after {self.progress(state)} of {len(self.answered)} calls the value is {state.value!r}, which explains none of\n{calls}"
