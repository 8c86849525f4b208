"""Machines with a real systemd: this one's own system, booted in containers (`systemd-nspawn`) with files on top."""

import contextlib
import os
import pathlib
import re
import subprocess

from debian import AS_ROOT
from harness import wait_until
from world import run

# What the container runs beside the service: nothing that the machine has for itself.
NO_SERVICES = ["apt-daily.timer", "apt-daily-upgrade.timer", "man-db.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-timesyncd.service"]

# Runs a command in a group of processes of its own, in each hierarchy that systemd uses: it takes the group that it is
# started in for its own, whoever else is there.
APART = 'for group in "$@"; do shift; [ "$group" != -- ] || break; mkdir -p "$group" && echo $$ > "$group/cgroup.procs"; done; exec "$@"'


def own_groups(name):
    """Folders of a group below this process's, in the hierarchy of systemd and in that of version 2."""
    here = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        here[controllers] = path.strip("/")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        controllers = "" if kind == "cgroup2" else "name=systemd" if kind == "cgroup" and "name=systemd" in options.split(",") else None
        if controllers in here:
            yield pathlib.Path(folder) / here[controllers] / name


class Machine:
    """A booted system. Its files are those of this machine, and what it writes is in memory and gone with it."""

    def __init__(self, path, name=None, network=None, files=()):
        """Begins to boot it. Without a network, a namespace's, it has its loopback alone; one with a name may have others
        beside it. `files` are there before it boots."""
        self.path, self.root, self.name, self.leader = path, path / "root", name, None
        self.log = path.parent / f"{path.name}.log"
        self.groups = list(own_groups(f"test-{os.getpid()}-{name}")) if name else []
        run([*AS_ROOT, "mount", "-t", "tmpfs", "machine", str(path)])
        run([*AS_ROOT, "mkdir", *(str(path / one) for one in ("upper", "work", "root"))])
        layers = f"lowerdir=/,upperdir={path / 'upper'},workdir={path / 'work'}"
        run([*AS_ROOT, "mount", "-t", "overlay", "-o", layers, "machine", str(self.root)])
        for place, text in dict(files).items():
            run([*AS_ROOT, "sh", "-c", 'printf %s "$2" > "$1"', "sh", str(self.root / place), text])
        masks = [f"systemd.mask={service}" for service in NO_SERVICES]
        apart = ["sh", "-c", APART, "sh", *map(str, self.groups), "--"]
        place = [f"--network-namespace-path={network}"] if network else ["--private-network"]
        names = [f"--machine={name}", f"--hostname={name}"] if name else []
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", *place, *names, f"--directory={self.root}"]
        with self.log.open("w") as log:
            self.child = subprocess.Popen([*AS_ROOT, *apart, *command, "--boot", "systemd.unit=basic.target", *masks],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def booted(self):
        self.leader = wait_until("booted", self.find_leader, seconds=30)
        wait_until("basic.target", lambda: self.ask("systemctl", "is-active", "basic.target") == "active", seconds=60)
        return self

    def find_leader(self):
        """The process that is the first one in there: the one whose own number in the innermost namespace is 1."""
        for child in descendants(self.child.pid):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{child}/status").read_text()
                if re.search(r"^NSpid:\s.*\s1$", status, re.M) and "systemd" in status:
                    return child
        return None

    def command(self, *words):
        return [*AS_ROOT, "nsenter", f"--target={self.leader}", "--all", *words]

    def run(self, *words):
        return run(self.command(*words))

    def ask(self, *words):
        """What a command says, however it ends."""
        return subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.strip()

    def fails(self, *words):
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode != 0, f"{words} succeeded"
        return done.stdout + done.stderr

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", path, text)

    def copy(self, source, target):
        with source.open("rb") as content:
            subprocess.run(self.command("sh", "-c", 'cat > "$1"', "sh", target), stdin=content, check=True)

    def show(self, name, unit="switchback"):
        return self.ask("systemctl", "show", "--value", "--property", name, unit)

    def answer(self, port=8080, path="/"):
        return self.ask("curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}", f"http://127.0.0.1:{port}{path}")

    def close(self):
        if self.leader:
            self.run("systemctl", "--force", "--force", "poweroff")
        else:
            self.child.terminate()
        self.child.wait(30)
        run([*AS_ROOT, "umount", str(self.root)])
        run([*AS_ROOT, "umount", str(self.path)])
        for group in self.groups:
            run([*AS_ROOT, "find", str(group), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"])


def descendants(pid):
    """The children of a process, theirs, and so on."""
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from descendants(int(child))
