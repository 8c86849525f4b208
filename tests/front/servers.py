"""The three front doors with the same routes, and the endpoint behind them."""

import hashlib
import http.server
import pathlib
import socketserver
import threading

from harness import Process, binary, free_port

LONG = "".join(f'{{"n":{number}}}\n' for number in range(500))
PASSWORD = "0123456789abcdef0123456789abcdef"

SWITCHBACK = """
workers = 2
access_log.format = "off"
[[listeners]]
address = "127.0.0.1:{port}"
[admin]
address = "127.0.0.1:{admin}"
[history]
path = "{folder}/history"
[shutdown]
grace = "1s"
[releases.blue]
version = "1.0.0"
endpoints = ["http://127.0.0.1:{back}"]
[[routes]]
name = "moved"
path_prefix = "/moved"
redirect = {{ scheme = "https", host = "front.test", status = 308 }}
[[routes]]
name = "fields"
path_prefix = "/fields"
split = {{ blue = 1 }}
request_headers = {{ set = {{ x-set = "front" }}, remove = ["x-internal"] }}
response_headers = {{ set = {{ x-served-by = "front" }}, remove = ["x-secret"] }}
[[routes]]
name = "named"
path_prefix = "/named"
split = {{ blue = 1 }}
response_headers = {{ set = {{ x-id = "{{request_id}}" }} }}
request_headers = {{ set = {{ x-host = "{{host}}" }} }}
[[routes]]
name = "robots"
path = "/robots.txt"
respond = {{ body = "User-agent: *\\n" }}
[[routes]]
name = "down"
path_prefix = "/down"
split = {{ blue = 1 }}
maintenance = {{ on = true, retry_after = "5m" }}
[[routes]]
name = "small"
path_prefix = "/small"
split = {{ blue = 1 }}
max_body = "1KiB"
[[routes]]
name = "limited"
path_prefix = "/limited"
split = {{ blue = 1 }}
rate_limit = {{ rate = "1/min", burst = 1, key = [{{ header = "x-user" }}] }}
[[routes]]
name = "shared"
path_prefix = "/shared"
split = {{ blue = 1 }}
cors = {{ origins = ["https://app.test"] }}
[[routes]]
name = "guarded"
path_prefix = "/guarded"
split = {{ blue = 1 }}
guard = {{ basic = {{ ada = "sha256:{digest}" }} }}
[[routes]]
name = "reading"
path_prefix = "/reading"
methods = ["GET"]
query = {{ version = "2" }}
respond = {{ body = "two" }}
[[routes]]
name = "posting"
path_prefix = "/reading"
methods = ["GET"]
respond = {{ body = "any" }}
[[routes]]
name = "packed"
path_prefix = "/packed"
split = {{ blue = 1 }}
compress = true
"""

NGINX = """
daemon off;
pid {folder}/nginx.pid;
worker_processes 1;
error_log {folder}/nginx-error.log crit;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $http_x_user zone=users:1m rate=1r/m;
    proxy_http_version 1.1;
    gzip_types application/json application/x-ndjson text/plain;
    gzip_min_length 1024;
    gzip_proxied any;
    gzip_vary on;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{port2} http2;
        location /moved {{ return 308 https://front.test$request_uri; }}
        location /fields {{
            proxy_set_header X-Set front;
            proxy_set_header X-Internal "";
            proxy_hide_header X-Secret;
            add_header X-Served-By front always;
            proxy_pass http://127.0.0.1:{back};
        }}
        location = /robots.txt {{ default_type text/plain; return 200 "User-agent: *\\n"; }}
        location /down {{ add_header Retry-After 300 always; return 503; }}
        location /small {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{back}; }}
        location /limited {{
            limit_req zone=users;
            limit_req_status 429;
            proxy_pass http://127.0.0.1:{back};
        }}
        location /shared {{
            if ($request_method = OPTIONS) {{
                add_header Access-Control-Allow-Origin https://app.test;
                add_header Access-Control-Allow-Methods "GET, HEAD, POST";
                return 204;
            }}
            proxy_pass http://127.0.0.1:{back};
        }}
        location /guarded {{
            auth_basic guarded;
            auth_basic_user_file {folder}/passwords;
            proxy_pass http://127.0.0.1:{back};
        }}
        location /reading {{
            default_type text/plain;
            if ($request_method !~ ^(GET|HEAD)$) {{ return 405; }}
            if ($arg_version = 2) {{ return 200 two; }}
            return 200 any;
        }}
        location /packed {{ gzip on; proxy_pass http://127.0.0.1:{back}; }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 256
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
userlist people
    user ada insecure-password {password}
frontend front
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{port2} proto h2
    http-request redirect code 308 location https://front.test%[capture.req.uri] if {{ path_beg /moved }}
    http-request return status 200 content-type text/plain lf-string "User-agent: *\\n" if {{ path /robots.txt }}
    http-request return status 503 content-type text/plain string down hdr Retry-After 300 if {{ path_beg /down }}
    http-request deny status 413 if {{ path_beg /small }} {{ req.hdr(content-length) -m int gt 1024 }}
    http-request track-sc0 req.hdr(x-user) table users if {{ path_beg /limited }}
    http-request deny status 429 if {{ path_beg /limited }} {{ sc_http_req_rate(0) gt 1 }}
    http-request return status 204 hdr Access-Control-Allow-Origin https://app.test hdr Access-Control-Allow-Methods "GET, HEAD, POST" if {{ path_beg /shared }} METH_OPTIONS
    http-request auth realm guarded if {{ path_beg /guarded }} !{{ http_auth(people) }}
    http-request deny status 405 if {{ path_beg /reading }} !METH_GET
    http-request return status 200 content-type text/plain string two if {{ path_beg /reading }} {{ url_param(version) 2 }}
    http-request return status 200 content-type text/plain string any if {{ path_beg /reading }}
    http-request set-header X-Set front if {{ path_beg /fields }}
    http-request del-header X-Internal if {{ path_beg /fields }}
    use_backend fields if {{ path_beg /fields }}
    use_backend packed if {{ path_beg /packed }}
    default_backend back
backend users
    stick-table type string len 32 size 1k expire 1m store http_req_rate(1m)
backend fields
    http-response set-header X-Served-By front
    http-response del-header X-Secret
    server one 127.0.0.1:{back}
backend packed
    compression algo gzip
    compression type application/json application/x-ndjson text/plain
    server one 127.0.0.1:{back}
backend back
    server one 127.0.0.1:{back}
"""


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Says in its body which fields it got."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        if self.headers.get("transfer-encoding"):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/packed"):
            media = {"/packed/events": "text/event-stream", "/packed/picture": "image/png"}
            fields = {"Content-Type": media.get(self.path, "application/json"), "ETag": '"a"'}
            if self.path == "/packed/fixed":
                fields["Cache-Control"] = "no-transform"
            body = LONG
        else:
            seen = [f"{name.lower()}={value}" for name, value in self.headers.items() if name.lower().startswith("x-")]
            own = [one for one in seen if one.split("=")[0] in ("x-set", "x-internal", "x-host")]
            fields, body = {"Content-Type": "text/plain", "X-Secret": "s"}, " ".join(sorted(own)) + "\n"
        self.send_response(200)
        for name, value in {**fields, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_POST = do_HEAD = do_OPTIONS = do_DELETE = answer

    def log_message(self, *_):
        pass


class Endpoints(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """A request that a front door has broken off is no error of the endpoint."""


class Front:
    """A front door: its name and its ports for HTTP/1.1 and HTTP/2."""

    def __init__(self, name, folder, text, command, values, own=False):
        self.name, self.port = name, free_port()
        self.port2 = self.port if own else free_port()
        config = folder / f"{name}.conf"
        config.write_text(text.format(port=self.port, port2=self.port2, folder=folder, **values))
        self.process = Process(name, [part.replace("CONFIG", str(config)) for part in command], folder)
        for port in {self.port, self.port2}:
            self.process.wait_for_port(port, 30)


def fronts(folder):
    """Starts all three."""
    # nginx's workers are another user.
    pathlib.Path(folder).chmod(0o755)
    endpoint = Endpoints(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    passwords = folder / "passwords"
    passwords.write_text(f"ada:{{PLAIN}}{PASSWORD}\n")
    passwords.chmod(0o644)
    values = {
        "back": endpoint.server_port,
        "admin": free_port(),
        "digest": hashlib.sha256(PASSWORD.encode()).hexdigest(),
        "password": PASSWORD,
    }
    nginx = ["/usr/sbin/nginx", "-e", f"{folder}/nginx-start.log", "-p", str(folder), "-c", "CONFIG"]
    return [
        Front("switchback", folder, SWITCHBACK, [binary(), "serve", "--config", "CONFIG"], values, own=True),
        Front("nginx", folder, NGINX, nginx, values),
        Front("haproxy", folder, HAPROXY, ["haproxy", "-db", "-f", "CONFIG"], values),
    ]
