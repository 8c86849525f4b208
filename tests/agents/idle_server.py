"""A server that closes idle connections soon: `idle_server.py uvicorn|gunicorn PORT`. GET says how often each POST was executed."""

import collections
import json
import sys

SECONDS = 1
executed = collections.Counter()


def answer(method, path):
    if method == "POST":
        executed[path] += 1
        return b"{}"
    return json.dumps({"paths": len(executed), "most": max(executed.values(), default=0)}).encode()


async def asgi(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    body = answer(scope["method"], scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ, start_response):
    environ["wsgi.input"].read()
    body = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def serve_uvicorn(port):
    import uvicorn

    uvicorn.run(asgi, port=port, timeout_keep_alive=SECONDS, log_level="error", lifespan="off", backlog=1024)


def serve_gunicorn(port):
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            settings = {"bind": f"127.0.0.1:{port}", "worker_class": "gthread", "threads": 8, "keepalive": SECONDS, "loglevel": "error"}
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self):
            return wsgi

    Application().run()


if __name__ == "__main__":
    {"uvicorn": serve_uvicorn, "gunicorn": serve_gunicorn}[sys.argv[1]](int(sys.argv[2]))
