"""Starts and kills endpoints as processes of their own. They are forked, so that none has to import the libraries again.

It reads one JSON command a line from standard input, and answers with one line on standard output. It ends, and the
endpoints with it, at the end of its input.
"""

import asyncio
import json
import os
import signal
import sys

import agent

children = {}


def start(command):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)

        def ready(http, grpc):
            os.write(writer, json.dumps({"http": http, "grpc": grpc}).encode())
            os.close(writer)

        try:
            asyncio.run(agent.serve(ready=ready, **command))
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as ports:
        said = ports.read()
    if not said:
        os.waitpid(pid, 0)
        return {"error": f"{command['name']} ended"}
    children[pid] = True
    return {"pid": pid, **json.loads(said)}


def end(command):
    """SIGKILL, and the process is gone when this returns. It may have died before."""
    pid = command["kill"]
    if children.pop(pid, False):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {}


def main():
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(end(command) if "kill" in command else start(command)), flush=True)
    for pid in list(children):
        end({"kill": pid})


if __name__ == "__main__":
    main()
