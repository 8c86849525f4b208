#!/usr/bin/env bash
# openai (Python): a block of an event stream that has no `data:` line ends the answer with an error of the JSON parser.
#
# Version: openai 3.57.0.
# By the specification of server-sent events such a block dispatches nothing: it sets the time to reconnect or the last
# event's id, and a reader goes on.
# The client parses its empty data as JSON instead, and the error is none of its own (`openai.OpenAIError`).
# Only a comment is skipped, so that is all that a proxy may put between events to keep a stream alive.
# Seen:
#   ': ping': 2 chunks, then the end
#   'retry: 1000': 1 chunks, then json.decoder.JSONDecodeError
#   'id: 7': 1 chunks, then json.decoder.JSONDecodeError
#   'event: ping': 1 chunks, then json.decoder.JSONDecodeError
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/stream.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai

CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(CHUNK + between.encode() + b"\n\n" + CHUNK + b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}", api_key="k")
for between in [": ping", "retry: 1000", "id: 7", "event: ping"]:
    chunks, ending = 0, "the end"
    try:
        for _ in client.chat.completions.create(model="m", messages=[], stream=True):
            chunks += 1
    except openai.OpenAIError:
        ending = "an error of openai"
    except Exception as error:
        ending = f"{type(error).__module__}.{type(error).__name__}"
    print(f"{between!r}: {chunks} chunks, then {ending}")
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0
seen=$("$dir/venv/bin/python" "$dir/stream.py")
echo "$seen"
[ "$seen" = "': ping': 2 chunks, then the end
'retry: 1000': 1 chunks, then json.decoder.JSONDecodeError
'id: 7': 1 chunks, then json.decoder.JSONDecodeError
'event: ping': 1 chunks, then json.decoder.JSONDecodeError" ]
