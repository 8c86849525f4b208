"""Compares the HTTP/1.1 codec with h11, llhttp, nginx and hyper, and header compression with Python's h2 (blocks.py).

Two questions are asked. What is read: every byte string of the corpus goes to every reader, and where one of them differs
from ours, the difference must be one that explained.py explains. What is written: whatever ours would send on goes to
every reader as well, and must mean to each of them exactly what it means to ours; only what a reader does not know at all,
such as a method, is excused.
"""

import collections
import sys
import time

import blocks
import explained
import readers
from corpus import cases

# Fields that a reader consumes or a writer makes, and that are compared as framing rather than as fields.
FRAMING = {"content-length", "transfer-encoding"}
# Fields that our nginx replaces or adds.
NGINX_OWN = FRAMING | {"host", "x-seen-host", "connection", "keep-alive", "te", "upgrade", "expect", "trailer"}


def main(seed):
    started = time.monotonic()
    corpus = list(cases(seed))
    verdicts = readers.ask(["target/debug/examples/verdicts"], corpus)
    requests = [case for case in corpus if case["kind"] == "request"]
    problems = [
        (case, "cuts", "the verdict depends on how the bytes are cut")
        for case in corpus
        if not verdicts[case["id"]]["cuts_agree"]
    ]
    explanations = collections.Counter()

    h11, llhttp = readers.h11_all(corpus), readers.llhttp(corpus)
    with readers.Nginx() as nginx:
        nginx_read = {case["id"]: nginx.read(case) for case in requests}
        written = [
            case | {"data": verdicts[case["id"]]["sent"].encode("latin-1"), "original": case["data"]}
            for case in corpus
            if verdicts[case["id"]]["forwarded"]
        ]
        nginx_written = {case["id"]: nginx.read(case) for case in written if case["kind"] == "request"}

    theirs = {"h11": h11, "llhttp": llhttp, "nginx": nginx_read, "hyper": {i: v["hyper"] for i, v in verdicts.items()}}
    for reader, readings in theirs.items():
        for case in corpus:
            if case["id"] in readings:
                difference = compare(reader, case, verdicts[case["id"]]["ours"], readings[case["id"]])
                if difference and not (why := explained.explain(reader, case, difference)):
                    problems.append((case, reader, difference))
                elif difference:
                    explanations[reader, why] += 1

    theirs = {
        "h11": readers.h11_all(written),
        "llhttp": readers.llhttp(written),
        "nginx": nginx_written,
        "hyper": {i: v["hyper"] for i, v in readers.ask(["target/debug/examples/verdicts"], written).items()},
    }
    checked = 0
    for reader, readings in theirs.items():
        for case in written:
            if case["id"] in readings:
                checked += 1
                expected = verdicts[case["id"]]["forwarded"]
                difference = compare_written(reader, case, expected, readings[case["id"]])
                if difference and not (why := explained.explain_written(reader, case, difference)):
                    problems.append((case, reader, "written: " + difference))
                elif difference:
                    explanations[reader, why] += 1

    report(corpus, problems, explanations, checked, time.monotonic() - started)
    compared, failed = blocks.check(seed)
    failed += len(problems)
    print(f"{len(corpus) + checked + compared - failed} passed, {failed} failed")
    return 1 if failed else 0


def comparable(reader, message, is_request):
    """A message as far as this reader shows it."""
    own = NGINX_OWN if reader == "nginx" else FRAMING
    fields = [tuple(field) for field in message["fields"] if field[0] not in own]
    # hyper and nginx do not keep the order of fields of different names.
    fields = sorted(fields, key=lambda field: field[0])
    trailers = [] if reader == "nginx" else sorted(map(tuple, message["trailers"]))
    target = origin_form(message["target"]) if is_request else ""
    return {"start": message["start"], "target": target, "fields": fields, "body": message["body"], "trailers": trailers}


def origin_form(target):
    """The path and query of a target, without its authority."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return target
    end = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    path = rest[end:]
    return path if path.startswith("/") else "/" + path


def final_only(reader, case, messages):
    """hyper's client shows the final response alone."""
    if reader == "hyper" and case["kind"] == "response":
        return [message for message in messages if not message["start"].startswith("1")]
    return messages


def compare(reader, case, ours, theirs):
    """None, or the difference: its kind, its part, and our reason or theirs."""
    is_request = case["kind"] == "request"
    left, right = final_only(reader, case, ours["messages"]), theirs["messages"]
    for mine, other in zip(left, right):
        mine, other = (comparable(reader, message, is_request) for message in (mine, other))
        for part in mine:
            if mine[part] != other[part]:
                return ("different", part, f"{mine[part]!r} / {other[part]!r}")
    if len(right) > len(left):
        return ("taken", ours["outcome"], ours["reason"])
    if len(left) > len(right):
        return ("refused", theirs["outcome"], theirs["reason"])
    if ours["outcome"] in ("reject", "close") or theirs["outcome"] != "reject":
        return None
    return ("early" if ours["outcome"] == "more" else "refused", theirs["outcome"], theirs["reason"])


def compare_written(reader, case, expected, theirs):
    """None, or the difference between what was meant and what was written."""
    is_request = case["kind"] == "request"
    expected, read = final_only(reader, case, expected), theirs["messages"]
    if len(expected) != len(read):
        return f"{len(expected)} messages, {len(read)} read, {theirs['outcome']} {theirs['reason'][-80:]}"
    for mine, other in zip(expected, read):
        mine, other = (comparable(reader, message, is_request) for message in (mine, other))
        for part in mine:
            if mine[part] != other[part]:
                return f"{part}: {mine[part]!r} / {other[part]!r}"
    return None


def report(corpus, problems, explanations, checked, seconds):
    for (reader, why), count in sorted(explanations.items()):
        print(f"{count:6}  {reader:7} {why}")
    shown = collections.Counter()
    for case, reader, difference in problems:
        kind = (reader, str(difference)[:60])
        shown[kind] += 1
        if shown[kind] <= 3:
            print(f"UNEXPLAINED {reader}, {case['kind']} {case['id']} ({case['name']}): {difference}")
            print(f"    {case.get('original', case['data'])[:400]!r}")
    for (reader, difference), count in shown.items():
        if count > 3:
            print(f"UNEXPLAINED {reader}: {count} times {difference}")
    print(f"{len(corpus)} byte strings read, {checked} readings of what was written, in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
