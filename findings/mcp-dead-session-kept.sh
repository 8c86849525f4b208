#!/usr/bin/env bash
# mcp (Python): a client whose session is gone goes on with its id for ever, and never starts another.
#
# Versions: mcp 2.3.0 on both ends, uvicorn 0.54.0.
# When a request in a session gets 404, the protocol (2025-11-25, "Session Management") says that the client MUST send
# another `initialize`, without an id.
# It does not: every call fails until the program itself makes another client.
# So a 404 breaks the agent. A proxy keeps the server until the session ends, or begins the session anew on another
# server itself, and lets the client keep its id.
# Here a DELETE ends the session between two calls, as a restart of the server would.
# Seen:
#   call: 3
#   call: Session not found
#   call: Session not found
#   call: Session not found
#   requests: initialize 1, with the id after its end 3
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/session.py" <<'PYTHON'
import asyncio
import socket

import httpx2
import uvicorn
from mcp import MCPError
from mcp.client import Client
from mcp.server.mcpserver import MCPServer

server = MCPServer("demo", log_level="CRITICAL")
posts = []


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


inner = server.streamable_http_app()


async def app(scope, receive, send):
    if scope.get("method") == "POST":
        posts.append(dict(scope["headers"]).get(b"mcp-session-id"))
    await inner(scope, receive, send)


async def call(client):
    try:
        answer = await client.call_tool("add", {"a": 1, "b": 2})
        print("call:", answer.content[0].text)
    except MCPError as error:
        print("call:", error)


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    http = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    serving = asyncio.create_task(http.serve([listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    async with Client(url, mode="legacy") as client:
        await call(client)
        id, before = posts[-1], len(posts)
        async with httpx2.AsyncClient() as other:
            (await other.delete(url, headers={"mcp-session-id": id.decode()})).raise_for_status()
        for _ in range(3):
            await call(client)
        print(f"requests: initialize {posts.count(None)}, with the id after its end {posts[before:].count(id)}")
    http.should_exit = True
    await serving


asyncio.run(asyncio.wait_for(main(), 60))
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check mcp==2.3.0 uvicorn==0.54.0
seen=$("$dir/venv/bin/python" "$dir/session.py")
echo "$seen"
[ "$seen" = "call: 3
call: Session not found
call: Session not found
call: Session not found
requests: initialize 1, with the id after its end 3" ]
