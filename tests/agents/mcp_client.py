"""The Python client of MCP, and what it does on the generation of the protocol that has no sessions."""

import asyncio
import contextlib
import json
import ssl

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from world import same

# Reading the system's certificates takes longer than a whole session.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextlib.asynccontextmanager
async def connect(world, mode="legacy", ids=None):
    """A client; the session ids that it gets go into `ids`."""

    async def keep(response):
        if ids is not None and (session := response.headers.get("mcp-session-id")):
            ids.add(session)

    timeout = httpx2.Timeout(30, read=300)
    transport = httpx2.AsyncClient(timeout=timeout, verify=NO_TLS, trust_env=False, event_hooks={"response": [keep]})
    async with transport as http, Client(streamable_http_client(f"{world.url}/mcp", http_client=http), mode=mode) as client:
        yield client


async def where(client):
    return json.loads((await client.call_tool("where", {})).content[0].text)


def modern(world):
    """The generation without sessions: discovered, and each call goes by the split of its moment."""

    async def talk():
        async with connect(world, mode="auto") as client:
            same(client.protocol_version, "2026-07-28")
            first = await where(client)
            await asyncio.to_thread(world.switch, "tools", "green")
            second = await where(client)
            same((first["release"], second["release"], first["session"]), ("blue", "green", None))

    asyncio.run(talk())


def waits_for_a_starting_release(world):
    """A probe of a release whose endpoints come up a second later is answered by them: the generation stays the modern one."""

    async def talk():
        async def start():
            await asyncio.sleep(1)
            for agent in world.of("blue"):
                await asyncio.to_thread(agent.start)

        starting = asyncio.create_task(start())
        async with connect(world, mode="auto") as client:
            same((client.protocol_version, (await where(client))["release"]), ("2026-07-28", "blue"))
        await starting

    asyncio.run(talk())
