"""Byte strings to compare readers with: whole grammars of small oddities, and random changes to sound messages."""

import random

HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-A: b c\r\nAccept: */*\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = (
    b"POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
)
SECOND = b"GET /second HTTP/1.1\r\nHost: b.example\r\n\r\n"
REQUESTS = [
    HEAD,
    POST,
    CHUNKED,
    HEAD + SECOND,
    POST + SECOND,
    CHUNKED + SECOND,
    b"\r\n" + HEAD,
    b"GET http://b.example:81/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" + SECOND,
    b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"PUT /a%20b HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\nTE: trailers\r\n\r\n" + SECOND,
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\nX-Kept: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b c\r\n\r\nhello"
STREAM = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
    b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
)
RESPONSES = [
    OK,
    STREAM,
    b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nuntil the close",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the close",
    b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n",
]

ODD_BYTES = [
    b"\0", b"\x01", b"\t", b"\n", b"\x0b", b"\r", b" ", b"\x7f", b"\x80", b"\xff", b"\xc3\xa4", b"\"", b"#", b"%", b"(",
    b",", b":", b";", b"=", b"\\", b"_", b"|", b"{", b"\r\n", b"\n\n", b"\r\r\n", b"\r\n\r\n", b"\r\n ", b"  ",
]  # fmt: skip

LENGTHS = [
    b"5", b" 5 ", b"\t5", b"005", b"+5", b"-5", b"", b"5,5", b"5, 5", b"5,6", b"0x5", b"5 5", b"5.0", b"5e0", b"4294967301",
    b"18446744073709551621", b"18446744073709551615", b"9223372036854775808", b"99999999999999999999", b"5\x0b", b"5;a",
    b"'5'", b"\"5\"", b"five", b"\xd9\xa5", b"5_0", b"0",
]  # fmt: skip

CODINGS = [
    b"chunked", b"Chunked", b" chunked ", b"\tchunked", b"chunked,", b",chunked", b"chunked, chunked", b"gzip, chunked",
    b"chunked, gzip", b"gzip", b"identity", b"identity, chunked", b"xchunked", b"chunkedx", b"chunked;a=b", b"\"chunked\"",
    b"", b"chunked\x0b", b"\x0bchunked", b"chun ked", b"chunked\0", b"'chunked'", b"cow", b"chunked gzip",
]  # fmt: skip

HOSTS = [
    b"", b"a", b"A.EXAMPLE", b"a.example:80", b"a.example:", b"a.example:0", b"a.example:65536", b"a:b", b"a b", b"a@b", b"u:p@b",
    b"a/b", b"a?b", b"a#b", b"a,b", b"a;b", b"a..b", b".a", b"a.", b"a_b", b"a-b", b"a~b", b"a%41", b"a\\b", b"[::1]",
    b"[::1]:80", b"[::1", b"::1", b"[fe80::1%25eth0]", b"127.0.0.1", b"\xc3\xa4.example", b"a\tb", b"a\x01b", b"a!b", b"http://a/",
]  # fmt: skip

TARGETS = [
    b"/", b"*", b"", b"//", b"//a/b", b"/a//b", b"/a/../b", b"/a/%2e%2e/b", b"/%2F", b"/a\\b", b"/%", b"/%zz", b"/%00", b"/a#b",
    b"/a?b#c", b"/a?", b"/??", b"/a b", b"/\x01", b"/\x7f", b"/\x80", b"/\xc3\xa4", b"/<>", b"/\"", b"/{}", b"/|", b"/^`", b"/[]",
    b"/;a=b", b"/~-._", b"a", b"a/b", b"a.example:443", b"http://b.example", b"http://b.example/", b"http://b.example?x",
    b"HTTP://b.example/x", b"https://b.example/x", b"ftp://b.example/", b"http:/b", b"http://", b"http:///x", b"http://u@b/x",
    b"http://b:80x/", b"http://[::1]/", b"?a", b"/" + b"a" * 8000,
]  # fmt: skip

VERSIONS = [
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/01.1",
    b"http/1.1", b"Http/1.1", b"HTTP/ 1.1", b"HTTP /1.1", b"HTTPS/1.1", b"ICE/1.1", b"", b"HTTP/1,1", b"HTTP/+1.1",
]  # fmt: skip

METHODS = [
    b"GET", b"get", b"Get", b"PURGE", b"FOO", b"CONNECT", b"TRACE", b"PATCH", b"DELETE", b"OPTIONS", b"M-SEARCH", b"G T", b"G\tT",
    b"G\0T", b"G(T", b"G:T", b"", b"GET ", b"\xc3\xa4", b"A" * 32, b"A" * 33, b"PRI", b"!#$%&'*+-.^`|~", b"G_T",
]  # fmt: skip

LINES = [
    b"X: a", b"X:a", b"X:", b"X: ", b"X:  a  ", b"X:\ta\t", b"X", b": a", b"X : a", b"X\t: a", b" X: a", b"\tX: a", b"X: a\0b",
    b"X: a\x01b", b"X: a\x7fb", b"X: \x80\xff", b"X: \xc3\xa4", b"\xc3\xa4: a", b"X: a\rb", b"X: a\r", b"X\r: a", b"X\0: a",
    b"X Y: a", b"X(Y): a", b"X/Y: a", b"X@Y: a", b"X\"Y: a", b"X,Y: a", b"X;Y: a", b"X=Y: a", b"X_Y: a", b"!#$%&'*+-.^`|~: a",
    b"X: a\r\n b", b"X: a\r\n\tb", b"X: a\r\n \r\n b", b"X: a\nY: b", b"Connection: close", b"Connection: keep-alive",
    b"Connection: close, x", b"Connection: a b", b"Connection: ,", b"Connection: host", b"Connection: content-length",
    b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Upgrade: h2c", b"Upgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
    b"Expect: 100-continue", b"Expect: x", b"Trailer: X", b"TE: trailers", b"TE: chunked", b"Host: b.example", b"X-Long: " + b"a" * 9000,
    b"Content-Length: 0\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding : chunked", b"Content-Length : 5", b"Content-Length:5", b"Transfer_Encoding: chunked",
]  # fmt: skip

CHUNKS = [
    b"0\r\n\r\n", b"00\r\n\r\n", b"0000000000000000\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"05\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello!\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"6\r\nhello\r\n0\r\n\r\n", b"5;a\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", b"5; a = b\r\nhello\r\n0\r\n\r\n",
    b"5 ;a\r\nhello\r\n0\r\n\r\n", b"5\t;a \r\nhello\r\n0  \r\n\r\n", b"5 0\r\nhello\r\n0\r\n\r\n", b"5 \nhello\r\n0\r\n\r\n",
    b"5;\r\nhello\r\n0\r\n\r\n", b"5;a=\r\nhello\r\n0\r\n\r\n", b"5;a\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n", b"5;\x01\r\nhello\r\n0\r\n\r\n", b"5;a\0\r\nhello\r\n0\r\n\r\n", b"5;\xff\r\nhello\r\n0\r\n\r\n",
    b"5;a=\"b\r\nhello\r\n0\r\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n", b"5\r\n\r\nhello\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n", b"ffffffffffffffff\r\nhello", b"10000000000000000\r\nhello",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"100000005\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello", b"\xef\xbc\x95\r\nhello", b"x\r\n",
    b"\r\n", b";\r\n", b"5,\r\nhello\r\n0\r\n\r\n", b"0\r\nX: a\r\n\r\n", b"0\r\nX:a\r\nY:b\r\n\r\n", b"0\r\nX : a\r\n\r\n",
    b"0\r\nX\r\n\r\n", b"0\r\n: a\r\n\r\n", b"0\r\nX: a\n\r\n", b"0\r\nX: a\r\n\n", b"0\r\nX: a\r\n b\r\n\r\n", b"0\r\n X: a\r\n\r\n",
    b"0\r\nX: a\0\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"0\r\nHost: x\r\n\r\n", b"0\r\ngrpc-status: 0\r\n\r\n", b"0\r\nX: a\r\n", b"0\r\n", b"5\r\nhel", b"5", b"", b"0\r\r\n\r\n",
    b"0\r\n\rX", b"5\r\nhello\r\n0\r\n\r\n\r\n",
]  # fmt: skip

STATUSES = [
    b"200 OK", b"200", b"200 ", b"200  OK", b"200 All is well", b"200 \xe4", b"200 O\0K", b"200 O\x01K", b"200\tOK", b"99 x", b"600 x",
    b"999 x", b"000 x", b"20 x", b"2000 x", b"2x0 x", b"+20 x", b"-20 x", b" 200 OK", b"101 Switching Protocols", b"204 x", b"304 x",
    b"205 x", b"206 x", b"302 x", b"599 x", b"200 O\rK",
]  # fmt: skip


def requests(rng):
    """All requests, as pairs of a name and bytes."""
    for index, base in enumerate(REQUESTS):
        yield f"request {index}", base
        yield from changed(f"request {index}", base, rng, 60)
    for method in METHODS:
        yield "method", method + b" /a HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND
    for target in TARGETS:
        for method in (b"GET", b"OPTIONS"):
            yield "target", method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND
    for version in VERSIONS:
        yield "version", b"GET /a " + version + b"\r\nHost: a\r\n\r\n" + SECOND
    for host in HOSTS:
        yield "host", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" + SECOND
        yield "host", b"GET http://" + host + b"/ HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND
        yield "two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: " + host + b"\r\n\r\n"
    yield "no host", b"GET / HTTP/1.1\r\n\r\n"
    for start in (b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n"):
        for line in LINES:
            yield "line", start + b"Host: a\r\n" + line + b"\r\nX-Z: z\r\n\r\n" + SECOND
            yield "line first", start + line + b"\r\nHost: a\r\n\r\n" + SECOND
        for length in LENGTHS:
            yield "length", start + b"Host: a\r\nContent-Length: " + length + b"\r\n\r\nhello" + SECOND
            yield "two lengths", start + b"Host: a\r\nContent-Length: 5\r\ncontent-length: " + length + b"\r\n\r\nhello" + SECOND
        for coding in CODINGS:
            head = start + b"Host: a\r\nTransfer-Encoding: " + coding + b"\r\n"
            yield "coding", head + b"\r\n5\r\nhello\r\n0\r\n\r\n" + SECOND
            yield "coding and length", head + b"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SECOND
            yield "two codings", head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SECOND
    for chunks in CHUNKS:
        yield "chunks", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + SECOND
    for count in (95, 99, 100, 101):
        yield "many fields", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * count + b"\r\n"


def responses(rng):
    """All responses, as triples of a name, the method of the request, and bytes."""
    for asked in ("GET", "HEAD"):
        for index, base in enumerate(RESPONSES):
            yield f"response {index}", asked, base
            for name, data in changed(f"response {index}", base, rng, 40):
                yield name, asked, data
    for status in STATUSES:
        yield "status", "GET", b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello"
    for version in VERSIONS:
        yield "version", "GET", version + b" 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for line in LINES:
        yield "line", "GET", b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 5\r\n\r\nhello"
    for start in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 x\r\n", b"HTTP/1.1 304 x\r\n"):
        for length in LENGTHS:
            yield "length", "GET", start + b"Content-Length: " + length + b"\r\n\r\nhello"
            yield "two lengths", "GET", start + b"Content-Length: 5\r\ncontent-length: " + length + b"\r\n\r\nhello"
        for coding in CODINGS:
            head = start + b"Transfer-Encoding: " + coding + b"\r\n"
            yield "coding", "GET", head + b"\r\n5\r\nhello\r\n0\r\n\r\n"
            yield "coding and length", "GET", head + b"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for chunks in CHUNKS:
        yield "chunks", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


def changed(name, base, rng, count):
    """Random changes: an odd byte inserted, or instead of another; bytes removed, doubled or swapped; a cut."""
    kinds = ["insert", "insert", "insert", "replace", "replace", "delete", "double", "swap", "cut"]
    for _ in range(count):
        data, at, kind = bytearray(base), rng.randrange(len(base)), rng.choice(kinds)
        if kind == "insert":
            data[at:at] = rng.choice(ODD_BYTES)
        elif kind == "replace":
            data[at : at + 1] = rng.choice(ODD_BYTES)
        elif kind == "delete":
            del data[at : at + rng.choice((1, 1, 2))]
        elif kind == "double":
            end = at + rng.choice((1, 2, 4, 16))
            data[at:at] = data[at:end]
        elif kind == "swap":
            other = rng.randrange(len(base))
            data[at], data[other] = data[other], data[at]
        else:
            del data[at:]
        yield f"{name}, {kind} at {at}", bytes(data)


def cases(seed):
    """All cases, numbered, each byte string once."""
    rng = random.Random(seed)
    seen = set()
    everything = [("request", name, "GET", data) for name, data in requests(rng)]
    everything += [("response", name, asked, data) for name, asked, data in responses(rng)]
    for kind, name, asked, data in everything:
        if (kind, asked, data) not in seen:
            seen.add((kind, asked, data))
            yield {"id": len(seen), "kind": kind, "name": name, "asked": asked, "data": data}
