#!/usr/bin/env bash
# openai, anthropic (Python): a POST whose answer breaks off in its body, after a 200, is sent three times in all.
#
# Versions: openai 3.57.0, anthropic 2.14.0.
# One expects that retries end where the answer begins: by then the work is done, and paid for.
# None of the three carries an `Idempotency-Key` by which a server could tell; a stream that breaks off is not repeated.
# A 502 is repeated as well, unless it has the field `x-should-retry: false`, which no RFC knows.
# So a proxy that lost its server after the request was sent answers itself, with that field, rather than breaking off.
# Seen:
#   openai: cut answer 3 requests, 0 keys; cut stream 1; 502 3, forbidden 1
#   anthropic: cut answer 3 requests, 0 keys; cut stream 1; 502 3, forbidden 1
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/cut.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import anthropic
import openai

status, forbidden = 200, False
requests = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        requests.append("idempotency-key" in self.headers)
        self.send_response(status)
        if forbidden:
            self.send_header("x-should-retry", "false")
        self.send_header("content-length", "100" if status == 200 else "0")
        self.end_headers()
        if status == 200:
            self.wfile.write(b'{"id":')

    def log_message(self, *_):
        pass


def count(call, answers, forbids, stream):
    global status, forbidden
    status, forbidden = answers, forbids
    requests.clear()
    try:
        answer = call(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream)
        if stream:
            list(answer)
    except Exception:
        pass
    return len(requests), sum(requests)


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
messages = anthropic.Anthropic(base_url=url, api_key="k").messages
calls = {
    "openai": openai.OpenAI(base_url=url, api_key="k").chat.completions.create,
    "anthropic": lambda **rest: messages.create(max_tokens=9, **rest),
}
for name, call in calls.items():
    sent, keys = count(call, 200, False, False)
    streams, failed = count(call, 200, False, True)[0], count(call, 502, False, False)[0]
    once = count(call, 502, True, False)[0]
    print(f"{name}: cut answer {sent} requests, {keys} keys; cut stream {streams}; 502 {failed}, forbidden {once}")
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0
seen=$("$dir/venv/bin/python" "$dir/cut.py")
echo "$seen"
[ "$seen" = "openai: cut answer 3 requests, 0 keys; cut stream 1; 502 3, forbidden 1
anthropic: cut answer 3 requests, 0 keys; cut stream 1; 502 3, forbidden 1" ]
