"""The image without Docker: the same commands, from the same files, as an unprivileged user."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import yaml
from harness import ROOT, Process, Suite, folder, free_port, wait_until

# The user `nonroot` of the base image.
NONROOT = 65532

# The libraries of the base image: glibc and libgcc.
LIBRARIES = {"libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"}

MAX_BINARY_BYTES = 36 << 20


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


class Dockerfile:
    """The instructions of docker/Dockerfile, those of the first stage apart."""

    def __init__(self):
        text = (ROOT / "docker/Dockerfile").read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        stages = []
        for line in lines:
            if line.startswith("FROM "):
                stages.append([])
            stages[-1].append(tuple(line.split(None, 1)))
        self.build, self.final = stages

    def commands(self):
        return [text for word, text in self.build if word == "RUN"]

    def copied(self):
        """The files that are copied from the repository into either stage."""
        found = []
        for word, text in self.build + self.final:
            if word == "COPY" and "--from" not in text:
                found += text.split()[:-1]
        return found

    def one(self, word):
        (text,) = [text for found, text in self.final if found == word]
        return text

    def command(self):
        return json.loads(self.one("ENTRYPOINT")) + json.loads(self.one("CMD"))

    def health(self):
        return json.loads(self.one("HEALTHCHECK").split("CMD", 1)[1])


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def steps_of_the_build(dockerfile):
    for command in dockerfile.commands():
        run(["sh", "-c", command], cwd=ROOT)


def sources_exist(dockerfile):
    missing = [path for path in dockerfile.copied() if not (ROOT / path).exists()]
    same(missing, [])
    ignored = (ROOT / ".dockerignore").read_text().split()
    same([path for path in dockerfile.copied() if "!" + path.split("/")[0] not in ignored], [])


def everything_that_is_compiled_is_copied(dockerfile):
    """The compiler's own list of the files that it read, compared with those of the first stage."""
    text = (ROOT / "target/release/switchback.d").read_text()
    read = [pathlib.Path(path).relative_to(ROOT) for path in text.split(":", 1)[1].split() if path.startswith(str(ROOT))]
    assert read, text
    copied = [pathlib.Path(path) for path in dockerfile.copied()]
    same([str(path) for path in read if not any(path.is_relative_to(top) for top in copied)], [])


def the_manifest_holds_without_the_rest(dockerfile):
    with folder() as path:
        for name in dockerfile.copied():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
        found = json.loads(run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"], cwd=path).splitlines()[-1])
        assert "switchback" in [target["name"] for package in found["packages"] for target in package["targets"]]


def libraries_are_in_the_base_image(dockerfile):
    said = run(["ldd", str(ROOT / "target/image/switchback")])
    needed = {match for match in re.findall(r"^\s*(\S+\.so\S*) =>", said, re.M)}
    same(needed - LIBRARIES, set())


def the_binary_is_small(dockerfile):
    size = (ROOT / "target/image/switchback").stat().st_size
    assert size <= MAX_BINARY_BYTES, size
    return f"{size / 2**20:.1f} MiB"


def as_nonroot():
    return {"user": NONROOT, "group": NONROOT, "extra_groups": []} if os.geteuid() == 0 else {}


def runs_without_rights(dockerfile):
    """The image's entry point, its configuration with other ports, its health check, and a clean end."""
    with folder() as path:
        path.chmod(0o755)
        history, binary, config = path / "history", path / "switchback", path / "switchback.toml"
        shutil.copy(ROOT / "target/image/switchback", binary)
        history.mkdir()
        if os.geteuid() == 0:
            os.chown(history, NONROOT, NONROOT)
        text = (ROOT / "docker/switchback.toml").read_text()
        ports = {port: free_port() for port in ("8080", "9900", "9901")}
        for port, free in ports.items():
            text, count = re.subn(f'(address = ")[0-9.]+:{port}"', rf'\g<1>127.0.0.1:{free}"', text)
            same((port, count), (port, 1))
        config.write_text(text.replace("/var/lib/switchback", str(history)).replace("http://blue", "http://127.0.0.1").replace("http://green", "http://localhost"))
        config.chmod(0o644)
        environment = {"PATH": str(path), "SWITCHBACK_ADMIN": f"http://127.0.0.1:{ports['9900']}"}
        options = {"env": environment, "cwd": "/", **as_nonroot()}
        health = [str(binary), *dockerfile.health()[1:]]
        assert subprocess.run(health, capture_output=True, **options).returncode != 0, "healthy before it runs"
        same(dockerfile.command()[:1], dockerfile.health()[:1])
        command = [str(binary), *dockerfile.command()[1:]]
        command = [str(config) if part.endswith(".toml") else part for part in command]
        server = Process("switchback", command, path, **options)
        try:
            server.wait_for_port(ports["8080"])
            # After the first listener is open, the status may have no route for a moment.
            wait_until("healthy", lambda: b"chat" in subprocess.run(health, capture_output=True, **options).stdout)
            run(health, **options)
        finally:
            same(server.stop(), 0)


def compose():
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text())


def compose_refers_to_what_is_there():
    services = compose()["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "docker" / source).exists(), f"{name}: {source}"
        build = service.get("build")
        if build:
            context = (ROOT / "docker" / build["context"]).resolve()
            same(context, ROOT)
            assert (context / build["dockerfile"]).exists(), build
        for other in service.get("depends_on", []):
            assert other in services, f"{name}: {other}"


def compose_names_agree_with_the_configuration():
    services = compose()["services"]
    table = (ROOT / "docker/switchback.toml").read_text()
    hosts = set(re.findall(r'"http://([a-z]+):\d+"', table))
    same(hosts - set(services), set())
    scrape = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())
    (target,) = scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target.split(":")[0] in services, target


def agents_of_compose_answer():
    """The sample agents' own commands, on other ports."""
    for name, service in compose()["services"].items():
        command = service.get("command")
        if not command or service["image"] != "switchback":
            continue
        with folder() as path:
            port = free_port()
            command = [re.sub(r"^0\.0\.0\.0:\d+$", f"127.0.0.1:{port}", part) for part in command]
            agent = Process(name, [str(ROOT / "target/image/switchback"), *command], path)
            try:
                agent.wait_for_port(port)
                for where in ("/healthz", "/"):
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{where}", timeout=5) as answer:
                        body = answer.read().decode()
                assert name in body, body
            finally:
                same(agent.stop(), 0)


def main():
    suite, dockerfile = Suite(), Dockerfile()
    suite.check("steps_of_the_build", steps_of_the_build, dockerfile, seconds=1150)
    for function in (sources_exist, everything_that_is_compiled_is_copied, the_manifest_holds_without_the_rest,
                     libraries_are_in_the_base_image, the_binary_is_small, runs_without_rights):
        suite.check(function.__name__, function, dockerfile)
    suite.check("compose_refers_to_what_is_there", compose_refers_to_what_is_there)
    suite.check("compose_names_agree_with_the_configuration", compose_names_agree_with_the_configuration)
    suite.check("agents_of_compose_answer", agents_of_compose_answer)
    suite.finish()


if __name__ == "__main__":
    main()
