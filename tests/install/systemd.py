"""The package under a real systemd: the machine's own system, booted in a container, with its own files on top."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from debian import AS_ROOT
from harness import wait_until
from world import one, run, same

# What hangs is found after so long here; the unit says half a minute.
WATCHDOG = 3

# What the container runs beside the service: nothing that the machine has for itself.
NO_SERVICES = ["apt-daily.timer", "apt-daily-upgrade.timer", "man-db.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-timesyncd.service"]


class Machine:
    """A booted system. Its files are those of this machine, and what it writes is in memory and gone with it."""

    def __init__(self, path):
        self.path, self.root = path, path / "root"
        run([*AS_ROOT, "mount", "-t", "tmpfs", "machine", str(path)])
        run([*AS_ROOT, "mkdir", *(str(path / name) for name in ("upper", "work", "root"))])
        layers = f"lowerdir=/,upperdir={path / 'upper'},workdir={path / 'work'}"
        run([*AS_ROOT, "mount", "-t", "overlay", "-o", layers, "machine", str(self.root)])
        masks = [f"systemd.mask={name}" for name in NO_SERVICES]
        self.log = (path.parent / "boot.log").open("w")
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", f"--directory={self.root}"]
        self.child = subprocess.Popen([*AS_ROOT, *command, "--boot", "systemd.unit=basic.target", *masks], stdin=subprocess.DEVNULL,
                                      stdout=self.log, stderr=self.log)
        self.leader = wait_until("booted", self.find_leader, seconds=30)
        wait_until("basic.target", lambda: self.ask("systemctl", "is-active", "basic.target") == "active", seconds=60)

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
        self.run("systemctl", "--force", "--force", "poweroff")
        self.child.wait(30)
        self.log.close()
        run([*AS_ROOT, "umount", str(self.root)])
        run([*AS_ROOT, "umount", str(self.path)])


def descendants(pid):
    """The children of a process, theirs, and so on."""
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


@contextlib.contextmanager
def machine():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "machine"
        path.mkdir()
        made = Machine(path)
        try:
            yield made
        except BaseException as error:
            error.add_note(made.ask("systemctl", "status", "--no-pager", "--full", "--lines=20", "switchback"))
            raise
        finally:
            made.close()


# Requests one after the other, each on a connection of its own, until the file is there; what each was answered with.
TRAFFIC = 'rm -f /run/over; until [ -e /run/over ]; do curl -s -m 5 -o /dev/null -w "%{http_code}\\n" http://127.0.0.1:8080/; done'


class Traffic:
    """Requests until the end of the block, and a few more; their answers."""

    def __init__(self, machine):
        self.machine, self.answers = machine, []
        self.sender = subprocess.Popen(machine.command("sh", "-c", TRAFFIC), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=lambda: self.answers.extend(line.strip() for line in self.sender.stdout))

    def __enter__(self):
        self.reader.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_):
        self.wait_for_more()
        self.machine.write("/run/over", "")
        self.sender.wait(20)
        self.reader.join()

    def wait_for_more(self):
        sent = len(self.answers)
        wait_until("traffic", lambda: len(self.answers) >= sent + 10, seconds=30)


def all_are_well(traffic):
    same(set(traffic.answers), {"200"})
    return len(traffic.answers)


def install(machine, made):
    machine.copy(one(made.release, "*.deb"), "/root/switchback.deb")
    machine.run("dpkg", "-i", "/root/switchback.deb")
    same(machine.show("ActiveState"), "inactive")
    machine.write("/etc/systemd/system/switchback.service.d/test.conf", f"[Service]\nWatchdogSec={WATCHDOG}s\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemd-run", "--quiet", "--unit=agent", "switchback", "agent", "--name", "blue", "--label", "1.0.0", "--address", "127.0.0.1:9101")
    wait_until("the agent", lambda: machine.answer(9101) == "200")


def start(machine):
    """`systemctl start` comes back once the proxy has said that it is ready."""
    machine.run("systemctl", "start", "switchback")
    same(machine.show("ActiveState"), "active")
    same(machine.answer(9901, "/readyz"), "200")
    machine.run("switchback", "release", "set", "blue", "--version", "1.0.0", "--endpoint", "http://127.0.0.1:9101")
    machine.run("switchback", "route", "set", "chat", "--path-prefix", "/", "--split", "blue=100")
    same(machine.answer(), "200")
    same(machine.run("stat", "--format=%U", f"/proc/{machine.show('MainPID')}"), "switchback\n")


def reload(machine):
    """A file with a problem is refused by the reload, and the service goes on; a good one is live."""
    path = "/etc/switchback/switchback.toml"
    before = machine.run("cat", path)
    machine.write(path, before + "[releases.green]\nendpoints = [7]\n")
    machine.fails("systemctl", "reload", "switchback")
    same(machine.answer(), "200")
    machine.write(path, before + '[releases.green]\nversion = "2"\nendpoints = ["http://127.0.0.1:9101"]\n')
    machine.run("systemctl", "reload", "switchback")
    wait_until("green", lambda: "green" in machine.run("switchback", "status"))


def hand_over(machine):
    """systemd follows the program to its next process, and no request is lost."""
    before, restarts = machine.show("MainPID"), machine.show("NRestarts")
    with Traffic(machine) as traffic:
        machine.run("systemctl", "kill", "-s", "SIGUSR2", "--kill-whom=main", "switchback")
        wait_until("another main process", lambda: machine.show("MainPID") not in (before, "0"), seconds=20)
    same((machine.show("ActiveState"), machine.show("NRestarts")), ("active", restarts))
    return all_are_well(traffic)


def restarted_after(machine, signal, seconds):
    """Something ends the program: it is started again, with what was live."""
    before, restarts = machine.show("MainPID"), int(machine.show("NRestarts"))
    begin = time.monotonic()
    machine.run("kill", f"-{signal}", before)
    wait_until(f"a restart after {signal}", lambda: int(machine.show("NRestarts")) == restarts + 1, seconds=seconds)
    wait_until("an answer", lambda: machine.answer() == "200", seconds=20)
    return time.monotonic() - begin


def sockets_of_systemd(machine):
    """With the socket unit a restart refuses nobody: who connects meanwhile waits."""
    machine.run("systemctl", "stop", "switchback")
    same(machine.show("Result"), "success")
    machine.run("systemctl", "start", "switchback.socket")
    machine.run("systemctl", "start", "switchback")
    with Traffic(machine) as traffic:
        machine.run("systemctl", "restart", "switchback")
    return all_are_well(traffic)


def the_service_lives_under_systemd(made):
    with machine() as booted:
        install(booted, made)
        start(booted)
        reload(booted)
        handed = hand_over(booted)
        # Right after the hand-over, when the process before it may still be there: systemd does not see how the new one ends.
        killed = restarted_after(booted, "KILL", 20)
        hung = restarted_after(booted, "STOP", 30)
        waited = sockets_of_systemd(booted)
        booted.run("systemctl", "stop", "switchback.socket", "switchback")
        booted.run("dpkg", "--purge", "switchback")
        booted.fails("test", "-e", "/var/lib/switchback")
    return (f"{handed} requests through a hand-over, {waited} through a restart with systemd's sockets, none lost; "
            f"back {killed:.1f} s after SIGKILL and {hung:.1f} s after it hung (watchdog {WATCHDOG} s)")


CHECKS = [the_service_lives_under_systemd]
