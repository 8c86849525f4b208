"""The folder of a release: the same bytes each time, a true bill of materials, and changes that are found."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from harness import ROOT
from world import one, run, same


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def the_same_binary_makes_the_same_bytes(made):
    found = digests(made.small_release)
    same(digests(made.make("again", made.small)), found)
    return f"{len(found)} files"


def a_release_has_the_files_of_both_architectures(made):
    """Each with its own program: packaging/verify has compared what is in the files of either one."""
    folder = made.both
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    expected = {"SHA256SUMS"}
    for name, debian in names.items():
        package = f"switchback_{made.version}-1_{debian}.deb"
        expected |= {package, f"switchback-{made.version}-{name}-linux.tar.gz", f"switchback-{made.version}-{name}-linux.cdx.json"}
        same(run(["dpkg-deb", "--field", str(folder / package), "Architecture"]).strip(), debian)
        run(["lintian", "--allow-root", "--tags", "binary-from-other-architecture", "--fail-on", "error", str(folder / package)])
    same(set(digests(folder)), expected)


def the_bill_names_every_crate_that_is_in_the_program(made):
    """The program itself says from which sources its panics are: none is missing, and none is said to only build."""
    text = one(made.release, "*.cdx.json").read_text()
    same(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text), None)
    bill = json.loads(text)
    listed = {f"{part['name']}-{part['version']}" for part in bill["components"] if part["scope"] == "required"}
    found = re.findall(rb"/registry/src/[^/]+/([A-Za-z0-9_.+-]+)/", made.program.read_bytes())
    inside = {name.decode() for name in found}
    assert len(inside) > 40, inside
    same(inside - listed, set())
    for part in bill["components"]:
        assert part["hashes"] and part["licenses"] and part["purl"].startswith("pkg:cargo/"), part
    references = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    same({entry["ref"] for entry in bill["dependencies"]}, references)
    return f"{len(listed)} crates are linked, {len(inside)} are seen, {len(bill['components']) - len(listed)} only build"


def nothing_of_the_tests_is_in_the_bill(made):
    bill = json.loads(one(made.release, "*.cdx.json").read_text())
    listed = {part["name"] for part in bill["components"] if part["scope"] == "required"}
    manifests = [tomllib.loads((ROOT / path).read_text()) for path in ("Cargo.toml", "src/data_plane/Cargo.toml")]
    used = {name for manifest in manifests for name in manifest["dependencies"]}
    same(listed & (set(manifests[0]["dev-dependencies"]) - used - {"http"}), set())


def every_crate_that_is_linked_has_its_licence_in_the_tarball(made):
    texts = run(["tar", "-xzOf", str(one(made.release, "*.tar.gz")), "--wildcards", "*/THIRD-PARTY"])
    for part in json.loads(one(made.release, "*.cdx.json").read_text())["components"]:
        if part["scope"] == "required":
            assert re.search(rf"\b{re.escape(part['name'])} {re.escape(part['version'])}\b", texts), part


def sums(folder):
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests(folder).items()) if name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))


def verify(folder, *arguments):
    environment = os.environ | {"PYTHON": sys.executable}
    command = [str(ROOT / "packaging/verify"), str(folder), *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def a_file_that_was_changed_added_or_exchanged_is_found(made):
    folder = made.path / "changed"

    def change(pattern, how, expected, summed=False):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made.small_release, folder)
        how(next(folder.glob(pattern)))
        if summed:
            sums(folder)
        status, said = verify(folder)
        assert status != 0 and expected in said, said

    def flip(path):
        with open(path, "r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))

    def another(path):
        path.write_text(path.read_text().replace(hashlib.sha256(made.small.read_bytes()).hexdigest(), "0" * 64))

    same(verify(made.small_release)[0], 0)
    change("*.deb", flip, "FAILED")
    change("SHA256SUMS", lambda path: (path.parent / "more").touch(), "does not name exactly")
    change("*.cdx.json", another, "of another program", summed=True)
    change("*.tar.gz", lambda path: path.unlink(), "no tarball", summed=True)
    status, said = verify(made.small_release, "2.2.5")
    assert status != 0 and "later than 2.2.5" in said, said


def workflows_are_those_of_github(made):
    paths = sorted(map(str, (ROOT / ".github/workflows").glob("*.yml")))
    run([str(ROOT / "target/venv/bin/check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *paths])


def the_release_workflow_runs_what_is_there(made):
    """Each script that a step names exists, its shell parts are shell, and the order is build, verify, attest, publish."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    names = {name: [step["name"] for step in job["steps"]] for name, job in jobs.items()}
    for job in jobs.values():
        for step in job["steps"]:
            text = re.sub(r"\$\{\{.*?\}\}", "x", step.get("run", ""))
            run(["bash", "-n", "-c", text])
            for script in re.findall(r"packaging/[a-z.]+", text):
                path = ROOT / script
                assert path.is_dir() or os.access(path, os.X_OK), script
    same(names["build"][-4:], ["release", "verify", "attest", "draft"])
    same((jobs["try"]["needs"], jobs["publish"]["needs"]), ("build", "try"))
    # No token may write but where a step needs it.
    same([name for name, job in jobs.items() if "id-token" in job["permissions"]], ["build"])
    oldest = re.findall(r"packaging/verify release (\S+)", (ROOT / ".github/workflows/release.yml").read_text())
    built = re.findall(r"--target \"\$target\.(\S+)\"", (ROOT / "packaging/build").read_text())
    same(set(oldest), set(built))


# Stands for a program that makes or enters another system: it notes its words.
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
[ "${0##*/}" != mmdebstrap ] || for root; do case $root in */root) mkdir "$root" ;; esac; done
"""


def arm64_is_tried_on_the_debian_of_the_workflow_and_with_the_program_of_the_tarball(made):
    """packaging/try-arm64 with stand-ins for the other system; `cmp` is the command that it gets."""
    path = made.path / "stand-ins"
    path.mkdir()
    for name in ("mmdebstrap", "mount", "systemd-binfmt", "unshare"):
        (path / name).write_text(STAND_IN)
        (path / name).chmod(0o755)
    calls = path / "calls"
    environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}", "CALLS": str(calls)}
    command = 'test -d "$QEMU_LD_PREFIX/release" && cmp "$SWITCHBACK" "$0"'
    run([str(ROOT / "packaging/try-arm64"), str(made.both), "sh", "-c", command, str(made.foreign)], env=environment, cwd=made.path)
    called = calls.read_text()
    image = re.search(r"debian:(\w+)-slim /packaging/try", (ROOT / ".github/workflows/release.yml").read_text())[1]
    assert re.search(rf"^mmdebstrap .*--architectures=arm64 .* {image} \S+ deb \S+ {image} main$", called, re.M), called
    assert re.search(r"^unshare .*chroot \S+ /try /release", called, re.M), called


def scripts_are_shell(made):
    """Those that no test runs as well."""
    for path in sorted((ROOT / "packaging").iterdir()):
        first = path.read_bytes().splitlines()[0] if path.is_file() else b""
        if first.startswith(b"#!"):
            run([first.split(b"/")[-1].split()[-1].decode(), "-n", str(path)])


CHECKS = [
    the_same_binary_makes_the_same_bytes,
    a_release_has_the_files_of_both_architectures,
    the_bill_names_every_crate_that_is_in_the_program,
    nothing_of_the_tests_is_in_the_bill,
    every_crate_that_is_linked_has_its_licence_in_the_tarball,
    a_file_that_was_changed_added_or_exchanged_is_found,
    workflows_are_those_of_github,
    the_release_workflow_runs_what_is_there,
    arm64_is_tried_on_the_debian_of_the_workflow_and_with_the_program_of_the_tarball,
    scripts_are_shell,
]
