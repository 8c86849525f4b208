"""Real clients, each against a real server behind the proxy: curl, nghttp, h2load, websockets, Node, grpcio, openai, sslyze."""

import asyncio
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import ssl
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import grpc
import httpx
import openai
import websockets.asyncio.client
import websockets.exceptions
from harness import Certificate, Proxy, Suite, folder, free_port, node_binary, wait_until
from origins import GrpcOrigin, HttpOrigin, Loop, WebSocketOrigin

# The largest delay that the median chunk of a stream may have between the origin's write and the client's read.
CHUNK_LAG_SECONDS = 0.020

NODE = [node_binary(), str(pathlib.Path(__file__).with_name("socket.mjs"))]


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


class World:
    """The proxy, the origins behind it, and its addresses."""

    def __init__(self, path):
        self.folder = path
        self.loop = Loop()
        self.blue, self.green = HttpOrigin(self.loop, "blue"), HttpOrigin(self.loop, "green")
        self.sockets, self.grpc = WebSocketOrigin(self.loop), GrpcOrigin()
        # It ends when its standard input does.
        self.node = subprocess.Popen([*NODE, "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        node = int(self.node.stdout.readline())
        self.certificate = Certificate(path)
        self.upstream = Certificate(path / "upstream")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self.upstream.cert, self.upstream.key)
        self.secure, self.secure_grpc = HttpOrigin(self.loop, "secure", tls), GrpcOrigin(self.upstream)
        releases = {
            "blue": ("http", self.blue.port, "http/1.1"), "green": ("http", self.green.port, "http/1.1"),
            "sockets": ("http", self.sockets.port, "http/1.1"), "node": ("http", node, "h2"), "agents": ("http", self.grpc.port, "h2"),
            "gone": ("http", free_port(), "http/1.1"), "gone-h2": ("http", free_port(), "h2"),
            "secure": ("https", self.secure.port, "http/1.1"), "secure-h2": ("https", self.secure_grpc.port, "h2"),
            # It speaks TLS with a certificate that no trusted authority has signed.
            "stranger": ("https", self.secure.port, "http/1.1"),
        }
        routes = [
            ("chat", 'path_prefix = "/"', "{ blue = 1, green = 0 }"), ("sockets", 'path_prefix = "/ws"', "{ sockets = 1 }"),
            ("node", 'path_prefix = "/node"', "{ node = 1 }"),
            ("agents", 'path_prefix = "/test.Agent"', "{ agents = 1 }"), ("gone", 'path_prefix = "/gone"', "{ gone = 1 }"),
            ("gone-grpc", 'path_prefix = "/test.Gone"', "{ gone-h2 = 1 }"),
            ("secure", 'path_prefix = "/secure"', "{ secure = 1 }"), ("stranger", 'path_prefix = "/stranger"', "{ stranger = 1 }"),
            ("secure-grpc", 'path_prefix = "/test.Secure"\nstrip_prefix = true', "{ secure-h2 = 1 }"),
            ("preview", 'path_prefix = "/json"\nheaders = { x-preview = "yes" }', "{ green = 1 }"),
        ]
        table = ""
        for name, (scheme, port, protocol) in releases.items():
            table += f'[releases.{name}]\nendpoints = ["{scheme}://127.0.0.1:{port}"]\nprotocol = "{protocol}"\n'
            if name.startswith("secure"):
                table += f'tls = {{ ca = "{self.upstream.ca}" }}\n'
        # `localhost` and `127.0.0.1` are ours; any other host has no route.
        for host in ("localhost", "127.0.0.1"):
            for name, match, split in routes:
                expose = 'expose_release = "x-release"'
                table += f'[[routes]]\nname = "{name}-{host[0]}"\nhost = "{host}"\n{match}\nsplit = {split}\n{expose}\n'
        self.proxy = Proxy(path, table, self.certificate)

    def url(self, scheme, path=""):
        return f"{scheme}://localhost:{self.proxy.tls if scheme in ('https', 'wss') else self.proxy.plain}{path}"

    def trust(self):
        return ssl.create_default_context(cafile=str(self.certificate.ca))

    def httpx(self, scheme, http2):
        return httpx.Client(verify=self.trust(), http1=not http2, http2=http2, timeout=20, trust_env=False)


# --- curl


def curl_command(world, scheme, version):
    how = {"1.0": ["--http1.0"], "1.1": ["--http1.1"], "2": ["--http2" if scheme == "https" else "--http2-prior-knowledge"]}
    return ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "--cacert", str(world.certificate.ca),
            *how[version]]


def curl(world, scheme, version, path, *arguments, expect=(0,), stdin=None):
    """Runs curl and returns what `--write-out` says, the body and standard error."""
    out = world.folder / "curl.out"
    out.unlink(missing_ok=True)
    command = [*curl_command(world, scheme, version), "--dump-header", str(world.folder / "curl.head"), "--output", str(out),
               "--write-out", "%{json}\n", *arguments, *([world.url(scheme, path)] if path else [])]
    done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True)
    if done.returncode not in expect:
        raise AssertionError(f"curl ended with {done.returncode}, expected {expect}: {done.stderr.decode()}")
    said = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    return said, out.read_bytes() if out.exists() else b"", (world.folder / "curl.head").read_text()


def curl_get(world, scheme, version):
    said, body, head = curl(world, scheme, version, "/json?a=%20b")
    same((said[0]["http_code"], said[0]["http_version"]), (200, version if version != "1.0" else said[0]["http_version"]))
    seen = json.loads(body)
    same((seen["release"], seen["target"]), ("blue", "/json?a=%20b"))
    fields = {name: value for name, value in seen["headers"]}
    same(fields["x-forwarded-proto"], scheme)
    same(fields["x-forwarded-for"], "127.0.0.1")
    for name in ("forwarded", "via", "x-request-id"):
        assert name in fields, f"no {name} at the origin: {fields}"
    assert "\nx-release: blue\r" in head.lower() or "\nx-release: blue\n" in head.lower(), head


def curl_preview(world, scheme, version):
    _, body, _ = curl(world, scheme, version, "/json", "--header", "x-preview: yes")
    same(json.loads(body)["release"], "green")


def curl_head(world, scheme, version):
    said, body, head = curl(world, scheme, version, "/json", "--head")
    same((said[0]["http_code"], said[0]["size_download"]), (200, 0))
    assert "content-length" in head.lower(), head


def curl_upload(world, scheme, version, *how):
    data = bytes(range(256)) * 8192
    upload = world.folder / "upload"
    upload.write_bytes(data)
    _, body, _ = curl(world, scheme, version, "/digest", *how, "--data-binary", f"@{upload}")
    same(json.loads(body), {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})


def curl_upload_from_pipe(world, scheme, version):
    data = b"a line of a pipe\n" * 20000
    _, body, _ = curl(world, scheme, version, "/digest", "--upload-file", "-", stdin=data)
    same(json.loads(body), {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})


def curl_download(world, scheme, version):
    size = 16 << 20
    _, body, _ = curl(world, scheme, version, f"/download?size={size}")
    same(hashlib.sha256(body).hexdigest(), hashlib.sha256((bytes(range(256)) * 256) * (size >> 16)).hexdigest())


def curl_reuse(world, scheme, version):
    first, second = world.url(scheme, "/json"), world.url(scheme, "/json?again")
    said, _, _ = curl(world, scheme, version, "", first, "--output", "/dev/null", second)
    same([one["num_connects"] for one in said], [1, 0])


def curl_status(world, scheme, version):
    for status in (200, 301, 404, 429, 500, 503):
        said, _, head = curl(world, scheme, version, f"/status/{status}")
        same(said[0]["http_code"], status)
        assert "x-switchback-reason" not in head.lower(), f"the origin's own answer is marked as ours: {head}"


def curl_cut(world, scheme, version):
    part, out = b"only the first part", b""
    command = [*curl_command(world, scheme, version), "--no-buffer", world.url(scheme, "/cut")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        # The origin resets once curl has written what came, so that curl does not drop it along with the reset.
        while len(out) < len(part) and (some := os.read(running.stdout.fileno(), 4096)):
            out += some
        world.blue.gate.next()
        rest, error = running.communicate(timeout=30)
    same(out + rest, part)
    # 18: partial file, 56: receive failure, 92: HTTP/2 stream was not closed cleanly.
    assert running.returncode in (18, 56, 92), f"curl ended with {running.returncode}: {error.decode()}"


def curl_endpoint_gone(world, scheme, version):
    start = time.monotonic()
    said, body, head = curl(world, scheme, version, "/gone/x")
    assert said[0]["http_code"] in (502, 503), said
    assert time.monotonic() - start < 5, "an answer within 5 s"
    assert "x-switchback-reason:" in head.lower(), head
    problem = json.loads(body)
    assert problem["status"] == said[0]["http_code"] and "127.0.0.1" not in body.decode(), problem


def curl_no_route(world, scheme, version):
    said, body, head = curl(world, scheme, version, "/", "--header", "Host: elsewhere.example")
    same(said[0]["http_code"], 404)
    same(json.loads(body)["status"], 404)
    assert "x-switchback-reason:" in head.lower(), head


def curl_leaves(world, scheme, version):
    world.blue.closed_early.clear()
    curl(world, scheme, version, "/hang", "--max-time", "0.5", expect=(28,))
    assert world.blue.closed_early.wait(1), "the origin's connection was still open a second after the client had left"


# --- nghttp and h2load


def nghttp(world, scheme):
    urls = [world.url(scheme, f"/json?n={n}") for n in range(20)]
    upload = world.folder / "nghttp.body"
    upload.write_bytes(b"x" * 100_000)
    done = subprocess.run(["nghttp", "--no-verify-peer", "--null-out", "--stat", *urls], capture_output=True, timeout=30)
    same(done.returncode, 0)
    same(len(re.findall(r"^ *\d+ .* 200 +\d+\S* /json", done.stdout.decode(), re.M)), 20)
    command = ["nghttp", "--no-verify-peer", "--data", str(upload), "--trailer", "x-checksum: 1", "--verbose", world.url(scheme, "/digest")]
    done = subprocess.run(command, capture_output=True, timeout=30)
    same((done.returncode, '"size": 100000' in done.stdout.decode()), (0, True))


def h2load(world, scheme, *how):
    count, before = 4000, world.blue.requests
    command = ["h2load", "--requests", str(count), "--clients", "8", "--threads", "1", *how, world.url(scheme, "/json")]
    done = subprocess.run(command, capture_output=True, timeout=60)
    said = done.stdout.decode()
    if "--h1" in how:
        # Debian's h2load does not count the statuses of HTTP/1.1; complete responses and the origin's count are left.
        assert f"{count} done," in said and "0 errored, 0 timeout" in said, said + done.stderr.decode()
    else:
        assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in said, said + done.stderr.decode()
        assert f"status codes: {count} 2xx" in said, said
    same(world.blue.requests - before, count)
    return re.search(r"[\d.]+ req/s", said).group()


# --- httpx: chunks as they come


def events(world, scheme, http2):
    count, lags = 50, []
    with world.httpx(scheme, http2) as client, client.stream("GET", world.url(scheme, f"/events?count={count}")) as answer:
        same((answer.status_code, answer.http_version), (200, "HTTP/2" if http2 else "HTTP/1.1"))
        for number, line in enumerate(line for line in answer.iter_lines() if line):
            lags.append(time.monotonic() - world.blue.gate.sent_at[number])
            same(line, f"data: {number}")
            world.blue.gate.next()
    same(len(lags), count)
    return lag(lags)


def lag(lags):
    median = statistics.median(lags)
    assert median < CHUNK_LAG_SECONDS, f"the median chunk came {median * 1000:.1f} ms late"
    return f"chunk lag p50 {median * 1000:.2f} ms, most {max(lags) * 1000:.2f} ms"


def many_at_once(world, scheme, http2):
    """Requests that share connections get their own responses."""

    async def all_of_them():
        limits = httpx.Limits(max_connections=8)
        async with httpx.AsyncClient(verify=world.trust(), http1=not http2, http2=http2, limits=limits, timeout=20, trust_env=False) as client:
            answers = await asyncio.gather(*(client.post(world.url(scheme, "/echo"), content=b"%d" % n * 1000) for n in range(200)))
            same([answer.content for answer in answers], [b"%d" % n * 1000 for n in range(200)])

    asyncio.run(all_of_them())


# --- openai


def chat(world, scheme, http2):
    lags = []
    with world.httpx(scheme, http2) as transport:
        client = openai.OpenAI(base_url=world.url(scheme, "/v1"), api_key="none", http_client=transport, max_retries=0)
        stream = client.chat.completions.create(model="blue", messages=[{"role": "user", "content": "count"}], stream=True)
        words = []
        for number, chunk in enumerate(stream):
            if chunk.choices[0].finish_reason:
                continue
            lags.append(time.monotonic() - world.blue.gate.sent_at[number])
            words.append(chunk.choices[0].delta.content)
            world.blue.gate.next()
    same(words, ["one", "two", "three", "four", "five"])
    return lag(lags)


def chat_error(world, scheme, http2):
    with world.httpx(scheme, http2) as transport:
        client = openai.OpenAI(base_url=world.url(scheme, "/gone"), api_key="none", http_client=transport, max_retries=0)
        try:
            client.models.list()
        except openai.InternalServerError as error:
            assert error.status_code in (502, 503), error
        else:
            raise AssertionError("no error although no endpoint is there")


# --- websockets


# The library's client with threads reads and writes one TLS session of Python's from two threads at once, which OpenSSL
# does not allow: now and then it ends in an "internal error" of the client's own. This one has a single thread.


def socket(world, scheme, **options):
    if scheme == "wss":
        options["ssl"] = world.trust()
    options.setdefault("subprotocols", ["chat.v1"])
    return websockets.asyncio.client.connect(world.url(scheme, "/ws"), max_size=None, proxy=None, **options)


def in_time(talk):
    asyncio.run(asyncio.wait_for(talk, 30))


def socket_echo(world, scheme):
    async def talk():
        async with socket(world, scheme, subprotocols=["chat.v1", "chat.v2"]) as client:
            same(client.subprotocol in ("chat.v1", "chat.v2"), True)
            for message in ("hello", "ä" * 1000, b"\x00\xff" * 500_000, ""):
                await client.send(message)
                same(await client.recv(), message)
            await client.send(["in ", "three ", "fragments"])
            same(await client.recv(), "in three fragments")
            await (await client.ping("are you there"))

    in_time(talk())


def socket_compression(world, scheme):
    async def talk():
        async with socket(world, scheme) as client:
            assert "permessage-deflate" in client.response.headers.get("sec-websocket-extensions", ""), client.response.headers
            await client.send("a" * 100_000)
            same(await client.recv(), "a" * 100_000)

    in_time(talk())


def socket_closed_by_origin(world, scheme):
    async def talk():
        async with socket(world, scheme) as client:
            await client.send("close")
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                await client.recv()
            same((client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason), (4001, "as asked"))

    in_time(talk())


def socket_closed_by_client(world, scheme):
    async def talk():
        client = await socket(world, scheme)
        await client.close(4002, "enough")
        same((client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason), (4002, "enough"))

    in_time(talk())


def socket_many(world, scheme):
    async def one(number):
        async with socket(world, scheme) as client:
            for turn in range(20):
                await client.send(f"{number}:{turn}")
                same(await client.recv(), f"{number}:{turn}")

    async def all_of_them():
        await asyncio.gather(*(one(number) for number in range(100)))

    asyncio.run(all_of_them())


def socket_over_http2(world, scheme):
    """Node's HTTP/2 through the proxy to `websockets` over HTTP/1.1, and to Node's own server over HTTP/2."""
    for path in ("/ws", "/node"):
        command = [*NODE, "client", world.url(scheme, path), *([str(world.certificate.ca)] if scheme == "wss" else [])]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        same((done.returncode, done.stdout, done.stderr), (0, "hello\nclosed 4002\n", ""))


def socket_to_http2(world, scheme):
    async def talk():
        options = {"ssl": world.trust()} if scheme == "wss" else {}
        url = world.url(scheme, "/node")
        async with websockets.asyncio.client.connect(url, subprotocols=["chat.v1"], proxy=None, **options) as client:
            same(client.subprotocol, "chat.v1")
            await client.send("hello")
            same(await client.recv(), "hello")
            await (await client.ping("there?"))
            await client.close(4002)
            same(client.protocol.close_rcvd.code, 4002)

    in_time(talk())


# --- grpcio


class Calls:
    def __init__(self, world, scheme):
        self.world = world
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        target = f"localhost:{world.proxy.tls if scheme == 'https' else world.proxy.plain}"
        if scheme == "https":
            trust = grpc.ssl_channel_credentials(world.certificate.ca.read_bytes())
            self.channel = grpc.secure_channel(target, trust, options)
        else:
            self.channel = grpc.insecure_channel(target, options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def unary(self, method):
        return self.channel.unary_unary(f"/test.Agent/{method}")

    def error(self, call, *arguments, **options):
        try:
            result = call(*arguments, timeout=options.pop("timeout", 10), **options)
            if hasattr(result, "__iter__") and not isinstance(result, bytes):
                result = list(result)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"no error, but {result!r}")


def grpc_unary(calls):
    for message in (b"", b"hello", b"\x00" * 70_000):
        same(calls.unary("Unary")(message, timeout=10), message)


def grpc_server_stream(calls):
    call = calls.channel.unary_stream("/test.Agent/ServerStream")
    same(list(call(b"300", timeout=10)), [b"%d" % n for n in range(300)])


def grpc_client_stream(calls):
    call = calls.channel.stream_unary("/test.Agent/ClientStream")
    same(call((b"%d" % n for n in range(300)), timeout=10), b"|".join(b"%d" % n for n in range(300)))


def grpc_both(calls):
    """Each message is sent only after the response to the previous one: nothing may be buffered on the way."""
    answered = threading.Semaphore(1)

    def messages():
        for number in range(50):
            assert answered.acquire(timeout=10)
            yield b"turn %d" % number

    got = []
    for answer in calls.channel.stream_stream("/test.Agent/Both")(messages(), timeout=30):
        got.append(answer)
        answered.release()
    same(got, [b"TURN %d" % n for n in range(50)])


def grpc_error(calls):
    error = calls.error(calls.unary("Fail"), b"")
    same((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "not today: ä %"))


def grpc_error_after_messages(calls):
    stream, got = calls.channel.unary_stream("/test.Agent/FailLate")(b"", timeout=10), []
    try:
        for message in stream:
            got.append(message)
    except grpc.RpcError as error:
        same((got, error.code(), error.details()), ([b"first"], grpc.StatusCode.DATA_LOSS, "half-way"))
    else:
        raise AssertionError("the stream ended well")


def grpc_deadline(calls):
    calls.world.grpc.cancelled.clear()
    error = calls.error(calls.unary("Wait"), b"", timeout=0.5)
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    assert calls.world.grpc.cancelled.wait(2), "the server was not told"


def grpc_cancel(calls):
    calls.world.grpc.cancelled.clear()
    call = calls.unary("Wait").future(b"", timeout=20)
    # The cancellation has to find the call at the server: an echo on the same connection shows that it is under way.
    same(calls.unary("Unary")(b"ping", timeout=10), b"ping")
    call.cancel()
    same(call.code(), grpc.StatusCode.CANCELLED)


def grpc_metadata(calls):
    sent = [("x-ask", "value, with comma"), ("x-ask-bin", bytes(range(256)))]
    body, call = calls.unary("Metadata").with_call(b"", timeout=10, metadata=sent)
    same(body, b"1")
    early, late = dict(call.initial_metadata()), dict(call.trailing_metadata())
    same((early["x-early"], early["x-early-bin"]), (sent[0][1], sent[1][1]))
    same((late["x-late"], late["x-late-bin"]), (sent[0][1], sent[1][1]))


def grpc_large(calls):
    message = bytes(range(256)) * 16384
    same(hashlib.sha256(calls.unary("Unary")(message, timeout=20)).digest(), hashlib.sha256(message).digest())


def grpc_unknown_method(calls):
    same(calls.error(calls.unary("Nothing"), b"").code(), grpc.StatusCode.UNIMPLEMENTED)


def grpc_no_endpoint(calls):
    error = calls.error(calls.channel.unary_unary("/test.Gone/Unary"), b"")
    same(error.code(), grpc.StatusCode.UNAVAILABLE)
    assert "Stream removed" not in error.details(), "an answer, not a broken connection"


def grpc_many_at_once(calls):
    waiting = [calls.unary("Unary").future(b"%d" % n, timeout=30) for n in range(500)]
    same([call.result() for call in waiting], [b"%d" % n for n in range(500)])


GRPC = [
    grpc_unary, grpc_server_stream, grpc_client_stream, grpc_both, grpc_error, grpc_error_after_messages, grpc_deadline,
    grpc_cancel, grpc_metadata, grpc_large, grpc_unknown_method, grpc_no_endpoint, grpc_many_at_once,
]


# --- TLS


def openssl(world, version, *how):
    command = ["openssl", "s_client", "-connect", f"localhost:{world.proxy.tls}", "-CAfile", str(world.certificate.ca),
               "-verify_return_error", "-servername", "localhost", version, *how]
    return subprocess.run(command, input=b"", capture_output=True, timeout=20)


def tls_versions(world):
    for version in ("-tls1_2", "-tls1_3"):
        done = openssl(world, version)
        same((done.returncode, b"Verify return code: 0 (ok)" in done.stdout), (0, True))
    for version in ("-tls1", "-tls1_1"):
        assert openssl(world, version, "-cipher", "ALL:@SECLEVEL=0").returncode != 0, version


def tls_alpn(world):
    for offered, chosen in (("h2,http/1.1", b"h2"), ("http/1.1", b"http/1.1")):
        assert b"ALPN protocol: " + chosen in openssl(world, "-tls1_3", "-alpn", offered).stdout, offered


def tls_resumption(world):
    session = world.folder / "session"
    command = ["openssl", "s_client", "-connect", f"localhost:{world.proxy.tls}", "-CAfile", str(world.certificate.ca),
               "-alpn", "http/1.1", "-ign_eof"]
    request = b"GET /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        session.unlink(missing_ok=True)
        subprocess.run([*command, version, "-sess_out", str(session)], input=request, capture_output=True, timeout=20)
        again = subprocess.run([*command, version, "-sess_in", str(session)], input=request, capture_output=True, timeout=20)
        assert b"Reused, TLSv1." in again.stdout, again.stdout.decode(errors="replace")[-2000:]


def sslyze_is_clean(world):
    from sslyze import Scanner, ServerNetworkLocation, ServerScanRequest, ServerScanStatusEnum
    from sslyze.mozilla_tls_profile.tls_config_checker import (
        MozillaTlsConfiguration, ServerNotCompliantWithTlsConfiguration, TlsConfigurationEnum,
        check_server_against_tls_configuration,
    )

    scanner = Scanner()
    location = ServerNetworkLocation(hostname="localhost", port=world.proxy.tls, ip_address="127.0.0.1")
    scanner.queue_scans([ServerScanRequest(server_location=location)])
    result = next(scanner.get_results())
    same(result.scan_status, ServerScanStatusEnum.COMPLETED)
    scan = result.scan_result
    for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        same((old, getattr(scan, f"{old}_cipher_suites").result.accepted_cipher_suites), (old, []))
    for name in ("tls_1_2", "tls_1_3"):
        assert getattr(scan, f"{name}_cipher_suites").result.accepted_cipher_suites, f"{name} is not spoken"
    same(scan.heartbleed.result.is_vulnerable_to_heartbleed, False)
    same(scan.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection, False)
    same(scan.tls_compression.result.supports_compression, False)
    same(scan.session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos, False)
    assert "NOT_VULNERABLE" in scan.robot.result.robot_result.name, scan.robot.result
    try:
        profile = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
        check_server_against_tls_configuration(result, profile)
    except ServerNotCompliantWithTlsConfiguration as found:
        # The authority of a test certificate says nothing about the server.
        same({name: text for name, text in found.issues.items() if not name.startswith("certificate")}, {})


def certificates_are_reloaded(world):
    """A new certificate after SIGHUP, while a connection on the old one goes on."""

    def serial():
        pem = ssl.get_server_certificate(("localhost", world.proxy.tls))
        return hashlib.sha256(pem.encode()).hexdigest()

    before, again = serial(), Certificate(world.folder / "again")

    async def talk():
        async with socket(world, "wss") as client:
            await client.send("before")
            same(await client.recv(), "before")
            for old, new in ((world.certificate.cert, again.cert), (world.certificate.key, again.key), (world.certificate.ca, again.ca)):
                old.write_bytes(new.read_bytes())
            world.proxy.process.child.send_signal(signal.SIGHUP)
            await asyncio.to_thread(wait_until, "the new certificate", lambda: serial() != before)
            await client.send("after")
            same(await client.recv(), "after")

    in_time(talk())
    curl_get(world, "https", "2")


# --- TLS to the endpoints


def secure_endpoint(world):
    _, body, _ = curl(world, "http", "1.1", "/secure/json")
    same(json.loads(body)["release"], "secure")


def stranger_is_not_trusted(world):
    before = world.secure.requests
    said, body, _ = curl(world, "http", "1.1", "/stranger/json")
    assert said[0]["http_code"] in (502, 503), said
    same(world.secure.requests, before)


def secure_grpc_endpoint(world):
    with Calls(world, "http") as calls:
        same(calls.channel.unary_unary("/test.Secure/test.Agent/Unary")(b"hello", timeout=10), b"hello")


# --- changes under clients


def streams_survive_a_switch(world):
    """A stream that was committed goes on at its release while new requests go to the other one."""
    route = "chat-l"

    def now():
        _, body, _ = curl(world, "http", "1.1", "/json")
        return json.loads(body)["release"]

    with world.httpx("http", False) as client, client.stream("GET", world.url("http", "/events?count=3")) as answer:
        lines = (line for line in answer.iter_lines() if line)
        same(next(lines), "data: 0")
        same((now(), world.proxy.post(f"/v1/routes/{route}/switch", {"to": "green"})[0]), ("blue", 200))
        same(now(), "green")
        status, receipt = world.proxy.post("/v1/rollback")
        same((status, now()), (200, "blue"))
        assert json.loads(receipt)["undid"], receipt
        for number in (1, 2):
            world.blue.gate.next()
            same(next(lines), f"data: {number}")
        world.blue.gate.next()
        same(list(lines), [])


def main():
    suite = Suite()
    with folder() as path:
        world = World(path)
        for scheme, version in (("http", "1.1"), ("http", "2"), ("https", "1.1"), ("https", "2")):
            http2, at = version == "2", f"{scheme} {version}"
            for function in (curl_get, curl_preview, curl_head, curl_upload, curl_upload_from_pipe, curl_download, curl_reuse,
                             curl_status, curl_cut, curl_endpoint_gone, curl_no_route, curl_leaves):
                # curl 7.88 cannot go on with a connection that it began with prior knowledge; nghttp can, see below.
                if (function, at) != (curl_reuse, "http 2"):
                    suite.check(f"{function.__name__} {at}", function, world, scheme, version)
            suite.check(f"curl_upload expect {at}", curl_upload, world, scheme, version, "--header", "Expect: 100-continue")
            suite.check(f"events {at}", events, world, scheme, http2)
            suite.check(f"many_at_once {at}", many_at_once, world, scheme, http2)
            suite.check(f"openai chat {at}", chat, world, scheme, http2)
            suite.check(f"openai error {at}", chat_error, world, scheme, http2)
        for scheme in ("http", "https"):
            suite.check(f"curl_get {scheme} 1.0", curl_get, world, scheme, "1.0")
            suite.check(f"nghttp {scheme}", nghttp, world, scheme)
            suite.check(f"h2load {scheme} 1.1", h2load, world, scheme, "--h1")
            suite.check(f"h2load {scheme} 2", h2load, world, scheme, "--max-concurrent-streams", "16")
            with Calls(world, scheme) as calls:
                for function in GRPC:
                    suite.check(f"{function.__name__} {scheme}", function, calls)
        for scheme in ("ws", "wss"):
            for function in (socket_echo, socket_compression, socket_closed_by_origin, socket_closed_by_client, socket_many,
                             socket_over_http2, socket_to_http2):
                suite.check(f"{function.__name__} {scheme}", function, world, scheme)
        for function in (secure_endpoint, stranger_is_not_trusted, secure_grpc_endpoint, streams_survive_a_switch):
            suite.check(function.__name__, function, world)
        for function in (tls_versions, tls_alpn, tls_resumption, sslyze_is_clean, certificates_are_reloaded):
            suite.check(function.__name__, function, world, seconds=120)
        suite.check("the proxy ends cleanly", lambda: same(world.proxy.stop(), 0))
        if suite.failed:
            print("--- the proxy's last lines\n" + "\n".join(world.proxy.process.log.read_text().splitlines()[-60:]))
        suite.finish()


if __name__ == "__main__":
    main()
