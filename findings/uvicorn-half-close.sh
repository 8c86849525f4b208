#!/usr/bin/env bash
# uvicorn: a client that ends its sending side after the request gets no answer, although the application makes one.
#
# Versions: uvicorn 0.54.0, cheroot 11.1.2, Python's own `wsgiref`.
# TCP lets one side end while the other goes on; a client that has sent all it has may say so, and read.
# Of a server one expects the answer, as from cheroot and `wsgiref`.
# uvicorn closes the connection when it reads the end; the application runs on and its answer goes nowhere.
# So a proxy never passes on the half-close of a client to its server: the work would be done in vain.
# Seen: what a client gets that keeps its side open, then one that half-closes; how often the application was done
#   uvicorn: 200, nothing; 2
#   cheroot: 200, 200; 2
#   wsgiref: 200, 200; 2
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/half.py" <<'PYTHON'
import asyncio
import socket
import threading
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server

import uvicorn
from cheroot import wsgi

done = 0


async def asgi_app(scope, receive, send):
    global done
    await asyncio.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
    done += 1


def wsgi_app(_, start_response):
    global done
    time.sleep(0.2)
    start_response("200 OK", [("content-length", "2")])
    done += 1
    return [b"ok"]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def status(port, half_closes):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        if half_closes:
            client.shutdown(socket.SHUT_WR)
        line = client.makefile("rb").readline()
        return line.split()[1].decode() if line else "nothing"


def show(name, port):
    global done
    done = 0
    whole, half = status(port, False), status(port, True)
    until = time.monotonic() + 5
    while done < 2 and time.monotonic() < until:
        time.sleep(0.01)
    print(f"{name}: {whole}, {half}; {done}")


listener = socket.create_server(("127.0.0.1", 0))
http = uvicorn.Server(uvicorn.Config(asgi_app, log_level="critical", lifespan="off"))
thread = threading.Thread(target=lambda: asyncio.run(http.serve([listener])))
thread.start()
show("uvicorn", listener.getsockname()[1])
http.should_exit = True
thread.join()

http = wsgi.Server(("127.0.0.1", 0), wsgi_app)
http.prepare()
threading.Thread(target=http.serve, daemon=True).start()
show("cheroot", http.bind_addr[1])
http.stop()

http = make_server("127.0.0.1", 0, wsgi_app, handler_class=Quiet)
threading.Thread(target=http.serve_forever, daemon=True).start()
show("wsgiref", http.server_port)
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check uvicorn==0.54.0 cheroot==11.1.2
seen=$("$dir/venv/bin/python" "$dir/half.py")
echo "$seen"
[ "$seen" = 'uvicorn: 200, nothing; 2
cheroot: 200, 200; 2
wsgiref: 200, 200; 2' ]
