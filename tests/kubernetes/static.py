"""What the rendered manifests say, without running anything."""

import copy
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from harness import ROOT, Certificate, binary
from manifests import FOLDER, FULL, TOOLS, chart, kustomize, run

# The oldest version that the chart takes, and the latest one whose schema is published in the package.
VERSIONS = ("1.30", "1.37")

SECRETS = "/run/secrets/switchback/"

# The section that the chart makes of the values for a fleet with a client certificate.
FLEET_VALUES = ("fleet.enabled=true", "fleet.etcd={https://etcd-0.etcd:2379,https://etcd-1.etcd:2379}", "fleet.secret=switchback-etcd")
FLEET = {
    "etcd": ["https://etcd-0.etcd:2379", "https://etcd-1.etcd:2379"], "prefix": "switchback",
    "ca": "/run/secrets/etcd/ca.crt", "cert": "/run/secrets/etcd/tls.crt", "key": "/run/secrets/etcd/tls.key",
}


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def differs_from_its_schema(document):
    """The first thing that the published schema of an object does not have, or None."""
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return differs_from_its_model(document)
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            return f"{version}: {'.'.join(map(str, wrong.path))}: {wrong.message}"
    return None


def differs_from_its_model(document):
    """The models are made from the operator's definitions. They drop what they do not know, so what is left is compared."""
    model = getattr(operator, document["kind"])
    try:
        read = model.model_validate(document)
    except ValueError as wrong:
        return str(wrong)
    left = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return None if left == document else f"{document['kind']} has fields that its definition does not have"


def every_object_is_what_its_schema_says(all_manifests):
    for name, manifests in all_manifests.items():
        wrong = {f"{one['kind']} {one['metadata']['name']}": differs_from_its_schema(one) for one in manifests.objects}
        same((name, {key: said for key, said in wrong.items() if said}), (name, {}))
    return f"{sum(len(one.objects) for one in all_manifests.values())} objects"


def the_schemas_find_mistakes(all_manifests):
    """A key that nobody knows, anywhere in an object, and a value of another type are found."""
    seen = set()
    for document in all_manifests["example"].objects + all_manifests["chart, everything"].objects:
        if document["kind"] in seen or document["kind"] in ("ConfigMap", "ServiceAccount", "Namespace"):
            continue
        seen.add(document["kind"])
        wrong = copy.deepcopy(document)
        inside = wrong["spec"] if "spec" in wrong else wrong["rules"][0] if "rules" in wrong else wrong["roleRef"]
        inside["replicsa"] = 2
        assert differs_from_its_schema(wrong), f"{document['kind']} takes any key"
    assert {"StatefulSet", "ServiceMonitor", "PrometheusRule", "PodDisruptionBudget"} <= seen, seen


def chart_and_kustomize_make_the_same_objects(all_manifests):
    """The chart as it comes, with each part that can be switched on, and base with the same component."""

    def plain(manifests):
        found = {}
        for one in manifests.objects:
            one = copy.deepcopy(one)
            labels = one["metadata"].get("labels", {})
            for label in ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"):
                labels.pop(label, None)
            if one["kind"] == "ConfigMap":
                one["data"] = {key: tomllib.loads(text) for key, text in one["data"].items()}
            if one["kind"] == "StatefulSet":
                spec = one["spec"]["template"]["spec"]
                spec["containers"][0].pop("imagePullPolicy", None)
                spec["volumes"].sort(key=lambda volume: volume["name"])
                spec["containers"][0]["volumeMounts"].sort(key=lambda mount: mount["name"])
                # The component does not know whether there is a certificate; the chart is told.
                for volume in spec["volumes"]:
                    volume.get("secret", {}).pop("optional", None)
            found[one["kind"], one["metadata"]["name"]] = one
        return found

    # The sections of the file that no component can add, and the chart writes.
    sections = {"endpoint-slices": ("discovery", {"kubernetes": {}}), "fleet": ("fleet", FLEET)}
    for component in ("monitoring", "endpoint-slices", "fleet"):
        of_chart, of_base = plain(all_manifests[f"chart, {component}"]), plain(all_manifests[f"base, {component}"])
        same(sorted(of_chart), sorted(of_base))
        if component in sections:
            section, content = sections[component]
            same(of_chart["ConfigMap", "switchback"]["data"]["switchback.toml"].pop(section), content)
        for key, one in of_chart.items():
            same(one, of_base[key])


def the_alert_rules_have_one_source(all_manifests):
    source = yaml.safe_load((ROOT / "docker/alerts.yml").read_text())
    for name in ("example", "chart, monitoring"):
        same(all_manifests[name].one("PrometheusRule")["spec"], source)
    same((FOLDER / "chart/alerts.yml").read_text(), (ROOT / "docker/alerts.yml").read_text())


def the_alerts_find_their_job(all_manifests):
    """`job` is the label of the Service that the monitor names, and the monitor finds exactly one Service."""
    for name in ("example", "chart, monitoring"):
        manifests = all_manifests[name]
        monitor = manifests.one("ServiceMonitor")["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        (service,) = [one for one in manifests.of("Service") if wanted <= one["metadata"]["labels"].items()]
        same(service["metadata"]["labels"][monitor["jobLabel"]], "switchback")
        assert 'up{job="switchback"}' in (ROOT / "docker/alerts.yml").read_text()
        (endpoint,) = monitor["endpoints"]
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]], service


def pod_and_proxy_have_the_same_grace(all_manifests):
    found = {}
    for name, manifests in all_manifests.items():
        seconds = manifests.pod()["spec"]["terminationGracePeriodSeconds"]
        same((name, manifests.environment()["TERMINATION_GRACE_PERIOD_SECONDS"]), (name, str(seconds)))
        found[name] = seconds
    same(found["chart, everything"], 1860)
    assert len(set(found.values())) > 1, found


def a_load_balancer_learns_of_the_end_before_the_probe_does(all_manifests):
    """With `Local`, a node sends to its ending pod while that passes its probe."""
    checked = 0
    for name, manifests in all_manifests.items():
        if manifests.one("Service")["spec"].get("externalTrafficPolicy") != "Local":
            continue
        probe = manifests.container()["readinessProbe"]
        shutdown = tomllib.loads(manifests.config())["shutdown"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= int(shutdown["not_ready_for"].removesuffix("s")), name
        checked += 1
    same(checked, 3)


def every_configuration_passes_the_check(all_manifests):
    for name, manifests in all_manifests.items():
        with tempfile.TemporaryDirectory() as path:
            certificate = Certificate(Path(path, "etcd"))
            text = manifests.config()
            for written in (SECRETS, "/run/secrets/etcd/"):
                text = text.replace(written, path + "/")
            text = text.replace("/var/lib/switchback", path)
            same((name, path in text), (name, True))
            Path(path, "operator-token").write_text("0123456789abcdef" * 4)
            Path(path, "session-key").write_text("0123456789abcdef" * 4)
            for file, content in (("ca.crt", certificate.ca), ("tls.crt", certificate.cert), ("tls.key", certificate.key)):
                shutil.copy(content, Path(path, file))
            Path(path, "switchback.toml").write_text(text)
            run("env", "TERMINATION_GRACE_PERIOD_SECONDS=" + manifests.environment()["TERMINATION_GRACE_PERIOD_SECONDS"],
                binary(), "check", Path(path, "switchback.toml"))


def the_pod_has_no_rights_but_to_watch_endpoint_slices(all_manifests):
    watching = set()
    for name, manifests in all_manifests.items():
        roles = [one for one in manifests.of("Role") if one["metadata"]["name"].endswith("-endpoint-slices")]
        for role in roles:
            same(role["rules"], [
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
            ])
        account = manifests.pod()["spec"]["serviceAccountName"]
        bindings = [one for one in manifests.of("RoleBinding") if account in [to["name"] for to in one["subjects"]]]
        places = [(one["metadata"].get("namespace"), one["metadata"]["name"]) for one in roles]
        same([(one["metadata"].get("namespace"), one["roleRef"]["name"]) for one in bindings], places)
        same([one for one in manifests.objects if one["kind"].startswith("Cluster")], [])
        has_token = bool(roles)
        watching |= {name} if has_token else set()
        for owner in manifests.of("StatefulSet") + manifests.of("Deployment"):
            spec = owner["spec"]["template"]["spec"]
            security = spec["securityContext"]
            may = has_token and manifests.app(owner) == "switchback"
            same((spec["automountServiceAccountToken"], security["runAsNonRoot"], security["runAsUser"]), (may, True, 65532))
            same(security["seccompProfile"], {"type": "RuntimeDefault"})
            for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
                assert key not in spec, key
            for container in spec["containers"]:
                same(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
                })
                assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], container


    same(watching, {"base, endpoint-slices", "chart, endpoint-slices", "chart, everything"})
    namespaces = [one["metadata"]["namespace"] for one in all_manifests["chart, everything"].of("Role")]
    same(namespaces, ["agents", "tools"])


def nothing_but_traffic_and_metrics_is_open(all_manifests):
    for name, manifests in all_manifests.items():
        config, ports = tomllib.loads(manifests.config()), manifests.ports()
        listening = {"http": config["listeners"][0]["address"], "observe": config["observe"]["address"]}
        same((name, listening), (name, {key: f"0.0.0.0:{port}" for key, port in ports.items()}))
        assert config["admin"]["address"].startswith("127.0.0.1:"), config["admin"]
        same([one["role"] for one in config["admin"]["tokens"]], ["operator"])
        (pods,) = [one for one in manifests.of("Service") if one["metadata"]["name"].startswith("switchback-pods")
                   or one["metadata"]["name"].endswith("-pods")]
        traffic = [one for one in manifests.of("Service") if one["spec"]["selector"] == pods["spec"]["selector"] and one is not pods]
        same([port["targetPort"] for one in traffic for port in one["spec"]["ports"]], ["http"])
        same([port["targetPort"] for port in pods["spec"]["ports"]], ["observe"])
        for policy in policies(manifests):
            to_all, monitoring = policy["spec"]["ingress"]
            same((to_all, monitoring["ports"]), ({"ports": [{"port": "http"}]}, [{"port": "observe"}]))
            assert monitoring["from"], policy


def selectors_find_the_pods_and_no_others(all_manifests):
    for name, manifests in all_manifests.items():
        labels = manifests.pod()["metadata"]["labels"].items()
        others = [one["spec"]["template"]["metadata"]["labels"].items() for one in manifests.of("Deployment")]
        own = manifests.proxies()["metadata"]["name"]
        selectors = [manifests.one("PodDisruptionBudget", own)["spec"]["selector"]["matchLabels"]]
        selectors += [one["spec"]["podSelector"]["matchLabels"] for one in policies(manifests)]
        selectors += [one["labelSelector"]["matchLabels"] for one in manifests.pod()["spec"]["topologySpreadConstraints"]]
        selectors += [manifests.proxies()["spec"]["selector"]["matchLabels"]]
        for selector in selectors:
            assert len(selector) == 2 and selector.items() <= labels, (name, selector)
            assert not any(selector.items() <= other for other in others), (name, selector)
    # Each sample agent is found by its own Service, whose name is the endpoint of its release, and by its own budget.
    example = all_manifests["example"]
    (only_from_proxies,) = example.one("NetworkPolicy", "chat")["spec"]["ingress"]
    (proxies,) = [one["podSelector"]["matchLabels"].items() for one in only_from_proxies["from"]]
    assert proxies <= example.pod()["metadata"]["labels"].items(), proxies
    for release, spec in tomllib.loads(example.config())["releases"].items():
        service = example.one("Service", re.match(r"http://([^:]+):9000$", spec["endpoints"][0])[1])["spec"]
        found = [one["metadata"]["name"] for one in example.of("Deployment")
                 if service["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()]
        same((found, service["clusterIP"]), ([f"chat-{release}"], "None"))
        same(example.one("PodDisruptionBudget", f"chat-{release}")["spec"]["selector"]["matchLabels"], service["selector"])


def policies(manifests):
    """Those of the proxies; the examples have some of the agents and of etcd as well."""
    return [one for one in manifests.of("NetworkPolicy") if one["metadata"]["name"] not in ("chat", "etcd")]


def the_example_of_a_fleet_is_the_example_with_an_etcd(all_manifests):
    fleet, example = all_manifests["example-fleet"], all_manifests["example"]
    config = tomllib.loads(fleet.config())
    section = config.pop("fleet")
    same(config, tomllib.loads(example.config()))
    # Each node has the name of its pod.
    same(sorted(section), ["etcd"])
    same(set(example.by_name) - set(fleet.by_name), set())
    etcd = fleet.one("StatefulSet", "etcd")["spec"]
    same(section["etcd"], [f"http://etcd-{number}.{etcd['serviceName']}:2379" for number in range(etcd["replicas"])])
    service = fleet.one("Service", etcd["serviceName"])["spec"]
    same((service["clusterIP"], service["publishNotReadyAddresses"]), ("None", True))
    for selector in (service["selector"], etcd["selector"]["matchLabels"], *(fleet.one(kind, "etcd")["spec"][key]["matchLabels"]
                     for kind, key in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")))):
        same(selector, etcd["template"]["metadata"]["labels"])
    (container,) = etcd["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    same(ports, {one["name"]: one["port"] for one in service["ports"]})
    members = ",".join(f"etcd-{number}=http://etcd-{number}.etcd:{ports['peer']}" for number in range(etcd["replicas"]))
    assert f"--initial-cluster={members}" in container["args"], container["args"]
    names = [f"switchback-{number}" for number in range(fleet.proxies()["spec"]["replicas"])]
    same([rule["resourceNames"] for rule in fleet.one("Role", "switchback-operator")["rules"]], [names] * 2)
    same(len(names), 3)


def the_way_to_etcd_is_open_for_proxies_alone(all_manifests):
    fleet = all_manifests["example-fleet"]
    proxies, members = fleet.one("NetworkPolicy", "etcd")["spec"]["ingress"]
    (source,) = proxies["from"]
    same(proxies["ports"], [{"port": "client"}])
    assert source["podSelector"]["matchLabels"].items() <= fleet.pod()["metadata"]["labels"].items(), source
    same(members["from"], [{"podSelector": {"matchLabels": fleet.one("StatefulSet", "etcd")["spec"]["selector"]["matchLabels"]}}])
    for name, manifests in all_manifests.items():
        same((name, {kind for policy in manifests.of("NetworkPolicy") for kind in policy["spec"]["policyTypes"]} - {"Ingress"}), (name, set()))


def the_files_of_a_fleet_are_mounted(all_manifests):
    """Where a configuration names a client certificate, its folder is that of a Secret."""
    seen = []
    for name, manifests in all_manifests.items():
        section = tomllib.loads(manifests.config()).get("fleet", {})
        same((name, "node" in section), (name, False))
        mounts = {one["mountPath"]: one["name"] for one in manifests.container()["volumeMounts"]}
        volumes = {one["name"]: one for one in manifests.pod()["spec"]["volumes"]}
        for key in ("ca", "cert", "key"):
            if key in section:
                volume = volumes[mounts[str(Path(section[key]).parent)]]
                seen.append((name, volume["secret"]["secretName"]))
    same(sorted(set(seen)), [("chart, everything", "etcd-client"), ("chart, fleet", "switchback-etcd")])
    section = tomllib.loads(all_manifests["chart, everything"].config())["fleet"]
    same((section["etcd"], section["prefix"]), (["https://one.etcd:2379", "https://two.etcd:2379"], "east"))
    bare = chart(*(word for value in FLEET_VALUES[:2] for word in ("--set", value)))
    same(sorted(tomllib.loads(bare.config())["fleet"]), ["etcd", "prefix"])
    same([one["name"] for one in bare.pod()["spec"]["volumes"]], ["config", "secret"])


def two_releases_of_the_chart_share_nothing(all_manifests):
    one, two = chart(name="east"), chart(name="west")
    same(set(one.by_name) & set(two.by_name), set())
    for kind, _ in one.by_name:
        assert (kind, "east-switchback") in one.by_name, kind
    assert not set(one.pod()["metadata"]["labels"].items()) >= set(two.proxies()["spec"]["selector"]["matchLabels"].items())


def wrong_values_are_refused(all_manifests):
    for wrong in ("replicas=0", "service.type=Loadbalancer", "notReadyFor=10", "replica=2", "terminationGracePeriodSeconds=10",
                  "table=", "fleet.enabled=true", "fleet.etcd={etcd:2379}", "fleet.etcd={https://etcd:2379/v3}", "fleet.prefix=a/b"):
        said = chart("--set", wrong, status=1)
        assert "values don't meet the specifications" in said, (wrong, said)


def every_value_is_used(all_manifests):
    """With every value set to another one, each of them shows."""
    defaults = yaml.safe_load((FOLDER / "chart/values.yaml").read_text())
    values = yaml.safe_load(FULL)
    same(sorted(values), sorted(defaults))
    before = yaml.safe_dump(all_manifests["chart, monitoring"].objects)
    for key, value in values.items():
        if key == "networkPolicy":
            value = {"monitoringNamespace": "other"}
        after = chart("--set", "monitoring.enabled=true", values=yaml.safe_dump({key: value}))
        assert yaml.safe_dump(after.objects) != before, f"`{key}` changes nothing"
    assert not all_manifests["chart, everything"].of("NetworkPolicy")


def versions_are_those_of_the_program(all_manifests):
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    about = yaml.safe_load((FOLDER / "chart/Chart.yaml").read_text())
    same((about["version"], about["appVersion"]), (version, version))
    for name in ("base", "chart", "example", "example-fleet"):
        same(all_manifests[name].container()["image"].rpartition(":")[2], version)


def helm_finds_nothing_to_complain_about(all_manifests):
    run(TOOLS / "helm", "lint", "--strict", FOLDER / "chart")


def load():
    def with_component(name):
        # kustomize reads only files below the folder of each kustomization, so the combination stands beside them.
        with tempfile.TemporaryDirectory(dir=FOLDER) as path:
            Path(path, "kustomization.yaml").write_text(f"resources: [../base]\ncomponents: [../{name}]\n")
            return kustomize(path)

    return {
        "base": kustomize(FOLDER / "base"),
        "base, monitoring": with_component("monitoring"),
        "base, endpoint-slices": with_component("endpoint-slices"),
        "base, fleet": with_component("fleet"),
        "example": kustomize(FOLDER / "example"),
        "example-fleet": kustomize(FOLDER / "example-fleet"),
        "chart": chart(),
        "chart, monitoring": chart("--set", "monitoring.enabled=true"),
        "chart, endpoint-slices": chart("--set", "endpointSlices.enabled=true"),
        "chart, fleet": chart(*(word for value in FLEET_VALUES for word in ("--set", value))),
        "chart, everything": chart(values=FULL),
    }


CHECKS = (
    every_object_is_what_its_schema_says, the_schemas_find_mistakes, chart_and_kustomize_make_the_same_objects,
    the_alert_rules_have_one_source, the_alerts_find_their_job, pod_and_proxy_have_the_same_grace,
    a_load_balancer_learns_of_the_end_before_the_probe_does, every_configuration_passes_the_check,
    the_pod_has_no_rights_but_to_watch_endpoint_slices,
    nothing_but_traffic_and_metrics_is_open, selectors_find_the_pods_and_no_others, the_example_of_a_fleet_is_the_example_with_an_etcd,
    the_way_to_etcd_is_open_for_proxies_alone, the_files_of_a_fleet_are_mounted, two_releases_of_the_chart_share_nothing,
    wrong_values_are_refused, every_value_is_used, versions_are_those_of_the_program, helm_finds_nothing_to_complain_about,
)
