"""The exporters of a real proxy, and receivers that refuse whatever their protocol does not allow."""

import datetime
import http.server
import json
import math
import pathlib
import re
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import httpx
from aws_embedded_metrics import validator
from aws_embedded_metrics.storage_resolution import StorageResolution
from harness import Proxy, Suite, folder, free_port, wait_until
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE as CUMULATIVE
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from origins import HttpOrigin, Loop, chat

REQUESTS = 600
# All requests of the suite, with the failures and those after them.
SENT = REQUESTS + 20 + 3 + 50 + 7
NAME = re.compile(r"switchback(\.[a-z0-9_]+)+")
TAG = re.compile(r"[a-z][a-z0-9_]*:[\w:./-]{1,199}")


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


class Datadog:
    """DogStatsD as Datadog's agent reads it, without what some receivers of Datadog do not read."""

    def __init__(self, port):
        self.port, self.lock = port, threading.Lock()
        self.lines, self.metrics, self.events, self.checks, self.wrong = [], [], [], [], []
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        threading.Thread(target=self.receive, args=(self.socket,), daemon=True).start()

    def close(self):
        self.socket.close()

    def receive(self, bound):
        bound.settimeout(0.2)
        while True:
            try:
                payload = bound.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            with self.lock:
                self.read(payload)

    def read(self, payload):
        if len(payload) > 1432:
            self.wrong.append(f"{len(payload)} bytes")
        for line in payload.decode().split("\n"):
            self.lines.append(line)
            try:
                self.read_line(line)
            except (AssertionError, ValueError) as error:
                self.wrong.append(f"{line}: {error!r}")

    def read_line(self, line):
        if line.startswith("_e{"):
            self.events.append(self.event(line))
        elif line.startswith("_sc|"):
            name, status, *rest = line.removeprefix("_sc|").split("|")
            assert status in ("0", "1", "2", "3"), "status"
            self.checks.append((name, int(status), self.tags(rest)))
        else:
            self.metrics.append(self.metric(line))

    def metric(self, line):
        head, kind, *rest = line.split("|")
        name, value = head.split(":")
        assert NAME.fullmatch(name), "name"
        assert kind in ("c", "g", "d"), "type"
        assert math.isfinite(float(value)), "value"
        return name, float(value), kind, self.tags(rest)

    def event(self, line):
        lengths, rest = re.fullmatch(r"_e\{(\d+,\d+)\}:(.*)", line).groups()
        title, text = (int(length) for length in lengths.split(","))
        raw = rest.encode()
        assert title > 0 and raw[title : title + 1] == b"|", "the length of the title"
        assert len(raw) > title + 1 + text and raw[title + 1 + text : title + 2 + text] == b"|", "the length of the text"
        fields = raw[title + 2 + text :].decode().split("|")
        known = [field[:2] in ("d:", "t:", "s:") or field[0] == "#" for field in fields]
        assert all(known), "fields"
        kinds = [field[2:] for field in fields if field.startswith("t:")]
        assert kinds and kinds[0] in ("error", "warning", "info", "success"), "alert type"
        return raw[:title].decode(), kinds[0], self.tags([field for field in fields if field[0] == "#"])

    @staticmethod
    def tags(fields):
        assert len(fields) == 1 and fields[0].startswith("#"), "one list of tags and nothing else"
        tags = fields[0][1:].split(",")
        for tag in tags:
            assert TAG.fullmatch(tag), f"tag {tag}"
        assert len({tag.split(":")[0] for tag in tags}) == len(tags), "a tag comes twice"
        return dict(tag.split(":", 1) for tag in tags)

    def values(self, name, **tags):
        with self.lock:
            found = [one for one in self.metrics if one[0] == name and tags.items() <= one[3].items()]
        return [value for _, value, _, _ in found]


class Cloudwatch:
    """The agent's TCP port: each line is checked by Amazon's library, and by the limits of the format."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.events, self.wrong = [], []
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        while True:
            stream, _ = self.listener.accept()
            with stream.makefile("rb") as lines:
                for line in lines:
                    try:
                        self.events.append(self.read(line))
                    except Exception as error:  # noqa: B902 - whatever it was, the event is wrong
                        self.wrong.append(f"{line!r}: {error!r}")

    def read(self, line):
        assert len(line) <= 1_000_000, "size"

        def refuse(text):
            raise ValueError(text)

        event = json.loads(line, parse_constant=refuse)
        meta = event["_aws"]
        moment = datetime.datetime.fromtimestamp(meta["Timestamp"] / 1000, datetime.timezone.utc)
        validator.validate_timestamp(moment.astimezone().replace(tzinfo=None))
        for directive in meta["CloudWatchMetrics"]:
            validator.validate_namespace(directive["Namespace"])
            dimensions = {name for one in directive["Dimensions"] for name in one}
            for one in directive["Dimensions"]:
                assert 1 <= len(one) <= 30, "dimensions"
                validator.validate_dimension_set({name: event[name] for name in one})
            assert 1 <= len(directive["Metrics"]) <= 100, "metrics"
            for metric in directive["Metrics"]:
                assert metric["Name"] not in dimensions, "a metric is named like a dimension"
                for value in self.values(event[metric["Name"]]):
                    validator.validate_metric(metric["Name"], value, metric["Unit"], StorageResolution.STANDARD, {})
        return event

    @staticmethod
    def values(value):
        if not isinstance(value, dict):
            return [value]
        same(len(value["Values"]), len(value["Counts"]))
        assert 1 <= len(value["Values"]) <= 100, "values"
        same(sum(value["Counts"]), value["Count"])
        assert value["Min"] <= min(value["Values"]) and value["Max"] >= max(value["Values"]), "bounds"
        return [*value["Values"], value["Sum"]]

    def sum(self, name, **members):
        found = [one for one in list(self.events) if members.items() <= one.items() and name in one]
        return sum(one[name]["Count"] if isinstance(one[name], dict) else one[name] for one in found)


class Collector:
    """A collector: OpenTelemetry's own messages, without anything that they do not know."""

    def __init__(self):
        self.lock, self.points, self.spans, self.logs, self.resources, self.wrong = threading.Lock(), [], [], [], [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    with collector.lock:
                        collector.read(self, body)
                except Exception as error:  # noqa: B902 - whatever it was, the request is wrong
                    collector.wrong.append(f"{self.path}: {error!r}")
                answer = ExportMetricsServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, handler, body):
        same(handler.headers["content-type"], "application/x-protobuf")
        assert len(body) < 4 << 20, "size"
        kinds = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/traces": ExportTraceServiceRequest,
                 "/v1/logs": ExportLogsServiceRequest}
        kind = kinds[handler.path]
        request = kind.FromString(body)
        # What was unknown would be left out here.
        known = kind()
        known.CopyFrom(request)
        known.DiscardUnknownFields()
        same(known.SerializeToString(deterministic=True), request.SerializeToString(deterministic=True))
        if kind is ExportLogsServiceRequest:
            for of_resource in request.resource_logs:
                self.resources.append({one.key: one.value.string_value for one in of_resource.resource.attributes})
                for of_scope in of_resource.scope_logs:
                    same(of_scope.scope.name, "switchback")
                    self.logs.extend(of_scope.log_records)
            return
        if kind is ExportTraceServiceRequest:
            for of_resource in request.resource_spans:
                self.resources.append({one.key: one.value.string_value for one in of_resource.resource.attributes})
                for of_scope in of_resource.scope_spans:
                    same(of_scope.scope.name, "switchback")
                    self.spans.extend((span, self.attributes(span)) for span in of_scope.spans)
            return
        for of_resource in request.resource_metrics:
            self.resources.append({one.key: one.value.string_value for one in of_resource.resource.attributes})
            for of_scope in of_resource.scope_metrics:
                same(of_scope.scope.name, "switchback")
                for metric in of_scope.metrics:
                    self.points.extend(self.metric(metric))

    @staticmethod
    def attributes(span):
        """The attributes of a span that is valid by itself."""
        same((len(span.trace_id), len(span.span_id)), (16, 8))
        assert len(span.parent_span_id) in (0, 8) and any(span.trace_id) and any(span.span_id), "ids"
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, "times"
        attributes = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
        same(len(attributes), len(span.attributes))
        kinds = {
            "http.request.method": str, "http.response.status_code": int, "server.address": str, "server.port": int,
            "url.path": str, "url.scheme": str, "url.full": str, "client.address": str, "error.type": str,
            "user_agent.original": str, "network.protocol.version": str, "http.request.resend_count": int,
            "switchback.route": str, "switchback.release": str, "switchback.version": str, "switchback.revision": int,
            "switchback.reason": str, "switchback.request_id": str,
        }
        for name, value in attributes.items():
            same(type(value), kinds[name])
        same(span.status.code == Status.STATUS_CODE_ERROR, "error.type" in attributes)
        return attributes

    @staticmethod
    def metric(metric):
        assert NAME.fullmatch(metric.name) and metric.description, "name"
        assert metric.unit in ("", "s", "By"), "unit"
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        if kind == "sum":
            assert data.is_monotonic, "a counter goes up"
        if kind != "gauge":
            same(data.aggregation_temporality, CUMULATIVE)
        for point in data.data_points:
            labels = {one.key: one.value.string_value for one in point.attributes}
            same(len(labels), len(point.attributes))
            if kind == "histogram":
                same(sum(point.bucket_counts), point.count)
                same(len(point.bucket_counts), len(point.explicit_bounds) + 1)
                same(sorted(point.explicit_bounds), list(point.explicit_bounds))
                value = point.count
            else:
                value = getattr(point, point.WhichOneof("value"))
                assert math.isfinite(value), "value"
            assert kind == "gauge" or 0 < point.start_time_unix_nano < point.time_unix_nano, "times"
            yield metric.name, labels, point.time_unix_nano, point.start_time_unix_nano, value

    def total(self, name, **labels):
        """The sum over the latest points of all series."""
        with self.lock:
            found = [one for one in self.points if one[0] == name and labels.items() <= one[1].items()]
        latest = {tuple(sorted(one[1].items())): one[4] for one in sorted(found, key=lambda one: one[2])}
        return sum(latest.values())

    def starts(self):
        """The starts of each series of counters and histograms."""
        starts = {}
        with self.lock:
            for name, labels, _, start, _ in self.points:
                starts.setdefault((name, *sorted(labels.items())), set()).add(start)
        return starts


class World:
    def __init__(self, path):
        loop = Loop()
        self.blue, self.green = HttpOrigin(loop, "blue"), HttpOrigin(loop, "green")
        self.datadog, self.cloudwatch, self.collector = Datadog(free_port()), Cloudwatch(), Collector()
        self.proxy = Proxy(path, f"""
[datadog]
address = "127.0.0.1:{self.datadog.port}"
env = "test"
version = "7"
tags = ["team:agents"]
interval = "1s"
[cloudwatch]
to = "tcp://127.0.0.1:{self.cloudwatch.port}"
interval = "1s"
[opentelemetry]
endpoint = "http://127.0.0.1:{self.collector.port}"
env = "test"
version = "7"
attributes = {{ "team.name" = "agents" }}
interval = "1s"
events = true
traces = {{ sample = 100, failures = true }}
{chat(self.blue, self.green, (70, 30))}""")

    def send(self, count, path="/json"):
        with httpx.Client(trust_env=False, timeout=10) as client:
            return [client.get(f"http://127.0.0.1:{self.proxy.plain}{path}").status_code for _ in range(count)]

    def exported(self, exporter, result):
        sample = f'switchback_export_values_total{{exporter="{exporter}",result="{result}"}} '
        found = [line for line in self.proxy.get("/metrics")[1].splitlines() if line.startswith(sample)]
        return int(found[0].rsplit(" ", 1)[1]) if found else 0


def counts_are_the_requests_of_each_release(world):
    same(set(world.send(REQUESTS)), {200})
    same(set(world.send(20, "/status/500")), {500})
    total = REQUESTS + 20
    for name in ("switchback.requests", "switchback.request_duration_seconds.count"):
        wait_until(name, lambda name=name: sum(world.datadog.values(name)) >= total)
        same(sum(world.datadog.values(name)), total)
    same(sum(world.datadog.values("switchback.requests", outcome="failure", code="500")), 20)
    for origin, version in ((world.blue, "1.0.0"), (world.green, "2.0.0")):
        tags = {"release": origin.release, "release_version": version, "version": "7", "env": "test", "team": "agents"}
        same(sum(world.datadog.values("switchback.requests", **tags)), origin.requests)
    return f"blue {world.blue.requests}, green {world.green.requests}"


def distributions_have_a_value_for_each_request(world):
    total, name = REQUESTS + 20, "switchback.request_duration_seconds"
    # The datagrams of a flush come one after the other.
    wait_until("all values", lambda: len(world.datadog.values(name)) >= total)
    values = world.datadog.values(name)
    same(len(values), total)
    exact = sum(world.datadog.values("switchback.request_duration_seconds.sum"))
    # Within the widths of their buckets, of which none here is wider than its lower bound times 2.5.
    assert exact / 2.5 <= sum(values) <= 2.5 * exact + 0.001 * len(values), (exact, sum(values))
    return f"sum {exact:.3f} s, of the values {sum(values):.3f} s"


def revisions_and_rollbacks_are_events(world):
    same(world.proxy.post("/v1/routes/chat/switch", {"to": "green"})[0], 200)
    same(world.proxy.post("/v1/rollback")[0], 200)
    wait_until("the rollback", lambda: any(kind == "warning" for _, kind, _ in world.datadog.events))
    causes = [(tags["cause"], kind) for _, kind, tags in world.datadog.events]
    same(causes, [("import", "info"), ("publish", "info"), ("rollback", "warning")])
    return world.datadog.events[-1][0]


def readiness_is_a_service_check(world):
    wait_until("a check", lambda: world.datadog.checks)
    name, status, tags = world.datadog.checks[-1]
    same((name, status, tags["service"]), ("switchback.ready", 0, "switchback"))


def cloudwatch_counts_the_same(world):
    total = REQUESTS + 20
    wait_until("all requests", lambda: world.cloudwatch.sum("Requests", Route="chat") >= total)
    for name in ("Requests", "RequestDuration"):
        same(world.cloudwatch.sum(name, Route="chat"), total)
    same(world.cloudwatch.sum("Failures"), 20)
    for origin in (world.blue, world.green):
        same(world.cloudwatch.sum("Requests", Release=origin.release), origin.requests)
    return f"{len(world.cloudwatch.events)} events"


def a_collector_counts_the_same(world):
    total, collector = REQUESTS + 20, world.collector
    for name in ("switchback.requests", "switchback.request_duration"):
        wait_until(name, lambda name=name: collector.total(name) >= total)
        same(collector.total(name), total)
    same(collector.total("switchback.requests", outcome="failure", code="500"), 20)
    for origin, version in ((world.blue, "1.0.0"), (world.green, "2.0.0")):
        same(collector.total("switchback.requests", release=origin.release, version=version), origin.requests)
    resources = {tuple(sorted(one.items())) for one in collector.resources}
    same(len(resources), 1)
    resource = dict(next(iter(resources)))
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", resource.pop("service.instance.id")), resource
    same(resource, {"service.name": "switchback", "service.version": "7", "deployment.environment.name": "test",
                    "team.name": "agents"})
    same([name for name, starts in collector.starts().items() if len(starts) > 1], [])
    return f"{len(collector.points)} points"


def every_request_is_a_span_with_a_child_towards_its_endpoint(world):
    total = REQUESTS + 20
    wait_until("all spans", lambda: len(world.collector.spans) >= 2 * total)
    with world.collector.lock:
        spans = list(world.collector.spans)
    same(len(spans), 2 * total)
    same(len({span.span_id for span, _ in spans}), len(spans))
    servers = {span.span_id: (span, its) for span, its in spans if span.kind == Span.SPAN_KIND_SERVER}
    clients = [(span, its) for span, its in spans if span.kind == Span.SPAN_KIND_CLIENT]
    same((len(servers), len(clients)), (total, total))
    same(len({span.trace_id for span, _ in servers.values()}), total)
    for span, its in clients:
        server, of_server = servers[span.parent_span_id]
        same(span.trace_id, server.trace_id)
        same(its["switchback.release"], of_server["switchback.release"])
        same(its["url.full"], f"http://{its['server.address']}:{its['server.port']}{of_server['url.path']}")
        assert server.start_time_unix_nano <= span.start_time_unix_nano <= server.end_time_unix_nano, "times"
    for origin in (world.blue, world.green):
        same(sum(its["server.port"] == origin.port for _, its in clients), origin.requests)
    failed = [its for span, its in servers.values() if span.status.code == Status.STATUS_CODE_ERROR]
    same([its["error.type"] for its in failed], ["500"] * 20)
    server, its = next(iter(servers.values()))
    same((server.name, server.parent_span_id, its["client.address"], its["url.scheme"], its["network.protocol.version"]),
         ("GET chat", b"", "127.0.0.1", "http", "1.1"))
    assert its["user_agent.original"].startswith("python-httpx/"), its
    return f"{len(spans)} spans"


def revisions_are_log_records(world):
    def found():
        with world.collector.lock:
            return [one for one in world.collector.logs if one.event_name == "switchback.revision"]

    def is_back(one):
        return any((its.key, its.value.string_value) == ("switchback.cause", "rollback") for its in one.attributes)

    wait_until("the rollback", lambda: any(is_back(one) for one in found()))
    records, seen = found(), []
    for one in records:
        assert 0 < one.time_unix_nano <= one.observed_time_unix_nano, "times"
        seen.append({its.key: its.value.string_value for its in one.attributes})
    revisions = [int(its["switchback.revision"]) for its in seen]
    same(revisions, sorted(set(revisions)))
    back = next(one for one in records if is_back(one))
    same((SeverityNumber.Name(back.severity_number), back.severity_text), ("SEVERITY_NUMBER_WARN", "WARN"))
    assert ": rollback to " in back.body.string_value, back.body
    return f"{len(records)} records"


def a_trace_of_a_client_decides(world):
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    def send(flag, path):
        fields = {"traceparent": f"00-{trace}-{parent}-{flag}", "tracestate": "vendor=value"}
        with httpx.Client(trust_env=False, timeout=10) as client:
            return client.get(f"http://127.0.0.1:{world.proxy.plain}{path}", headers=fields).status_code

    same((send("00", "/json"), send("00", "/status/503"), send("01", "/json")), (200, 503, 200))

    def spans():
        with world.collector.lock:
            found = [(span, its) for span, its in world.collector.spans if span.trace_id.hex() == trace]
        return [one for one in found if one[0].kind == Span.SPAN_KIND_SERVER]

    wait_until("both", lambda: len(spans()) >= 2)
    same([(span.parent_span_id.hex(), span.trace_state, span.flags & 1, its["http.response.status_code"])
          for span, its in spans()], [(parent, "vendor=value", 0, 503), (parent, "vendor=value", 1, 200)])


def an_agent_that_is_gone_costs_values_only(world):
    same(world.exported("datadog", "dropped"), 0)
    world.datadog.close()
    wait_until("drops", lambda: world.exported("datadog", "dropped") > 0)
    same(set(world.send(50)), {200})
    same(world.proxy.post("/v1/routes/chat/switch", {"to": "green"})[0], 200)
    before = len(world.datadog.lines)
    world.datadog.open()
    wait_until("lines again", lambda: len(world.datadog.lines) > before)
    return f"{world.exported('datadog', 'dropped')} dropped"


def no_receiver_has_refused_anything(world):
    same((world.datadog.wrong[:5], world.cloudwatch.wrong[:5], world.collector.wrong[:5]), ([], [], []))
    return f"{len(world.datadog.lines)} lines, {len(world.cloudwatch.events)} events, {len(world.collector.points)} points"


def the_last_flush_comes_at_the_end(world):
    # Two more flushes: what was sent before is counted.
    checks = len(world.datadog.checks)
    wait_until("two flushes", lambda: len(world.datadog.checks) >= checks + 2)
    before = sum(world.datadog.values("switchback.requests"))
    same(set(world.send(7)), {200})
    same(world.proxy.stop(), 0)
    wait_until("the last requests", lambda: sum(world.datadog.values("switchback.requests")) == before + 7)
    wait_until("the last points", lambda: world.collector.total("switchback.requests") == SENT)


def main():
    suite = Suite()
    with folder() as path:
        world = World(path)
        for function in (counts_are_the_requests_of_each_release, distributions_have_a_value_for_each_request,
                         revisions_and_rollbacks_are_events, readiness_is_a_service_check, cloudwatch_counts_the_same,
                         a_collector_counts_the_same, every_request_is_a_span_with_a_child_towards_its_endpoint,
                         revisions_are_log_records, a_trace_of_a_client_decides,
                         an_agent_that_is_gone_costs_values_only, no_receiver_has_refused_anything,
                         the_last_flush_comes_at_the_end):
            suite.check(function.__name__, function, world)
        suite.finish()


if __name__ == "__main__":
    main()
