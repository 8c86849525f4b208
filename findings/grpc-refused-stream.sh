#!/usr/bin/env bash
# grpcio: a call that the server certainly never began is repeated after GOAWAY, but fails after REFUSED_STREAM.
#
# Versions: grpcio 1.85.3, h2 4.4.1 as the server.
# RFC 9113, 8.7, names two promises that a request was not processed: a GOAWAY with a lower last stream, and RST_STREAM
# with REFUSED_STREAM.
# gRPC's design of retries (A6) makes both a transparent retry, and its Java and Go clients do so.
# Python's, which is built on the C core, acts on the first only.
# So a proxy that turns a call away which it did not pass on yet says so by GOAWAY, or repeats the call itself.
# REFUSED_STREAM reaches the program as UNAVAILABLE.
# Seen: streams that arrived, and the call's result
#   GOAWAY: 2, OK
#   REFUSED_STREAM: 1, UNAVAILABLE
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/refused.py" <<'PYTHON'
import socket
import threading

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded

EMPTY_MESSAGE = b"\0\0\0\0\0"


def serve_one(client, refuses_by, streams):
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    client.sendall(connection.data_to_send())
    while received := client.recv(65536):
        for event in connection.receive_data(received):
            if not isinstance(event, StreamEnded):
                continue
            id = event.stream_id
            streams.append(id)
            if len(streams) > 1:
                connection.send_headers(id, [(":status", "200"), ("content-type", "application/grpc")])
                connection.send_data(id, EMPTY_MESSAGE)
                connection.send_headers(id, [("grpc-status", "0")], end_stream=True)
            elif refuses_by == "GOAWAY":
                connection.close_connection(last_stream_id=0)
                client.sendall(connection.data_to_send())
                while client.recv(65536):
                    pass
                return
            else:
                connection.reset_stream(id, ErrorCodes.REFUSED_STREAM)
        client.sendall(connection.data_to_send())


def serve(listener, *how):
    while True:
        threading.Thread(target=serve_one, args=(listener.accept()[0], *how), daemon=True).start()


for refuses_by in ["GOAWAY", "REFUSED_STREAM"]:
    listener = socket.create_server(("127.0.0.1", 0))
    streams = []
    threading.Thread(target=serve, args=(listener, refuses_by, streams), daemon=True).start()
    with grpc.insecure_channel(f"127.0.0.1:{listener.getsockname()[1]}") as channel:
        try:
            channel.unary_unary("/demo.Demo/Call")(b"", timeout=10)
            result = "OK"
        except grpc.RpcError as error:
            result = error.code().name
    print(f"{refuses_by}: {len(streams)}, {result}")
PYTHON
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.3 h2==4.4.1
seen=$("$dir/venv/bin/python" "$dir/refused.py")
echo "$seen"
[ "$seen" = 'GOAWAY: 2, OK
REFUSED_STREAM: 1, UNAVAILABLE' ]
