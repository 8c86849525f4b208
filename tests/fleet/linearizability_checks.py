"""Checks of the checker: it accepts what a register does, and finds what was planted."""

import itertools
import random

from linearizability import ANY, NEVER, Operation, Violation, check


def call(start, end, before, after, key="chat"):
    return Operation(key, start, end, before, after, "")


# Each has the first value 0, and is no history of a register.
PLANTED = {
    "a change that was acknowledged is gone": [call(0, 1, 0, 1), call(2, 3, 0, 2)],
    "two changes found the same value": [call(0, 5, 0, 1), call(0, 5, 0, 2)],
    "a value comes from nowhere": [call(0, 1, 0, 1), call(2, 3, 7, 7)],
    "the order of time is turned round": [call(0, 1, ANY, 1), call(2, 3, ANY, 2), call(4, 5, 1, 1)],
    "a change takes effect before its call": [call(0, 1, 5, 1), call(2, NEVER, ANY, 5)],
    "a change without an answer takes effect twice": [call(0, NEVER, ANY, 5), call(1, 2, 5, 1), call(3, 4, 5, 2)],
    "a comparison that failed has changed something": [call(0, NEVER, 9, 5), call(1, 2, 5, 1)],
    "a change is undone by itself": [call(0, 1, ANY, 1), call(2, 3, 1, 1), call(4, 5, 0, 0)],
}
EXPLAINED = {
    "at one time, in either order": [call(0, 5, 2, 1), call(0, 5, 0, 2)],
    "without an answer, and not done": [call(0, NEVER, ANY, 5), call(1, 2, 0, 1)],
    "without an answer, and done late": [call(0, NEVER, ANY, 5), call(1, 2, 0, 1), call(3, 4, 5, 2)],
    "two without an answer, one after the other": [call(0, NEVER, ANY, 5), call(0, NEVER, 5, 6), call(3, 4, 6, 2)],
    "back to a value that was not told": [call(0, 1, 0, 1), call(2, NEVER, ANY, ANY), call(3, 4, 0, 2)],
    "two keys": [call(0, 1, 0, 1), call(0, 1, 0, 2, "tools"), call(2, 3, 1, 1), call(2, 3, 2, 2, "tools")],
}


def is_explained(operations):
    try:
        check(operations, {"chat": 0, "tools": 0})
    except Violation:
        return False
    return True


def planted():
    for name, operations in PLANTED.items():
        assert not is_explained(operations), name
    for name, operations in EXPLAINED.items():
        assert is_explained(operations), name
    return f"{len(PLANTED)} found, {len(EXPLAINED)} accepted"


def by_hand(operations):
    """The same answer without any cleverness: every order of every choice of the operations without an answer."""
    done = [operation for operation in operations if operation.end != NEVER]
    open_ = [operation for operation in operations if operation.end == NEVER]
    for count in range(len(open_) + 1):
        for chosen in itertools.combinations(open_, count):
            for order in itertools.permutations(done + list(chosen)):
                late = any(order[one].start > order[two].end for one, two in itertools.combinations(range(len(order)), 2))
                if not late and is_run(order):
                    return True
    return False


def is_run(order):
    value = 0
    for operation in order:
        if operation.before is not ANY and operation.before != value:
            return False
        value = operation.after
    return True


def small(rounds=1_500):
    """Small histories at random: the same answer as by hand."""
    chance, seen = random.Random(17), {True: 0, False: 0}
    for _ in range(rounds):
        operations = []
        for _ in range(chance.randint(1, 5)):
            start = chance.randint(0, 6)
            end = NEVER if chance.random() < 0.3 else start + chance.randint(1, 5)
            operations.append(call(start, end, chance.choice([ANY, 0, 1, 2]), chance.randint(0, 2)))
        expected = by_hand(operations)
        assert is_explained(operations) == expected, operations
        seen[expected] += 1
    assert min(seen.values()) > rounds / 10, seen
    return f"{seen[True]} of {rounds} are explained"


def large():
    """A long history of a register is accepted, and not any more once one answer of it is another."""
    chance, value, operations = random.Random(5), 0, []
    for number in range(1, 2_000):
        at = number * 10
        start, end = at - chance.randint(0, 40), at + chance.randint(1, 40)
        if chance.random() < 0.1:
            done = chance.random() < 0.5
            operations.append(call(start, NEVER, ANY, number))
            value = number if done else value
            continue
        operations.append(call(start, end, value, number))
        value = number
    assert is_explained(operations)
    broken = list(operations)
    found = next(number for number in range(1_500, 2_000) if broken[number].end != NEVER)
    broken[found] = broken[found]._replace(before=-1)
    assert not is_explained(broken)
