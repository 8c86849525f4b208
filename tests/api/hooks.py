"""Rules for schemathesis that no schema can express.

What was deleted with `dry_run` is still there; a key belongs to the request that came with it first; a range of statuses
does not run backwards. A `timeout` belongs to a wait that it is the time of, and a dry run has nothing to wait for. And
nothing waits for long here, where no endpoint becomes healthy and nothing is drained.
"""

import json
import re

import schemathesis

KEY, FIRST = re.compile(r"[!-~]{1,64}"), {}
WAIT = re.compile(r"[0-9]+(ms|s|m)")
ENDS = ("converged", "drained")
SPAN = re.compile(r"[0-9]+[a-z]+( [0-9]+[a-z]+)*")
RANGE = re.compile(r"([2-5][0-9]{2})-([2-5][0-9]{2})")


def with_a_key_of_its_own(case):
    """A key that another request has used gets a number appended; the same request keeps it, and is a repeat."""
    headers = case.headers or {}
    key = headers.get("Idempotency-Key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return
    parts = [case.method, case.path, case.path_parameters, case.query or {}, case.body, headers.get("If-Match")]
    request = json.dumps(parts, default=repr, sort_keys=True)
    requests = FIRST.setdefault(key, [])
    if request not in requests:
        requests.append(request)
    number = requests.index(request)
    if number:
        headers["Idempotency-Key"] = f"{key[:50]}-again-{number}"


def forwards(value):
    """The same with every range of statuses of a health check from its lower end to its upper one."""
    if isinstance(value, list):
        return [forwards(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: forwards(member) for key, member in value.items()}
    status = value.get("status")
    found = RANGE.fullmatch(status) if isinstance(status, str) else None
    if found:
        value["status"] = "-".join(sorted(found.groups()))
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    query = case.query or {}
    # A flag without a value is set.
    if case.method == "DELETE" and query.get("dry_run", False) not in (False, "false"):
        del query["dry_run"]
    if isinstance(query.get("wait"), str) and WAIT.fullmatch(query["wait"]):
        query["wait"] = "1ms"
    if query.get("dry_run", False) not in (False, "false") and query.get("wait") in ENDS:
        del query["wait"]
    if "timeout" in query and query.get("wait") not in ENDS:
        del query["timeout"]
    if query.get("wait") in ENDS:
        query["timeout"] = "1ms"
    if isinstance(case.body, (dict, list)):
        case.body = forwards(case.body)
    # A token of a preview lasts for a month at most.
    if isinstance(case.body, dict) and isinstance(case.body.get("for"), str) and SPAN.fullmatch(case.body["for"]):
        case.body["for"] = "1h"
    with_a_key_of_its_own(case)
