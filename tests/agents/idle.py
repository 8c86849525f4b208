"""Servers that close idle connections: a POST that is sent at that moment is executed once, and does not fail."""

import asyncio
import json
import pathlib
import random
import sys
import urllib.request

from harness import Process, Proxy, accepts, free_port, node_binary, wait_until
from world import same

HERE = pathlib.Path(__file__).parent
PYTHON = [sys.executable, "-W", "ignore", str(HERE / "idle_server.py")]
SERVERS = {
    "uvicorn": [*PYTHON, "uvicorn"],
    "gunicorn": [*PYTHON, "gunicorn"],
    "node": [node_binary(), str(HERE / "idle_server.js")],
}
# So long a server keeps a connection.
LIMIT = 1.0
CLIENTS = 168
POSTS = 20


def race(folder):
    """About 10,000 POSTs, in bursts with pauses around the time that each server keeps an idle connection."""
    ports = {name: free_port() for name in SERVERS}
    servers = [Process(name, [*command, str(ports[name])], folder) for name, command in SERVERS.items()]
    table = ""
    for name, port in ports.items():
        table += f'[releases.{name}]\nendpoints = ["http://127.0.0.1:{port}"]\n'
        table += f'[[routes]]\nname = "{name}"\npath_prefix = "/{name}"\nsplit = {{ {name} = 1 }}\n'
        wait_until(name, lambda port=port: accepts(port))
    proxy = Proxy(folder, table)
    try:
        failed = asyncio.run(asyncio.wait_for(all_bursts(proxy.plain), 80))
        same(failed, {}, "POSTs that failed")
        for name, port in ports.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                same(json.load(answer), {"paths": CLIENTS * POSTS, "most": 1}, name)
        return f"{CLIENTS * POSTS * len(SERVERS)} POSTs"
    finally:
        proxy.stop()
        for server in servers:
            server.stop()


async def all_bursts(port):
    """The statuses of all servers that are not 200, with their numbers."""
    failed = {}
    await asyncio.gather(*(bursts(port, name, failed) for name in SERVERS))
    return failed


async def bursts(port, name, failed):
    chosen = random.Random(name)
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    for number in range(POSTS):
        statuses = await asyncio.gather(
            *(post(client, f"/{name}/{place}-{number}") for place, client in enumerate(clients))
        )
        for status in statuses:
            if status != 200:
                failed[name, status] = failed.get((name, status), 0) + 1
        await asyncio.sleep(LIMIT * chosen.uniform(0.8, 1.1))
    for _, writer in clients:
        writer.close()


async def post(client, path):
    reader, writer = client
    writer.write(f"POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: 2\r\n\r\n{{}}".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        await reader.readuntil(b"0\r\n\r\n")
    else:
        await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split(b" ")[1])
