"""Origins behind the proxy, each by a library: h11, websockets, grpcio."""

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from concurrent import futures
from urllib.parse import parse_qs, urlsplit

import grpc
import h11
import websockets.asyncio.server
import websockets.exceptions


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, seconds=10):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)


class Gate:
    """Lets a client confirm a chunk before the origin sends the next one."""

    def __init__(self, loop):
        self.loop, self.seen, self.sent_at = loop, None, {}

    async def open(self):
        self.seen = asyncio.Semaphore(0)

    def next(self):
        self.loop.call_soon_threadsafe(self.seen.release)


class HttpOrigin:
    """HTTP/1.1 by h11: JSON, echo, downloads, streams that wait for the client, truncated responses."""

    def __init__(self, loop, release, tls=None):
        self.release, self.gate = release, Gate(loop.loop)
        self.connections, self.requests, self.closed_early = 0, 0, threading.Event()
        loop.run(self.gate.open())
        self.server = loop.run(asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls))
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.connections += 1
        conn = h11.Connection(h11.SERVER)
        try:
            while True:
                request = await self.event(conn, reader, writer)
                if not isinstance(request, h11.Request):
                    break
                self.requests += 1
                await self.answer(conn, request, reader, writer)
                if conn.our_state is h11.MUST_CLOSE or conn.their_state is not h11.DONE:
                    break
                conn.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def event(self, conn, reader, writer):
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                if conn.they_are_waiting_for_100_continue:
                    await self.send(conn, writer, h11.InformationalResponse(status_code=100, headers=[]))
                conn.receive_data(await reader.read(65536))
                continue
            return event

    async def send(self, conn, writer, event):
        writer.write(conn.send(event) or b"")
        await writer.drain()

    async def body(self, conn, reader, writer):
        while True:
            event = await self.event(conn, reader, writer)
            if isinstance(event, h11.EndOfMessage):
                return
            if not isinstance(event, h11.Data):
                raise ConnectionError(event)
            yield bytes(event.data)

    async def whole(self, conn, writer, status, kind, body, head=False):
        fields = [("content-type", kind), ("content-length", str(len(body))), ("x-origin", self.release)]
        await self.send(conn, writer, h11.Response(status_code=status, headers=fields))
        if not head:
            await self.send(conn, writer, h11.Data(data=body))
        await self.send(conn, writer, h11.EndOfMessage())

    async def answer(self, conn, request, reader, writer):
        target = urlsplit(request.target.decode())
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        handler = {
            "/digest": self.digest, "/download": self.download, "/events": self.events, "/cut": self.cut,
            "/v1/chat/completions": self.chat, "/hang": self.hang,
        }.get(target.path)
        if handler:
            return await handler(conn, request, query, reader, writer)
        body = b"".join([part async for part in self.body(conn, reader, writer)])
        if target.path.startswith("/status/"):
            return await self.whole(conn, writer, int(target.path[8:]), "text/plain", b"as asked\n")
        if target.path == "/echo":
            return await self.whole(conn, writer, 200, "application/octet-stream", body)
        seen = {
            "release": self.release, "method": request.method.decode(), "target": request.target.decode(),
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers],
        }
        await self.whole(conn, writer, 200, "application/json", json.dumps(seen).encode(),
                         head=request.method == b"HEAD")

    async def digest(self, conn, request, query, reader, writer):
        digest, size = hashlib.sha256(), 0
        async for part in self.body(conn, reader, writer):
            digest.update(part)
            size += len(part)
        await self.whole(conn, writer, 200, "application/json",
                         json.dumps({"sha256": digest.hexdigest(), "size": size}).encode())

    async def start_stream(self, conn, request, reader, writer, kind):
        async for _ in self.body(conn, reader, writer):
            pass
        fields = [("content-type", kind), ("x-origin", self.release), ("transfer-encoding", "chunked")]
        await self.send(conn, writer, h11.Response(status_code=200, headers=fields))

    async def download(self, conn, request, query, reader, writer):
        await self.start_stream(conn, request, reader, writer, "application/octet-stream")
        left, block = int(query["size"]), bytes(range(256)) * 256
        while left:
            part = block[:left]
            await self.send(conn, writer, h11.Data(data=part))
            left -= len(part)
        await self.send(conn, writer, h11.EndOfMessage())

    async def chunks(self, conn, writer, texts):
        """Sends each chunk only after the client has confirmed the previous one."""
        for number, text in enumerate(texts):
            if number:
                await self.gate.seen.acquire()
            self.gate.sent_at[number] = time.monotonic()
            await self.send(conn, writer, h11.Data(data=text))

    async def events(self, conn, request, query, reader, writer):
        await self.start_stream(conn, request, reader, writer, "text/event-stream")
        await self.chunks(conn, writer, (b"data: %d\n\n" % n for n in range(int(query["count"]))))
        await self.gate.seen.acquire()
        await self.send(conn, writer, h11.EndOfMessage())

    async def chat(self, conn, request, query, reader, writer):
        await self.start_stream(conn, request, reader, writer, "text/event-stream")

        def chunk(delta, finish=None):
            body = {
                "id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": self.release,
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            }
            return b"data: " + json.dumps(body).encode() + b"\n\n"

        words = ["one", "two", "three", "four", "five"]
        texts = [chunk({"role": "assistant", "content": word}) for word in words]
        await self.chunks(conn, writer, texts)
        await self.gate.seen.acquire()
        await self.send(conn, writer, h11.Data(data=chunk({}, "stop") + b"data: [DONE]\n\n"))
        await self.send(conn, writer, h11.EndOfMessage())

    async def cut(self, conn, request, query, reader, writer):
        await self.start_stream(conn, request, reader, writer, "application/octet-stream")
        await self.send(conn, writer, h11.Data(data=b"only the first part"))
        await self.gate.seen.acquire()
        raise ConnectionError("broken off on purpose")

    async def hang(self, conn, request, query, reader, writer):
        """Sends no response, and records the end of the connection."""
        async for _ in self.body(conn, reader, writer):
            pass
        if await reader.read(1) == b"":
            self.closed_early.set()
        raise ConnectionError("done")


def chat(blue, green, weights):
    """The configuration of a route with two releases, each of one HttpOrigin."""
    return f"""
[releases.blue]
version = "1.0.0"
endpoints = ["http://127.0.0.1:{blue.port}"]
[releases.green]
version = "2.0.0"
endpoints = ["http://127.0.0.1:{green.port}"]
[[routes]]
name = "chat"
host = "127.0.0.1"
split = {{ blue = {weights[0]}, green = {weights[1]} }}
"""


class WebSocketOrigin:
    """A WebSocket server by `websockets`: echo; `close` makes it close with 4001."""

    def __init__(self, loop):
        async def start():
            return await websockets.asyncio.server.serve(
                self.serve, "127.0.0.1", 0, subprotocols=["chat.v2", "chat.v1"], max_size=None
            )

        self.server = loop.run(start())
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, socket):
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            async for message in socket:
                if message == "close":
                    await socket.close(4001, "as asked")
                    return
                await socket.send(message)


class GrpcOrigin:
    """A gRPC server by grpcio with every kind of call; messages are bytes."""

    def __init__(self, certificate=None):
        self.cancelled = threading.Event()
        self.server = grpc.server(
            futures.ThreadPoolExecutor(16),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"|".join(requests)),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "FailLate": grpc.unary_stream_rpc_method_handler(self.fail_late),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Metadata": grpc.unary_unary_rpc_method_handler(self.metadata),
        }
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Agent", handlers)])
        if certificate:
            pair = (certificate.key.read_bytes(), certificate.cert.read_bytes())
            self.port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def server_stream(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def both(self, requests, context):
        for request in requests:
            yield request.upper()

    def fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: ä %")

    def fail_late(self, request, context):
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "half-way")

    def wait(self, request, context):
        done = threading.Event()
        context.add_callback(done.set)
        if done.wait(30):
            self.cancelled.set()
        return b""

    def metadata(self, request, context):
        sent = {key: value for key, value in context.invocation_metadata()}
        context.send_initial_metadata([("x-early", sent["x-ask"]), ("x-early-bin", sent["x-ask-bin"])])
        context.set_trailing_metadata([("x-late", sent["x-ask"]), ("x-late-bin", sent["x-ask-bin"])])
        return b"%d" % int(context.time_remaining() is not None)
