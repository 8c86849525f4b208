"""The objects that docker/kubernetes renders to, and what can be asked of them."""

import os
import subprocess

import yaml
from harness import ROOT

FOLDER = ROOT / "docker/kubernetes"
TOOLS = ROOT / "target/kubernetes"

# Every value of the chart, other than its default.
FULL = """
replicas: 3
image: { repository: registry.example.com/switchback, tag: "1.2.3", pullPolicy: Always, pullSecrets: [{ name: registry }] }
terminationGracePeriodSeconds: 1860
notReadyFor: 30s
workers: 4
secret: other
service:
  { type: LoadBalancer, port: 8000, annotations: { example.com/scheme: internal }, externalTrafficPolicy: Local }
history: { size: 5Gi, storageClass: ssd }
resources: { requests: { cpu: "1", memory: 1Gi }, limits: { memory: 2Gi } }
networkPolicy: { enabled: false, monitoringNamespace: other }
fleet: { enabled: true, etcd: ["https://one.etcd:2379", "https://two.etcd:2379"], prefix: east, secret: etcd-client }
endpointSlices: { enabled: true, namespaces: [agents, tools] }
monitoring: { enabled: true, interval: 30s, labels: { release: prometheus } }
podAnnotations: { example.com/note: "yes" }
priorityClassName: high
nodeSelector: { kubernetes.io/arch: arm64 }
tolerations: [{ key: proxies, operator: Exists }]
affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [
  { weight: 1, preference: { matchExpressions: [{ key: pool, operator: In, values: [front] }] } }] } }
whenUnsatisfiable: DoNotSchedule
settings: |
  [access_log]
  format = "text"
table: |
  [releases.red]
  version = "1"
  endpoints = ["http://red:9000"]
  [[routes]]
  name = "all"
  path_prefix = "/"
  split = { red = 1 }
"""


def run(*command, text=None, status=0):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr if status else done.stdout


class Manifests:
    """Rendered objects, by kind and name."""

    def __init__(self, text):
        self.objects = [one for one in yaml.safe_load_all(text) if one]
        self.by_name = {(one["kind"], one["metadata"]["name"]): one for one in self.objects}
        places = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in self.objects}
        assert len(places) == len(self.objects), "two objects of one name"

    def of(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind, name="switchback"):
        return self.by_name[kind, name]

    def proxies(self):
        """The StatefulSet of the proxies; an etcd may have another one."""
        (one,) = [one for one in self.of("StatefulSet") if self.app(one) == "switchback"]
        return one

    def pod(self):
        return self.proxies()["spec"]["template"]

    @staticmethod
    def app(owner):
        return owner["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]

    def container(self):
        (one,) = self.pod()["spec"]["containers"]
        return one

    def environment(self):
        return {one["name"]: one["value"] for one in self.container()["env"]}

    def config(self):
        volumes = {one["name"]: one for one in self.pod()["spec"]["volumes"]}
        return self.one("ConfigMap", volumes["config"]["configMap"]["name"])["data"]["switchback.toml"]

    def ports(self):
        return {one["name"]: one["containerPort"] for one in self.container()["ports"]}


def kustomize(folder):
    return Manifests(run(TOOLS / "kubectl", "kustomize", folder))


def chart(*arguments, name="switchback", values=None, status=0):
    given = ("--values", "-") if values else ()
    said = run(TOOLS / "helm", "template", name, FOLDER / "chart", *arguments, *given, text=values, status=status)
    return said if status else Manifests(said)
