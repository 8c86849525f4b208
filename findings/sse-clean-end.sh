#!/usr/bin/env bash
# openai, anthropic (Python): a stream that ends in the middle of an answer counts as whole if HTTP ends cleanly.
#
# Versions: openai 3.57.0, anthropic 2.14.0.
# Both formats have a last event, `data: [DONE]` and `message_stop`, so one expects that its absence is an error.
# Nothing looks for it, not even anthropic's helper that collects the message: it returns half a sentence.
# Only a missing last chunk of HTTP is noticed.
# So when a server breaks off, a proxy must not tidy up with a last chunk: it has to break the client's connection too.
# Seen: the last chunk sent, then the connection closed without it
#   openai, stream: 1 chunk; openai.APIConnectionError
#   anthropic, stream: 3 events; httpx2.RemoteProtocolError
#   anthropic, get_final_message: 'Do not', stop_reason None; httpx2.RemoteProtocolError
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/end.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import anthropic
import openai

OPENAI = [
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "Do not"}, "finish_reason": None}],
    }
]
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ANTHROPIC = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Do not"}},
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in ANTHROPIC if self.path == "/v1/messages" else OPENAI:
            name = f"event: {event['type']}\n" if "type" in event else ""
            block = f"{name}data: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        if clean:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
completions = openai.OpenAI(base_url=url, api_key="k").chat.completions
messages = anthropic.Anthropic(base_url=url, api_key="k").messages
ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def final_message():
    with messages.stream(max_tokens=9, **ask) as stream:
        message = stream.get_final_message()
    return f"{message.content[0].text!r}, stop_reason {message.stop_reason}"


calls = {
    "openai, stream": lambda: f"{len(list(completions.create(stream=True, **ask)))} chunk",
    "anthropic, stream": lambda: f"{len(list(messages.create(max_tokens=9, stream=True, **ask)))} events",
    "anthropic, get_final_message": final_message,
}
for name, call in calls.items():
    results = []
    for clean in [True, False]:
        try:
            results.append(call())
        except Exception as error:
            results.append(f"{type(error).__module__}.{type(error).__name__}")
    print(f"{name}: {'; '.join(results)}")
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0
seen=$("$dir/venv/bin/python" "$dir/end.py")
echo "$seen"
[ "$seen" = "openai, stream: 1 chunk; openai.APIConnectionError
anthropic, stream: 3 events; httpx2.RemoteProtocolError
anthropic, get_final_message: 'Do not', stop_reason None; httpx2.RemoteProtocolError" ]
