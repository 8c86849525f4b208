"""Hosts for processes on one machine, whose links can be cut: network namespaces, or loopback for all where these are not
to be had."""

import pathlib
import socket
import subprocess

BRIDGE = "10.77.0.1"


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Network:
    """`is_real` says that `tests/fleet/chaos` has given this process a network of its own. It ends with the process."""

    def __init__(self, count, is_real):
        self.is_real, self.count = is_real, count
        if not is_real:
            return
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "hub", "type", "bridge")
        run("ip", "address", "add", f"{BRIDGE}/24", "dev", "hub")
        run("ip", "link", "set", "hub", "up")
        for host in range(count):
            self.add(host)

    def add(self, host):
        name, inside = f"h{host}", ("ip", "-n", f"h{host}")
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "address", hardware(host), "netns", name)
        run("ip", "link", "set", f"to-{name}", "master", "hub", "up")
        run(*inside, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "set", "eth0", "up")

    @property
    def here(self):
        """The address of this process, which every host reaches at all times."""
        return BRIDGE if self.is_real else "127.0.0.1"

    def address(self, host):
        return f"10.77.0.{host + 10}" if self.is_real else "127.0.0.1"

    def port(self, number):
        """A port for a service of a host: this one if the host has ports of its own."""
        return number if self.is_real else free_port("127.0.0.1")

    def command(self, host, words):
        return ["nsenter", f"--net=/run/netns/h{host}", *words] if self.is_real else words

    def cut(self, one, other):
        """Nothing gets from one host to the other, nor back, and nobody is told: each has a wrong hardware address."""
        self.neighbours(one, other, "02:00:00:00:00:00")

    def join(self, one, other):
        self.neighbours(one, other, None)

    def join_all(self):
        for one in range(self.count):
            for other in range(one):
                self.join(one, other)

    def neighbours(self, one, other, wrong):
        if self.is_real:
            for here, there in ((one, other), (other, one)):
                run("ip", "-n", f"h{here}", "neigh", "replace", self.address(there), "lladdr", wrong or hardware(there),
                    "dev", "eth0", "nud", "permanent")


def hardware(host):
    return f"02:77:00:00:00:{host + 10:02x}"
