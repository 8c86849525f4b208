"""Rules for schemathesis that no schema can express.

What was deleted with `dry_run` is still there; a key belongs to the request that came with it first; a range of statuses
does not run backwards. A `timeout` belongs to a wait that it is the time of, and a dry run has nothing to wait for. And
nothing waits for long here, where no endpoint becomes healthy and nothing is drained.

Only what is well-formed is changed: what is wrong on purpose stays wrong.
"""

import hashlib
import itertools
import re

import requests
import schemathesis

KEY, FIRST, NUMBERS = re.compile(r"[!-~]{1,64}"), {}, itertools.count()
SHORT = re.compile(r"[0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m")
ENDS = ("converged", "drained")
UNIT = r"(ns|us|ms|s|m|h|days?|months?|years?)"
SPAN = re.compile(rf"[0-9]{{1,9}}{UNIT}( [0-9]{{1,9}}{UNIT})*")
RANGE = re.compile(r"([2-5][0-9]{2})-([2-5][0-9]{2})")
# The key itself, and the number that schemathesis gives to each case.
NOT_COMPARED = ("idempotency-key", "x-schemathesis-testcaseid")


def request_of(case):
    """A digest of all that is sent but for the key: the target, the fields and the body, byte by byte."""
    sent = case.as_transport_kwargs(base_url="http://admin.test")
    sent = requests.Request(**sent).prepare()
    fields = sorted((name.lower(), value) for name, value in sent.headers.items())
    fields = [field for field in fields if field[0] not in NOT_COMPARED]
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body
    return hashlib.sha256(repr((sent.method, sent.url, fields, body)).encode()).hexdigest()


def with_a_key_of_its_own(case):
    """A key that another request has used is replaced by a digest of both; the same request keeps it, and is a repeat.

    A DELETE is never a repeat, which would delete nothing of what has been made again since.
    """
    key = (case.headers or {}).get("Idempotency-Key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return
    request = request_of(case)
    if case.method == "DELETE":
        request += f" {next(NUMBERS)}"
    if FIRST.setdefault(key, request) != request:
        key = hashlib.sha256(f"{key} {request}".encode()).hexdigest()
        FIRST[key] = request
        case.headers["Idempotency-Key"] = key


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


def matches(pattern, value):
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def without_long_waits(query):
    """A query whose well-formed times to wait are short, and that has none where there is nothing to wait for."""
    is_dry_run = query.get("dry_run", False) not in (False, "false")
    # The proxy is in no fleet that it could wait for.
    if query.get("wait") == "fleet":
        query["wait"] = "converged"
    if is_dry_run and query.get("wait") in ENDS:
        del query["wait"]
    if matches(SHORT, query.get("wait")):
        query["wait"] = "1ms"
    if query.get("wait") in ENDS:
        if "timeout" not in query or matches(SHORT, query["timeout"]):
            query["timeout"] = "1ms"
    elif matches(SHORT, query.get("timeout")):
        del query["timeout"]


@schemathesis.hook
def before_call(context, case, kwargs):
    # A flag without a value is set.
    if case.method == "DELETE" and (case.query or {}).get("dry_run", False) not in (False, "false"):
        del case.query["dry_run"]
    if case.query:
        without_long_waits(case.query)
    if isinstance(case.body, (dict, list)):
        case.body = forwards(case.body)
    # A token of a preview lasts for a month at most.
    if isinstance(case.body, dict) and matches(SPAN, case.body.get("for")):
        case.body["for"] = "1h"
    with_a_key_of_its_own(case)
