"""The configuration of each candidate, and how each flips: in the way that its own manual recommends."""

import json
import os
import resource
import socket
import subprocess
import time
import urllib.request

# What the system lets a process open; a proxied connection takes two.
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CONNECTIONS = min(30_000, (FILES - 256) // 2)


def write(peer, name, text):
    """Writes a file atomically: a reader sees the old one or the new one."""
    path = os.path.join(peer.folder, name)
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)
    return path


# switchback


def switchback(peer):
    origin, ports = peer.bench.origin, peer.ports
    lines = [
        f"workers = {peer.workers}",
        *(f'[[listeners]]\naddress = "127.0.0.1:{ports[kind]}"' for kind in ("plain", "h2", "grpc")),
        f'[[listeners]]\naddress = "127.0.0.1:{ports["tls"]}"',
        f'tls = {{ certificates = [{{ cert = "{peer.bench.cert}", key = "{peer.bench.key}" }}] }}',
        f'[admin]\naddress = "127.0.0.1:{ports["admin"]}"',
        f'[history]\npath = "{peer.history}"',
        '[access_log]\nformat = "off"',
        f'[releases.blue]\nendpoints = ["http://127.0.0.1:{origin.blue}"]',
        f'[releases.green]\nendpoints = ["http://127.0.0.1:{origin.green}"]',
        f'[releases.blue-h2]\nprotocol = "h2"\nendpoints = ["http://127.0.0.1:{origin.h2_blue}"]',
        f'[releases.green-h2]\nprotocol = "h2"\nendpoints = ["http://127.0.0.1:{origin.h2_green}"]',
        '[[routes]]\nname = "grpc"\npath_prefix = "/bench.Echo"\nsplit = { blue-h2 = 90, green-h2 = 10 }',
        '[[routes]]\nname = "chat"\npath_prefix = "/"\nsplit = { blue = 90, green = 10 }',
    ]
    for place in range(1, peer.routes):
        lines.append(f'[[routes]]\nname = "r{place}"\npath = "/r/{place}"\nsplit = {{ blue = 90, green = 10 }}')
    path = write(peer, "switchback.toml", "\n".join(lines) + "\n")
    return [peer.bench.binaries["switchback"], "serve", "--config", path], {}


def flip_switchback(peer, to):
    """Returns the receipt; the other proxies' commands only say that they are done."""
    route = "chat" if peer.routes == 1 else f"r{peer.routes - 1}"
    return admin(peer.ports["admin"], "POST", f"/v1/routes/{route}/switch", {"to": to})


def wait_until_ready(peer):
    """switchback and Envoy listen before they have their table, and say when they have it."""
    path = {"switchback": "/readyz", "envoy": "/ready"}.get(peer.name)
    for _ in range(600 if path else 0):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{peer.ports['admin']}{path}", timeout=5):
                return
        except OSError:
            time.sleep(0.05)


def rollback_switchback(peer):
    return admin(peer.ports["admin"], "POST", "/v1/rollback", {})


def admin(port, method, path, body):
    """One call of the admin API on a connection of its own, by hand: a client library would be most of what is timed."""
    text = json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as control:
        control.sendall((head + text).encode())
        answer = b"".join(iter(lambda: control.recv(65_536), b"")).decode()
    head, _, text = answer.partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 2"):
        raise RuntimeError(f"{method} {path}: {answer[:500]}")
    return json.loads(text)


# HAProxy


def haproxy(peer):
    origin, ports = peer.bench.origin, peer.ports
    choose = ""
    if peer.routes > 1:
        rows = "\n".join(f"/r/{place} agents" for place in range(1, peer.routes))
        choose = f"  use_backend %[path,map({write(peer, 'routes.map', rows)})] if {{ path -m beg /r/ }}\n"
    text = f"""global
  nbthread {peer.workers}
  maxconn {CONNECTIONS}
  stats socket {peer.folder}/haproxy.sock level admin
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  maxconn {CONNECTIONS}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 1h
  http-reuse always
  option forwardfor
  option http-no-delay
frontend plain
  bind 127.0.0.1:{ports['plain']}
{choose}  default_backend agents
frontend tls
  bind 127.0.0.1:{ports['tls']} ssl crt {peer.bench.both} alpn http/1.1
  default_backend agents
frontend h2
  bind 127.0.0.1:{ports['h2']} proto h2
  default_backend agents
frontend grpc
  bind 127.0.0.1:{ports['grpc']} proto h2
  default_backend agents_h2
backend agents
  balance roundrobin
  server blue 127.0.0.1:{origin.blue} weight 90
  server green 127.0.0.1:{origin.green} weight 10
backend agents_h2
  balance roundrobin
  server blue 127.0.0.1:{origin.h2_blue} weight 90 proto h2
  server green 127.0.0.1:{origin.h2_green} weight 10 proto h2
"""
    return [peer.bench.binaries["haproxy"], "-f", write(peer, "haproxy.cfg", text)], {}


def flip_haproxy(peer, to):
    other = "blue" if to == "green" else "green"
    # The new side first: lowered first, the old one leaves a moment with no server at all.
    for server, weight in ((to, 100), (other, 0)):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(f"{peer.folder}/haproxy.sock")
            control.sendall(f"set server agents/{server} weight {weight}\n".encode())
            while control.recv(4096):
                pass


# nginx


def nginx_text(peer, blue, green):
    origin, ports = peer.bench.origin, peer.ports
    servers = lambda b, g: "".join(f"server 127.0.0.1:{port} weight={weight};" for port, weight in ((b, blue), (g, green)) if weight)  # noqa: E731
    proxy = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $host;'
    # Room for the largest response: with the default, half of it would go through files.
    whole = "proxy_buffers 16 16k; proxy_busy_buffers_size 64k;"
    extra = "".join(f"location = /r/{place} {{ {proxy} proxy_pass http://agents; }}\n" for place in range(1, peer.routes))
    locations = f"""{extra}
    location / {{ {proxy} {whole} proxy_pass http://agents; }}
    location /sse {{ {proxy} proxy_buffering off; proxy_read_timeout 600s; proxy_pass http://agents; }}
    location /bulk {{ {proxy} {whole} proxy_max_temp_file_size 0; proxy_request_buffering off; client_max_body_size 0; proxy_pass http://agents; }}
    location /ws {{ proxy_http_version 1.1; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_read_timeout 1h; proxy_pass http://agents; }}"""
    return f"""daemon off; worker_processes {peer.workers}; pid {peer.folder}/pid; error_log {peer.folder}/error.log; worker_rlimit_nofile {FILES}; user root;
events {{ worker_connections {FILES}; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {peer.folder}/body; proxy_temp_path {peer.folder}/proxy; fastcgi_temp_path {peer.folder}/fastcgi; uwsgi_temp_path {peer.folder}/uwsgi; scgi_temp_path {peer.folder}/scgi;
  upstream agents {{ {servers(origin.blue, origin.green)} keepalive 512; keepalive_requests 100000000; }}
  upstream agents_h2 {{ {servers(origin.h2_blue, origin.h2_green)} keepalive 512; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{ports['plain']}; {locations} }}
  server {{ listen 127.0.0.1:{ports['tls']} ssl; ssl_certificate {peer.bench.cert}; ssl_certificate_key {peer.bench.key}; ssl_protocols TLSv1.2 TLSv1.3; {locations} }}
  server {{ listen 127.0.0.1:{ports['h2']} http2; {locations} }}
  server {{ listen 127.0.0.1:{ports['grpc']} http2; location / {{ grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for; grpc_pass grpc://agents_h2; }} }}
}}
"""


def nginx(peer):
    path = write(peer, "nginx.conf", nginx_text(peer, 90, 10))
    return [peer.bench.binaries["nginx"], "-c", path, "-p", peer.folder], {}


def flip_nginx(peer, to):
    path = write(peer, "nginx.conf", nginx_text(peer, 0 if to == "green" else 100, 100 if to == "green" else 0))
    subprocess.run([peer.bench.binaries["nginx"], "-c", path, "-p", peer.folder, "-s", "reload"], check=True, stderr=subprocess.DEVNULL)


# Envoy


def envoy_routes(peer, blue, green, suffix=""):
    action = {
        "timeout": "0s",
        "weighted_clusters": {"clusters": [{"name": "blue" + suffix, "weight": blue}, {"name": "green" + suffix, "weight": green}]},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    exact = [{"match": {"path": f"/r/{place}"}, "route": action} for place in range(1, peer.routes)]
    host = {"name": "agents", "domains": ["*"], "routes": exact + [{"match": {"prefix": "/"}, "route": action}]}
    return {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "agents", "virtual_hosts": [host]}


def envoy_listener(peer, kind, routes, tls=False, codec="AUTO"):
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": kind, "codec_type": codec, "use_remote_address": True, "stream_idle_timeout": "600s", "generate_request_id": False,
        "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}}],
        **routes,
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        files = {"certificate_chain": {"filename": peer.bench.cert}, "private_key": {"filename": peer.bench.key}}
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {"tls_certificates": [files], "alpn_protocols": ["http/1.1"]}},
        }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": peer.ports[kind]}}
    return {"name": kind, "address": address, "filter_chains": [chain]}


def envoy_cluster(name, port, h2=False):
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    limits = {"max_connections": 30000, "max_pending_requests": 30000, "max_requests": 30000}
    cluster = {
        "name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
    }
    if h2:
        protocol = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol}
    return cluster


def envoy(peer):
    origin = peer.bench.origin
    rds = write(peer, "rds.json", json.dumps({"version_info": "0", "resources": [envoy_routes(peer, 90, 10)]}))
    dynamic = {"rds": {"route_config_name": "agents", "config_source": {"resource_api_version": "V3", "path_config_source": {"path": rds}}}}
    fixed = lambda suffix="": {"route_config": {k: v for k, v in envoy_routes(peer, 90, 10, suffix).items() if k != "@type"}}  # noqa: E731
    config = {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": peer.ports["admin"]}}},
        "static_resources": {
            "listeners": [
                envoy_listener(peer, "plain", dynamic),
                envoy_listener(peer, "tls", fixed(), tls=True),
                envoy_listener(peer, "h2", fixed(), codec="HTTP2"),
                envoy_listener(peer, "grpc", fixed("-h2"), codec="HTTP2"),
            ],
            "clusters": [
                envoy_cluster("blue", origin.blue), envoy_cluster("green", origin.green),
                envoy_cluster("blue-h2", origin.h2_blue, True), envoy_cluster("green-h2", origin.h2_green, True),
            ],
        },
    }
    path = write(peer, "envoy.json", json.dumps(config))
    return [peer.bench.binaries["envoy"], "-c", path, "--concurrency", str(peer.workers), "--log-level", "error", "--disable-hot-restart"], {}


def flip_envoy(peer, to):
    peer.version = getattr(peer, "version", 0) + 1
    routes = envoy_routes(peer, 100 if to == "blue" else 0, 100 if to == "green" else 0)
    write(peer, "rds.json", json.dumps({"version_info": str(peer.version), "resources": [routes]}))


# Pingora


def pingora(peer):
    origin, ports = peer.bench.origin, peer.ports
    words = [ports["plain"], ports["tls"], peer.bench.cert, peer.bench.key, origin.blue, origin.green, ports["h2"], origin.h2_blue, origin.h2_green, ports["grpc"]]
    return [peer.bench.binaries["pingora"]] + [str(word) for word in words], {"RUST_LOG": "error"}


FLIPS = {"switchback": flip_switchback, "haproxy": flip_haproxy, "nginx": flip_nginx, "envoy": flip_envoy}


def flip(peer, to):
    return FLIPS[peer.name](peer, to)


