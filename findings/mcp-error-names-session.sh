#!/usr/bin/env bash
# mcp (Python): a server's error carries the id of a session that does not exist.
#
# Versions: mcp 2.3.0, uvicorn 0.54.0.
# From `Mcp-Session-Id` in an answer a client, and a proxy that routes by it, learns of a session.
# The protocol has it sent with the result of `initialize`.
# But a call without an id is refused with a 400 that has the field too, with another id each time, and a request that
# uses such an id gets 404.
# So a proxy takes the ids of answers with a 2xx alone for sessions; else it has one more with every such error.
# Seen:
#   tools/list without a session: 400, names a session
#   again: 400, names another session
#   initialize in it: 404, names none
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/error.py" <<'PYTHON'
import asyncio
import socket

import httpx2
import uvicorn
from mcp.server.mcpserver import MCPServer

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
names = []


async def post(client, what, method, params, **session):
    fields = {"accept": "application/json, text/event-stream", **session}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await client.post("/mcp", headers=fields, json=message)
    name = answer.headers.get("mcp-session-id")
    named = "none" if name is None else "the same" if name in names else "another session" if names else "a session"
    names.append(name)
    print(f"{what}: {answer.status_code}, names {named}")


async def main():
    app = MCPServer("demo", log_level="CRITICAL").streamable_http_app()
    listener = socket.create_server(("127.0.0.1", 0))
    http = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    serving = asyncio.create_task(http.serve([listener]))
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        await post(client, "tools/list without a session", "tools/list", {})
        await post(client, "again", "tools/list", {})
        await post(client, "initialize in it", "initialize", HELLO, **{"mcp-session-id": names[0]})
    http.should_exit = True
    await serving


asyncio.run(asyncio.wait_for(main(), 60))
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check mcp==2.3.0 uvicorn==0.54.0
seen=$("$dir/venv/bin/python" "$dir/error.py")
echo "$seen"
[ "$seen" = 'tools/list without a session: 400, names a session
again: 400, names another session
initialize in it: 404, names none' ]
