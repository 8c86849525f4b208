#!/usr/bin/env python3
"""A release as a CI job makes it, by the API: switch to green, load test, switch back, load test.

The job fails if one request fails, and then as well it leaves the route as it was.
`PROXY` is the address of the proxy, `SWITCHBACK_ADMIN` that of the admin API.
"""

import json
import os
import sys
import urllib.request

from load import Load

PROXY = os.environ["PROXY"]
ADMIN = os.environ["SWITCHBACK_ADMIN"]
SECONDS = float(os.environ.get("SECONDS_OF_LOAD", "3"))


def ask(method, path, body=None):
    """The answer of the admin API; an error status is an exception."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(ADMIN + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def tested(release):
    """Fails unless every answer of a load is good and of the release."""
    load = Load(PROXY).run(SECONDS)
    print(f"load on {release}: {dict(load.answers)}, {len(load.failures)} failed")
    mistakes = load.mistakes(release)
    if mistakes:
        sys.exit("; ".join(mistakes))


def converged(receipt):
    """Fails unless the change is on the disk and on every worker."""
    if not receipt["durable"] or "converged_at" not in receipt:
        sys.exit(f"not durable or not converged: {receipt}")


before = ask("GET", "/v1/routes/chat")["split"]
with Load(PROXY) as users:
    receipt = ask("POST", "/v1/routes/chat/switch?wait=30s", {"to": "green", "message": "CI: green"})
    try:
        converged(receipt)
        tested("green")
    finally:
        # `If-Match` would be the way to leave it if somebody else has changed it meanwhile.
        back = ask("POST", "/v1/rollback", {"message": "CI: back to blue"})
    converged(back)
    if back["undid"] != [receipt["revision"]]:
        sys.exit(f"it took back something else: {back}")
    tested("blue")
mistakes = users.mistakes()
if mistakes:
    sys.exit("users: " + "; ".join(mistakes))
after = ask("GET", "/v1/routes/chat")["split"]
if after != before:
    sys.exit(f"the split is not what it was: {after}")
print(f"switched to green and back: {dict(users.answers)} for users, no request failed")
