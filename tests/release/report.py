#!/usr/bin/env python3
"""Reads the report of a rollout as a CI server does: report.py FILE failed|passed NAME…

`failed`: each of these checks has failed. `passed`: each of these has passed, and none at all has failed.
"""

import sys

from junitparser import Failure, JUnitXml

path, expected, *names = sys.argv[1:]
cases = {case.name: case for suite in JUnitXml.fromfile(path) for case in suite}
failed = [name for name, case in cases.items() if any(isinstance(one, Failure) for one in case.result)]
print({name: [(type(one).__name__, one.message) for one in case.result] for name, case in cases.items()})
missing = set(names) - set(cases)
assert not missing, f"there is no check {missing}"
if expected == "failed":
    assert set(names) <= set(failed), failed
else:
    assert not failed, failed
