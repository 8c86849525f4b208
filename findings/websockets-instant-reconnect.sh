#!/usr/bin/env bash
# websockets: as an iterator, `connect` waits before it connects again only if the handshake failed.
#
# Version: websockets 17.4 on both ends.
# A loop `async for websocket in connect(...)` is the documented way to stay connected.
# It waits up to 5 seconds at random before the second try, so that clients do not all come back together.
# But one that was accepted and then closed, with 1012 "service restart" too, is followed by the next at once, again and
# again: hundreds of connections a second from one client.
# A proxy therefore spreads the ends of many connections over time, and refuses by 503 what it would have to close.
# Seen: connections of one client in a second
#   handshake refused with 503: 1 or 2
#   accepted, closed with 1012: more than 20
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/reconnect.py" <<'PYTHON'
import asyncio
from http import HTTPStatus

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def stay_connected(port):
    async for websocket in connect(f"ws://127.0.0.1:{port}"):
        try:
            async for _ in websocket:
                pass
        except ConnectionClosed:
            continue


async def count(refuses):
    handshakes = 0

    def on_request(connection, _):
        nonlocal handshakes
        handshakes += 1
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "") if refuses else None

    async with serve(lambda websocket: websocket.close(1012), "127.0.0.1", 0, process_request=on_request) as server:
        try:
            await asyncio.wait_for(stay_connected(server.sockets[0].getsockname()[1]), 1)
        except asyncio.TimeoutError:
            pass
    return "1 or 2" if 1 <= handshakes <= 2 else "more than 20" if handshakes > 20 else handshakes


print("handshake refused with 503:", asyncio.run(count(True)))
print("accepted, closed with 1012:", asyncio.run(count(False)))
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check websockets==17.4
seen=$("$dir/venv/bin/python" "$dir/reconnect.py")
echo "$seen"
[ "$seen" = 'handshake refused with 503: 1 or 2
accepted, closed with 1012: more than 20' ]
