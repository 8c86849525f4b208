"""`switchback rollback --cut`: work on the release that was rolled back ends now, each client in its protocol's own way."""

import asyncio
import contextlib
import time

import grpc
import httpx
import mcp_client
import openai
import streams
import websockets.exceptions
from harness import wait_until
from mcp.shared.exceptions import MCPError
from world import same


def on_green(world, route, release="green"):
    """The release that will be rolled back."""
    world.switch(route, release)


def counted(world, kind, count):
    """Waits until the proxy has counted the cuts, which it may do after the client has seen them, and compares them."""

    def cuts():
        return {labels: value for labels, value in world.metrics("switchback_cuts_total").items() if value}

    wait_until(f"{count} cuts", lambda: sum(cuts().values()) >= count, 5)
    ((labels, value),) = cuts().items()
    assert value == count and f'class="{kind}"' in labels and 'cause="rollback"' in labels, f"{labels} {value}"


def chat(world):
    """The stream gets one error event, which the SDK raises; the next request is blue's."""
    on_green(world, "chat")
    with streams.chat_client(world) as client:
        stream = streams.ask(client, "waits", "count", stream=True)
        same(next(iter(stream)).choices[0].delta.content, "green")
        world.command("rollback", "--cut")
        try:
            left = streams.words(stream)
        except openai.APIError as error:
            same(type(error), openai.APIError, f"the SDK's error, {error!r}")
        else:
            raise AssertionError(f"the stream ended as if it were whole: {left}")
        same(streams.ask(client, "quick", "again").choices[0].message.content, "blue")
    counted(world, "stream", 1)


def raw_events(world):
    """On the wire: one block after the last whole one, and then an end that no client takes for a whole stream."""
    on_green(world, "chat")
    body = {"model": "waits", "stream": True, "messages": [{"role": "user", "content": "count"}]}
    lines = []
    with httpx.Client(timeout=20, trust_env=False) as client:
        with client.stream("POST", f"{world.url}/v1/chat/completions", json=body) as answer:
            came = answer.iter_lines()
            lines.append(next(came))
            world.command("rollback", "--cut")
            try:
                lines.extend(came)
            except httpx.RemoteProtocolError:
                pass
            else:
                raise AssertionError(f"a clean end: {lines}")
    # A block of `retry` alone would end the SDK of openai with a JSONDecodeError.
    same([line.partition(":")[0] for line in lines], ["data", "", "retry", "event", "data", ""])


def sockets(world, count):
    """Every WebSocket gets 1012 (service restart)."""
    times = asyncio.run(asyncio.wait_for(ends_of_sockets(world, count, "rollback", "--cut"), 30))
    counted(world, "websocket", count)
    assert max(times) - min(times) < 1, f"the last one ended {max(times) - min(times):.2f} s after the first"


def sockets_spread(world, count):
    """With `cut over 2s` they end one after the other, since clients come back at once."""
    times = asyncio.run(asyncio.wait_for(ends_of_sockets(world, count, "rollback"), 30))
    counted(world, "websocket", count)
    assert 1 < max(times) - min(times) < 3, f"the last one ended {max(times) - min(times):.2f} s after the first"
    halves = [sum(time < min(times) + 1 for time in times), sum(time >= min(times) + 1 for time in times)]
    assert min(halves) >= count // 5, f"ends in each second: {halves}"
    return f"{count} ends in {max(times) - min(times):.2f} s"


async def ends_of_sockets(world, count, *command):
    """Opens WebSockets on green and runs the command; the times of their ends, when all had the code 1012."""
    ends = []

    async def end(client):
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            await client.recv()
        ends.append((client.close_code, time.monotonic()))

    await asyncio.to_thread(on_green, world, "sockets")
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(streams.socket(world)) for _ in range(count)]
        same({(await client.recv()).partition("-")[0] for client in clients}, {"green"})
        tasks = [asyncio.create_task(end(client)) for client in clients]
        await asyncio.to_thread(world.command, *command)
        await asyncio.gather(*tasks)
    same({code for code, _ in ends}, {1012})
    return [at for _, at in ends]


def calls(world):
    """A gRPC stream ends with UNAVAILABLE, which clients repeat; the next one is blue's."""
    on_green(world, "calls", "green-grpc")
    with streams.call(world) as stream:
        old = stream()
        same(next(old), b"green")
        world.command("rollback", "--cut")
        try:
            left = list(old)
        except grpc.RpcError as error:
            same(error.code(), grpc.StatusCode.UNAVAILABLE)
        else:
            raise AssertionError(f"an end with OK: {left}")
        same(next(stream()), b"blue")
    counted(world, "grpc_stream", 1)


def tool_call(world, kind):
    """A call of MCP gets a JSON-RPC error with its own id: the client raises at once, and does not wait for its time-out.

    A `stream` has sent news of its progress before; a `unary` call has not begun its response.
    """

    async def talk():
        await asyncio.to_thread(on_green, world, "tools")
        async with mcp_client.connect(world, "auto") as client:
            begun = asyncio.Event()

            async def progress(*_):
                begun.set()

            call = asyncio.create_task(client.call_tool("work", {}, progress_callback=progress if kind == "stream" else None))
            await asyncio.to_thread(world.work_begins, "green", 1)
            if kind == "stream":
                await begun.wait()
            start = time.monotonic()
            await asyncio.to_thread(world.command, "rollback", "--cut")
            try:
                await call
            except MCPError as error:
                assert time.monotonic() - start < 5, "an error within 5 s"
                same(str(error), "the release left the route")
            else:
                raise AssertionError("a result although the release was cut")
            same((await mcp_client.where(client))["release"], "blue")

    asyncio.run(talk())
    counted(world, kind, 1)
