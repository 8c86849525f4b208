"""The package under a real systemd: the machine's own system, booted in a container, with its own files on top."""

import contextlib
import pathlib
import subprocess
import tempfile
import threading
import time

from harness import wait_until
from machine import Machine
from world import one, same

# What hangs is found after so long here; the unit says half a minute.
WATCHDOG = 3


@contextlib.contextmanager
def machine():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "machine"
        path.mkdir()
        made = Machine(path)
        try:
            yield made.booted()
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
