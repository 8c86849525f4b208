#!/usr/bin/env bash
# mcp (Python): one 503 on the client's first request makes it speak the old protocol, with sessions, to a new server.
#
# Versions: mcp 2.3.0 on both ends, whose server speaks both, uvicorn 0.54.0.
# In its mode `auto` the client asks `server/discover` first, to learn of which era the server is.
# A 503 (or 429, or 401) says nothing about that, so one expects an error or another try.
# The client takes any error there for an old server, without a word: it sends `initialize`, gets a session from the
# same server and keeps it to the end, with state in the server that the new protocol does without.
# So while a server starts, a proxy waits rather than answer the probe itself.
# Seen: what the probe got, then what a call used
#   its answer: 2026-07-28, no session
#   503: 2025-11-25, a session
#   429: 2025-11-25, a session
#   401: 2025-11-25, a session
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/probe.py" <<'PYTHON'
import asyncio
import socket

import uvicorn
from mcp.client import Client
from mcp.server.mcpserver import MCPServer

server = MCPServer("demo", log_level="CRITICAL")
probe = None
session = "no session"


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


inner = server.streamable_http_app()


async def app(scope, receive, send):
    global session
    fields = dict(scope.get("headers", []))
    if b"mcp-session-id" in fields:
        session = "a session"
    if probe and fields.get(b"mcp-method") == b"server/discover":
        await send({"type": "http.response.start", "status": probe})
        await send({"type": "http.response.body"})
    else:
        await inner(scope, receive, send)


async def main():
    global probe, session
    listener = socket.create_server(("127.0.0.1", 0))
    http = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    serving = asyncio.create_task(http.serve([listener]))
    for probe in [None, 503, 429, 401]:
        session = "no session"
        async with Client(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp") as client:
            await client.call_tool("add", {"a": 1, "b": 2})
            version = client.protocol_version
        print(f"{probe or 'its answer'}: {version}, {session}")
    http.should_exit = True
    await serving


asyncio.run(asyncio.wait_for(main(), 60))
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check mcp==2.3.0 uvicorn==0.54.0
seen=$("$dir/venv/bin/python" "$dir/probe.py")
echo "$seen"
[ "$seen" = "its answer: 2026-07-28, no session
503: 2025-11-25, a session
429: 2025-11-25, a session
401: 2025-11-25, a session" ]
