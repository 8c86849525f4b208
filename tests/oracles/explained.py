"""The intended differences between our reading and that of others, each with its reason.

A difference that nothing here explains is a failure. There are three kinds: what we refuse and they take (we are
the border, so strictness is ours to choose, but each rule is named); what they refuse and we take (each with the
condition that identifies it); and, the dangerous kind, what both take but read differently.
"""

import re

# Our reason -> why we refuse what the named readers take.
STRICTER = {
    "connect_refused": ("this is no forward proxy", {"h11", "llhttp", "hyper"}),
    "duplicate_content_length": ("two lengths are refused even if they agree", {"h11", "hyper", "nginx"}),
    "duplicate_host": ("one host, as RFC 9112, 3.2 wants it", {"h11", "llhttp", "hyper"}),
    "expectation_failed": ("an unknown expectation gets a 417", {"h11", "llhttp", "hyper", "nginx"}),
    "invalid_chunk": (
        "no space before or inside a size, at most 32 digits and 64 bits, extensions by the grammar, CR LF alone ends a line",
        {"h11", "llhttp", "hyper", "nginx"},
    ),
    "invalid_connection": ("an option is a token", {"h11", "llhttp", "hyper", "nginx"}),
    "invalid_content_length": ("1 to 19 digits and nothing else, whatever the status", {"h11", "llhttp", "hyper"}),
    "invalid_field_name": ("a field line that is no field line is not skipped", {"nginx"}),
    "invalid_field_value": ("no control character in a value", {"h11", "nginx"}),
    "invalid_host": ("a host is a name or an address, and not empty", {"h11", "llhttp", "hyper", "nginx"}),
    "invalid_line_end": ("a line ends in CR LF, is not folded, and one empty line at most comes first",
        {"h11", "llhttp", "hyper", "nginx"}),
    "invalid_method": ("PRI belongs to HTTP/2", {"h11", "hyper", "nginx"}),
    "invalid_start_line": ("three parts, one space between them, a version as it is written", {"llhttp", "nginx"}),
    "invalid_status": ("no control character in a reason, a status below 600", {"h11", "llhttp", "hyper"}),
    "invalid_target": ("one of the four forms, of visible ASCII, without a fragment", {"h11", "llhttp", "hyper", "nginx"}),
    "invalid_trailer": ("a trailer is a field like any other", {"h11", "hyper", "nginx"}),
    "invalid_transfer_encoding": ("exactly `chunked`, once, in HTTP/1.1", {"h11", "llhttp", "hyper"}),
    "length_and_transfer_encoding": ("a request has one of them", {"h11", "hyper"}),
    "method_too_long": ("32 bytes", {"h11", "hyper", "nginx"}),
    "missing_host": ("HTTP/1.1 needs a host", {"llhttp", "hyper"}),
    "target_too_long": ("16 KiB", {"h11", "llhttp", "hyper", "nginx"}),
    "too_many_fields": ("100 fields", {"h11", "llhttp", "nginx"}),
    "underscore_name": ("an underscore could forge a name", {"h11", "llhttp", "hyper", "nginx"}),
    "unknown_transfer_coding": ("a coding that we cannot decode is not passed on", {"llhttp", "hyper"}),
    "unsolicited_upgrade": ("a 101 without a request for it", {"h11", "llhttp", "hyper"}),
    "unsupported_version": ("HTTP/1.0 and HTTP/1.1", {"h11", "llhttp", "nginx"}),
}

LLHTTP_METHODS = set(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND"
    b" UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK"
    b" UNLINK SOURCE QUERY".split()
)


def start_lines(data):
    return re.findall(rb"(?:^|\r\n|\n|hello|\{|\|)([^\s]+) [^ \r\n]+ HTTP/1\.[01]\r?\n?", data)


def has(pattern):
    return lambda case, detail: re.search(pattern, case["data"], re.IGNORECASE) is not None


def says(pattern):
    return lambda case, detail: re.search(pattern, detail) is not None


def unknown_method(case, detail):
    return any(method not in LLHTTP_METHODS for method in start_lines(case["data"])) or not start_lines(case["data"])


def unusual_method(case, detail):
    methods = start_lines(case["data"])
    return any(not re.fullmatch(rb"[A-Z_-]+", method) for method in methods) or not methods


def unusual_name(case, detail):
    names = re.findall(rb"\r\n([^\s:]+):", case["data"])
    return any(not re.fullmatch(rb"[A-Za-z0-9-]+", name) for name in names)


def both(*conditions):
    return lambda case, detail: all(condition(case, detail) for condition in conditions)


# Reader, condition, why the reader refuses, or waits for, what we take.
LAXER = [
    ("h11", says("no request line received|illegal request line"), "no empty line before a request, RFC 9112, 2.2"),
    ("h11", lambda case, detail: detail == "" and b"HTTP/1.0" in case["data"], "HTTP/1.0 is never kept alive"),
    ("h11", both(says("ConnectionClosed"), lambda case, detail: case["data"] == b""), "a connection without a byte"),
    ("llhttp", both(says("INVALID_METHOD"), unknown_method), "a method that Node does not know"),
    ("llhttp", both(says("INVALID_VERSION"), has(rb"HTTP/1\.[2-9]")), "a minor version that it does not know: we read it as 1.1, RFC 9110, 2.5"),
    ("hyper", both(says("invalid HTTP version"), has(rb"HTTP/1\.[2-9]")), "a minor version that it does not know: we read it as 1.1, RFC 9110, 2.5"),
    ("llhttp", both(says("STRICT"), has(rb"\n[0-9a-f]+;[^\r]*[ \t]")), "no space in a chunk extension"),
    ("llhttp", has(rb"\n[0-9a-f]+[ \t]+[;\r]"), "no space after the size of a chunk"),
    ("h11", both(says("chunk"), has(rb"\n(0{5,}[0-9a-f]{16,}|[0-9a-f]+[ \t]+;)")), "at most 20 digits, and no space before a `;`"),
    ("llhttp", both(says("CLOSED_CONNECTION"), has(rb"proxy-connection")), "`Proxy-Connection` means nothing to us"),
    ("llhttp", has(rb"\r\nupgrade: *(h2c|websocket)"), "it stops at any upgrade; we drop all but a whole handshake"),
    ("llhttp", both(says("INVALID_(CONTENT_LENGTH|TRANSFER_ENCODING)"), has(rb"\r\n0\r\n(content-length|transfer-encoding)")),
        "framing in trailers: we drop it"),
    ("llhttp", both(says("INVALID_(CONTENT_LENGTH|TRANSFER_ENCODING)"),
        lambda case, detail: case["kind"] == "response" and has(rb"content-length")(case, detail)
        and has(rb"transfer-encoding")(case, detail)),
        "a response with both: we drop the length, and the connection"),
    ("hyper", both(says("invalid URI"), has(rb" [^ ]*[<>^`\"{}|\\]")), "a byte that the `http` crate does not allow"),
    ("nginx", both(says("400 Bad Request"), unusual_method), "a method of other bytes than A-Z, `-` and `_`"),
    ("nginx", both(says("405 Not Allowed"), has(rb"trace ")), "TRACE"),
    ("nginx", both(says("400 Bad Request"), has(rb"^options (\*|http://[^/]* )")), "`*`"),
    ("nginx", both(says("501 Not"), has(rb"transfer-encoding:[ ]*\t")), "a tab before a value is part of it"),
    ("nginx", both(says("400 Bad Request"), has(rb"host:[^\r\n]*\t")), "a tab around a value is part of it"),
    ("nginx", both(says("400 Bad Request"), has(rb" http://[^/ ]*[_~]")), "no `_` or `~` in the host of a target"),
    ("nginx", both(says("400 Bad Request"), has(rb" [^ ]*%(00|[^0-9a-f]|.[^0-9a-f])")),
        "a broken escape: the codec reports it with the normal form of the path, and the proxy refuses it"),
]

# Reader, condition, why the reader sees something else than we do.
DIFFERENT = [
    ("nginx", unusual_name, "a field with an unusual name is dropped (ignore_invalid_headers)"),
    ("nginx", has(rb":[ ]*\t|\t\r\n"), "a tab around a value is part of it"),
]

# Our outcome -> why a reader goes on where we stop.
STOPPED = [
    ("close", has(rb"upgrade: websocket"), "what follows a handshake is no request of ours"),
    ("close", has(rb"HTTP/1\.0"), "what follows the last request of a connection is not read"),
]


def first(table, reader, case, detail):
    return next((why for who, condition, why in table if who == reader and condition(case, detail)), None)


def explain(reader, case, difference):
    """The reason for an intended difference, or None."""
    kind, what, detail = difference
    if kind == "different":
        return first(DIFFERENT, reader, case, detail)
    if kind == "early":
        return "it refuses at once what we refuse at the end of the line or chunk; nothing of it is forwarded before"
    if kind == "refused":
        return first(LAXER, reader, case, detail)
    if what == "reject":
        why, who = STRICTER.get(detail, ("", set()))
        return f"we refuse: {why} ({detail})" if reader in who else None
    return next((why for outcome, condition, why in STOPPED if outcome == what and condition(case, detail)), None)


# What a reader cannot read although we may write it: limits of that reader, not of what was written.
WRITTEN = [
    ("llhttp", both(says("INVALID_METHOD"), unknown_method), "a method that Node does not know"),
    ("nginx", both(says("Bad Request"), unusual_method), "a method of other bytes than A-Z, `-` and `_`"),
    ("nginx", both(says("Not Allowed"), has(rb"^trace ")), "TRACE"),
    ("nginx", both(says("Bad Request"), has(rb"^options \* ")), "`*`"),
    ("nginx", both(says("^fields"), unusual_name), "a field with an unusual name is dropped (ignore_invalid_headers)"),
    ("nginx", both(says("Bad Request"), has(rb" [^ ]*%(00|[^0-9a-f]|.[^0-9a-f])")),
        "a broken escape, which the proxy refuses before it writes"),
    ("hyper", both(says("invalid URI"), has(rb"^[^ ]+ [^ ]*[<>^`\"{}|\\]")), "a byte that the `http` crate does not allow"),
    ("h11", both(says("messages"), has(rb"HTTP/1\.0")), "HTTP/1.0 is never kept alive"),
]


def explain_written(reader, case, difference):
    """The reason why a reader does not take what was written, or None."""
    return first(WRITTEN, reader, case, difference)
