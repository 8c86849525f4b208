"""An orchestrator that kills the old fleet as soon as `switchback drain` says so, in rounds, under load of real clients."""

import asyncio
import collections
import contextlib
import os

import grpc.aio
import httpx
import mcp_client
import openai
import streams
import tasks
from world import same

ROUNDS = int(os.environ.get("AGENTS_ROUNDS", "20"))


class Load:
    """Clients of every kind that work until they are stopped. Each piece of work either succeeds or is lost."""

    def __init__(self, world):
        self.world, self.done, self.lost, self.running = world, collections.Counter(), [], True
        kinds = (self.chat, self.chat_stream, self.tools, self.session, self.socket, self.call, self.task)
        self.clients = [asyncio.create_task(self.work(kind)) for kind in kinds for _ in range(2)]

    async def work(self, kind):
        async with contextlib.AsyncExitStack() as stack:
            piece = None
            while self.running:
                try:
                    piece = piece or await kind(stack)
                    await piece()
                    self.done[kind.__name__] += 1
                except Exception as error:
                    self.lost.append(f"{kind.__name__}: {error!r}")
                    await asyncio.sleep(0.05)

    async def stop(self):
        self.running = False
        await asyncio.gather(*self.clients)

    async def openai(self, stack):
        transport = await stack.enter_async_context(httpx.AsyncClient(timeout=20, trust_env=False, verify=mcp_client.NO_TLS))
        return openai.AsyncOpenAI(base_url=f"{self.world.url}/v1", api_key="none", http_client=transport, max_retries=0)

    async def chat(self, stack):
        client = await self.openai(stack)

        async def piece():
            answer = await streams.ask(client, "quick", "load")
            assert answer.choices[0].message.content in ("blue", "green"), answer

        return piece

    async def chat_stream(self, stack):
        client = await self.openai(stack)

        async def piece():
            text = [chunk.choices[0].delta.content async for chunk in await streams.ask(client, "quick", "load", stream=True)]
            same(text[1:], [" done", None])

        return piece

    async def tools(self, stack):
        client = await stack.enter_async_context(mcp_client.connect(self.world, "auto"))

        async def piece():
            await mcp_client.where(client)

        return piece

    async def session(self, stack):
        client = await stack.enter_async_context(mcp_client.connect(self.world))

        async def piece():
            await mcp_client.where(client)

        return piece

    async def task(self, stack):
        client = await stack.enter_async_context(tasks.connect(self.world))

        async def piece():
            # What a fleet remembers of finished tasks ends with it, so they are not asked for afterwards.
            events = [event async for event in client.send_message(tasks.message())]
            same(events[-1].status_update.status.state, tasks.TaskState.TASK_STATE_COMPLETED)

        return piece

    async def socket(self, stack):
        async def piece():
            async with streams.socket(self.world) as client:
                await client.recv()
                for word in ("one", "two"):
                    await client.send(word)
                    same(await client.recv(), word)

        return piece

    async def call(self, stack):
        target, options = f"127.0.0.1:{self.world.proxy.plain}", [("grpc.enable_http_proxy", 0)]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))

        async def piece():
            same([message async for message in channel.unary_stream("/test.Agent/Stream")(b"", timeout=20)][1:], [b"done"])

        return piece


def kills_after_drain(world):
    """Releases take turns: the new fleet starts, all routes switch, the old one drains and is killed. Nothing is lost."""
    old, new = "blue", "green"

    async def rounds():
        nonlocal old, new
        world.open_gates()
        for agent in world.of("green"):
            agent.kill()
        load = Load(world)
        for _ in range(ROUNDS):
            await asyncio.to_thread(one_round, world, old, new)
            old, new = new, old
        await load.stop()
        return load

    load = asyncio.run(rounds())
    assert not load.lost, f"{len(load.lost)} lost of {load.done}, such as: {load.lost[:3]}"
    same(len(load.done), 7, "kinds of work")
    return f"{ROUNDS} rounds, {dict(load.done)}"


def one_round(world, old, new):
    for agent in world.of(new):
        agent.start()
        agent.open_gate()
    for route, of in (("tools", "{}"), ("tasks", "{}"), ("chat", "{}"), ("sockets", "{}"), ("calls", "{}-grpc")):
        world.switch(route, of.format(new))
    for release in (old, f"{old}-grpc"):
        world.command("drain", release, "--wait")
    for agent in world.of(old):
        agent.kill()
