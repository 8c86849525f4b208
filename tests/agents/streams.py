"""openai, websockets and grpcio while their release is switched away."""

import asyncio
import contextlib
import threading

import grpc
import httpx
import openai
import websockets.asyncio.client
from world import same


@contextlib.contextmanager
def chat_client(world, **options):
    with httpx.Client(timeout=20, trust_env=False) as transport:
        yield openai.OpenAI(base_url=f"{world.url}/v1", api_key="none", http_client=transport, **options)


def ask(client, model, text, **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def words(stream):
    return [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]


def chat_finishes(world):
    """A stream that has begun goes on through a switch and is read to its end, while new requests go to the other release."""
    with chat_client(world) as client:
        stream = ask(client, "waits", "count", stream=True)
        same(next(iter(stream)).choices[0].delta.content, "blue")
        world.switch("chat", "green")
        same(ask(client, "quick", "again").choices[0].message.content, "green")
        world.open_gates()
        same(words(stream), [" done"])


def socket(world):
    return websockets.asyncio.client.connect(f"ws://127.0.0.1:{world.proxy.plain}/ws", proxy=None)


def sockets_stay(world, count):
    """WebSockets stay with their endpoint through a switch; new ones go to the other release."""

    async def talk():
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(socket(world)) for _ in range(count)]
            names = [await client.recv() for client in clients]
            same({name.partition("-")[0] for name in names}, {"blue"})
            await asyncio.to_thread(world.switch, "sockets", "green")
            for client in clients:
                await client.send("still here")
                same(await client.recv(), "still here")
            async with socket(world) as new:
                same((await new.recv()).partition("-")[0], "green")

    asyncio.run(asyncio.wait_for(talk(), 30))


@contextlib.contextmanager
def call(world):
    with grpc.insecure_channel(f"127.0.0.1:{world.proxy.plain}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield lambda: channel.unary_stream("/test.Agent/Stream")(b"", timeout=20)


def call_finishes(world):
    """A server's stream goes on through a switch, and ends with OK."""
    with call(world) as stream:
        old = stream()
        same(next(old), b"blue")
        world.switch("calls", "green-grpc")
        new = stream()
        same(next(new), b"green")
        world.open_gates()
        same((list(old), list(new)), ([b"done"], [b"done"]))
        same((old.code(), new.code()), (grpc.StatusCode.OK, grpc.StatusCode.OK))


def executed_once(world):
    """An agent that executes and then dies: its POST is not sent to another endpoint, and the SDK does not repeat it either."""
    with chat_client(world) as client:
        try:
            ask(client, "dies", "pay the bill")
        except openai.InternalServerError as error:
            same((error.status_code, error.response.headers.get("x-should-retry")), (502, "false"))
        else:
            raise AssertionError("an answer although the agent died")
        same([line.partition(" ")[2] for line in world.executed()], ["pay the bill"])
        # The other endpoint goes on.
        same(ask(client, "quick", "again").choices[0].message.content, "blue")


def waits_for_a_restart(world):
    """A POST while all endpoints restart waits for one of them, and is executed once; the SDK does not have to repeat it."""
    with chat_client(world, max_retries=0) as client:
        same(ask(client, "quick", "before").choices[0].message.content, "blue")
        for agent in world.of("blue"):
            agent.kill()
        starting = threading.Timer(1, lambda: [agent.start() for agent in world.of("blue")])
        starting.start()
        same(ask(client, "quick", "meanwhile").choices[0].message.content, "blue")
        starting.join()
    same([line.partition(" ")[2] for line in world.executed()], ["before", "meanwhile"])
