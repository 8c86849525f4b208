"""A fleet of three machines, by the commands of docs/fleet.md: the package and Debian's etcd under systemd on each."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import tempfile

from debian import AS_ROOT
from harness import ROOT, wait_until
from machine import Machine
from systemd import Traffic, all_are_well
from world import one, run, same

NAMES = ("proxy-1", "proxy-2", "proxy-3")
# What the release of the page is called there; the agents are on the first machine.
AGENTS = {"blue": ("1.0.0", 9101), "green": ("2.0.0", 9102)}


class Network:
    """A network namespace for each machine, and one with the bridge between them. This machine's own network has no part."""

    def __init__(self, names):
        prefix = f"test-{os.getpid()}"
        self.hub = f"{prefix}-hub"
        self.spaces = {name: f"{prefix}-{name}" for name in names}
        self.addresses = {name: f"10.77.1.{number}" for number, name in enumerate(names, 1)}

    def ip(self, *words):
        run([*AS_ROOT, "ip", *words])

    def open(self):
        self.ip("netns", "add", self.hub)
        self.ip("-n", self.hub, "link", "add", "hub", "type", "bridge")
        self.ip("-n", self.hub, "link", "set", "hub", "up")
        for name, space in self.spaces.items():
            self.ip("netns", "add", space)
            self.ip("-n", self.hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
            self.ip("-n", self.hub, "link", "set", name, "master", "hub", "up")
            self.ip("-n", space, "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                self.ip("-n", space, "link", "set", link, "up")

    def close(self):
        for space in (*self.spaces.values(), self.hub):
            self.ip("netns", "delete", space)

    def hosts(self):
        return "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in self.addresses.items())


@contextlib.contextmanager
def machines():
    """The booted machines by name, which know each other."""
    network = Network(NAMES)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        network.open()
        stack.callback(network.close)
        made = {}
        for name in NAMES:
            path = pathlib.Path(folder) / name
            path.mkdir()
            files = {"etc/hostname": f"{name}\n", "etc/hosts": network.hosts()}
            made[name] = Machine(path, name, f"/run/netns/{network.spaces[name]}", files)
            stack.callback(made[name].close)
        for machine in made.values():
            machine.booted()
        try:
            yield made, network
        except BaseException as error:
            for name, machine in made.items():
                log = machine.ask("journalctl", "--no-pager", "--lines=2000", "--unit=switchback", "--unit=etcd").splitlines()
                error.add_note("\n".join([f"{name}:", *[line for line in log if "request_id" not in line][-25:]]))
            raise


def install(machine, package):
    """The packages, as apt leaves them: Debian has started its etcd, and nothing has started the proxy."""
    machine.copy(package, "/root/switchback.deb")
    machine.run("dpkg", "-i", "/root/switchback.deb")
    machine.run("systemctl", "start", "etcd")


def serve(machine, address):
    """The one proxy that there is at first. Its table is in its history alone."""
    for name, (version, port) in AGENTS.items():
        command = ["switchback", "agent", "--name", name, "--label", version, "--address", f"{address}:{port}"]
        machine.run("systemd-run", "--quiet", f"--unit=agent-{name}", *command)
    machine.run("systemctl", "enable", "--now", "switchback")
    for name, (version, port) in AGENTS.items():
        machine.run("switchback", "release", "set", name, "--version", version, "--endpoint", f"http://{address}:{port}")
    machine.run("switchback", "route", "set", "chat", "--path-prefix", "/", "--split", "blue=100", "--split", "green=0")
    wait_until("blue answers", lambda: machine.answer() == "200")


def commands_of_the_page():
    """Prompt and text of each command of the section, in order."""
    page = (ROOT / "docs/fleet.md").read_text()
    section = page[page.index("\n## With systemd\n"):]
    section = section[:section.index("\n## ", 1)]
    commands = []
    for block in re.findall(r"^```console\n(.*?)^```", section, re.M | re.S):
        for line in block.splitlines():
            prompt = re.match(r"(each|proxy-\d)# (.*)", line)
            if prompt:
                commands.append([*prompt.groups()])
            else:
                assert line.startswith(">"), line
                commands[-1][1] += "\n" + line[2:]
    return commands


def paste(made, prompt, command):
    """A command of the page on the machine of its prompt, or on each of them at once."""
    words = ("timeout", "30", "bash", "-euo", "pipefail", "-c", command)
    return at_once(lambda machine: machine.run(*words), made.values() if prompt == "each" else [made[prompt]])


def at_once(function, made):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, made))


def split(machine):
    """The shares of the route's releases on a machine."""
    return json.loads(machine.run("switchback", "route", "show", "chat", "--json"))["split"]


def three_machines_become_a_fleet_by_the_page(made):
    commands = commands_of_the_page()
    assert len(commands) >= 15, commands
    package = one(made.release, "*.deb")
    with machines() as (fleet, network):
        first = fleet["proxy-1"]
        at_once(lambda machine: install(machine, package), fleet.values())
        serve(first, network.addresses["proxy-1"])
        restarts = first.show("NRestarts")
        with Traffic(first) as traffic:
            said = [paste(fleet, *one) for one in commands]
        lost_nothing = all_are_well(traffic)
        same((first.show("ActiveState"), first.show("NRestarts")), ("active", restarts))
        (status,) = next(out for out, (_, command) in zip(said, commands) if command == "switchback fleet status")
        # Nobody has given them a name: each has that of its machine, which the unit does not hide from it.
        for name in NAMES:
            assert re.search(rf"^{name} .* current ", status, re.M), status
        same([split(machine) for machine in fleet.values()], [{"blue": 100, "green": 0}] * 3)
        same([machine.answer() for machine in fleet.values()], ["200"] * 3)
        without_a_quorum(fleet)
    return f"{len(commands)} commands, {lost_nothing} requests"


def without_a_quorum(fleet):
    """One member of etcd is left: a proxy that starts again serves what it had, and a rollback is live there at once. One that
    has no history has nothing to serve until etcd is back."""
    one, two, three = fleet.values()
    one.run("switchback", "split", "chat", "green=5", "--wait-fleet")
    for machine in (two, three):
        machine.run("systemctl", "stop", "etcd")
    before = split(three)
    three.run("systemctl", "restart", "switchback")
    same((split(three), three.answer()), (before, "200"))
    three.run("switchback", "rollback")
    same((split(three), split(one)), ({"blue": 100, "green": 0}, before))
    two.run("systemctl", "stop", "switchback")
    two.run("find", "/var/lib/switchback", "-mindepth", "1", "-delete")
    two.run("systemctl", "start", "--no-block", "switchback")
    wait_until("it has started", lambda: two.show("ActiveState") == "active", seconds=30)
    same(two.answer(), "404")
    for machine in (two, three):
        machine.run("systemctl", "start", "--no-block", "etcd")
    wait_until("it has the table", lambda: two.answer() == "200", seconds=30)
    wait_until("the rollback is everywhere", lambda: split(one) == split(two) == split(three) == {"blue": 100, "green": 0}, seconds=30)


CHECKS = [three_machines_become_a_fleet_by_the_page]
