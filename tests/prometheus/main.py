"""The split as Prometheus sees it: docker/prometheus.yml and docker/alerts.yml with a real Prometheus and a real proxy."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import httpx
from harness import ROOT, Process, Proxy, Suite, folder, free_port, wait_until
from origins import HttpOrigin, Loop, chat

REQUESTS = 2000


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def promtool(*arguments, stdin=None):
    done = subprocess.run(["promtool", *arguments], input=stdin, stdin=None if stdin else subprocess.DEVNULL, capture_output=True)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


class World:
    def __init__(self, path):
        self.folder, loop = path, Loop()
        self.blue, self.green = HttpOrigin(loop, "blue"), HttpOrigin(loop, "green")
        self.proxy = Proxy(path, chat(self.blue, self.green, (90, 10)))
        self.port = free_port()
        self.prometheus = self.start_prometheus()

    def start_prometheus(self):
        config = (ROOT / "docker/prometheus.yml").read_text()
        config, changed = re.subn(r'"switchback:9901"', f'"127.0.0.1:{self.proxy.observe}"', config)
        same(changed, 1)
        config = config.replace("5s", "500ms")
        (self.folder / "prometheus.yml").write_text(config)
        shutil.copy(ROOT / "docker/alerts.yml", self.folder / "alerts.yml")
        process = Process("prometheus", [
            "prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ], self.folder)
        process.wait_for_port(self.port)
        return process

    def query(self, expression):
        """The vector of an expression: labels without the scrape's own, and the value."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        drop = ("instance", "job", "__name__")
        return {
            tuple(sorted((key, value) for key, value in one["metric"].items() if key not in drop)): float(one["value"][1])
            for one in found
        }

    def scraped(self, expression, wanted):
        """Waits until a scrape has the wanted value, and returns the result."""
        last = {}

        def there():
            last["is"] = self.query(expression)
            return wanted(last["is"])

        try:
            wait_until(expression, there, 15)
        except AssertionError as late:
            raise AssertionError(f"{late}; last: {last.get('is')}") from None
        return last["is"]

    def send(self, count, path="/json"):
        with httpx.Client(trust_env=False, timeout=10) as client:
            return [client.get(f"http://127.0.0.1:{self.proxy.plain}{path}").status_code for _ in range(count)]


def the_split_shows(world):
    same(set(world.send(REQUESTS)), {200})
    by_release = world.scraped(
        "sum by (release) (switchback_requests_total)", lambda found: sum(found.values()) >= REQUESTS
    )
    seen = {dict(labels)["release"]: value for labels, value in by_release.items()}
    same(seen, {"blue": world.blue.requests, "green": world.green.requests})
    # Five standard deviations of a binomial draw around 10 %.
    assert abs(seen["green"] - 0.1 * REQUESTS) < 5 * (REQUESTS * 0.1 * 0.9) ** 0.5, seen
    return f"{seen}"


def weights_and_revision_follow_a_switch(world):
    before = world.scraped("switchback_live_revision", lambda found: found)
    status, receipt = world.proxy.post("/v1/routes/chat/switch", {"to": "green"})
    same(status, 200)
    revision = json.loads(receipt)["revision"]
    assert revision > next(iter(before.values())), (before, receipt)
    world.scraped("switchback_live_revision", lambda found: list(found.values()) == [float(revision)])
    weights = world.query("switchback_split_weight")
    same({dict(labels)["release"]: weight > 0 for labels, weight in weights.items()}, {"blue": False, "green": True})
    green = world.green.requests
    same(set(world.send(100)), {200})
    same(world.green.requests - green, 100)
    same(world.proxy.post("/v1/rollback")[0], 200)
    world.scraped('switchback_split_weight{release="blue"}', lambda found: list(found.values()) == [90.0])


def outcomes_are_distinguished(world):
    for status in (404, 500):
        same(set(world.send(10, f"/status/{status}")), {status})
    total = 'sum by (outcome, code) (switchback_requests_total{code=~"404|500"})'
    found = world.scraped(total, lambda found: sum(found.values()) >= 20)
    same(found, {(("code", "404"), ("outcome", "client_error")): 10.0, (("code", "500"), ("outcome", "failure")): 10.0})


def durations_are_histograms(world):
    counted = world.query("sum(switchback_request_duration_seconds_count)")
    same(counted, world.query("sum(switchback_requests_total)"))
    quantile = world.query("histogram_quantile(0.5, sum by (le) (switchback_request_duration_seconds_bucket))")
    value = next(iter(quantile.values()))
    assert 0 < value < 1, quantile
    return f"p50 {value * 1000:.2f} ms"


def nothing_stays_in_flight(world):
    world.scraped("sum(switchback_requests_in_flight)", lambda found: list(found.values()) == [0.0])


def page(world, port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"accept": "text/plain"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def promtool_checks_metrics(world):
    for port in (world.proxy.observe, world.proxy.admin):
        text = page(world, port)
        same(promtool("check", "metrics", stdin=text), "")
    return f"{len(text)} bytes, {len(re.findall(rb'^# TYPE', text, re.M))} metrics"


def observe_only_reads(world):
    for method, path in (("GET", "/v1/status"), ("POST", "/v1/rollback"), ("POST", "/metrics")):
        with httpx.Client(trust_env=False) as client:
            status = client.request(method, f"http://127.0.0.1:{world.proxy.observe}{path}").status_code
        assert status in (404, 405), (method, path, status)


def no_rule_is_broken(world):
    url = f"http://127.0.0.1:{world.port}/api/v1/rules"
    with urllib.request.urlopen(url, timeout=10) as answer:
        rules = json.load(answer)["data"]["groups"][0]["rules"]
    same([(rule["name"], rule["health"]) for rule in rules if rule["health"] == "err"], [])
    assert len(rules) >= 6, rules


def main():
    suite = Suite()
    def quietly(*arguments):
        promtool(*arguments)

    suite.check("promtool check rules", quietly, "check", "rules", str(ROOT / "docker/alerts.yml"))
    suite.check("promtool check config", quietly, "check", "config", str(ROOT / "docker/prometheus.yml"))
    suite.check("promtool test rules", quietly, "test", "rules", str(ROOT / "tests/prometheus/alerts.yml"))
    with folder() as path:
        world = World(path)
        for function in (the_split_shows, weights_and_revision_follow_a_switch, outcomes_are_distinguished,
                         durations_are_histograms, nothing_stays_in_flight, promtool_checks_metrics, observe_only_reads,
                         no_rule_is_broken):
            suite.check(function.__name__, function, world)
        world.prometheus.stop()
        suite.check("the proxy ends cleanly", lambda: same(world.proxy.stop(), 0))
        suite.finish()


if __name__ == "__main__":
    main()
