"""The unit: what systemd says of it, and the service within the limits that it sets."""

import functools
import os
import re
import signal
import socket
import urllib.error
import urllib.request

from harness import ROOT, Process, free_port, wait_until
from world import run, same

UNIT = ROOT / "packaging/switchback.service"
SOCKET = ROOT / "packaging/switchback.socket"

# `systemd-analyze security` of systemd 252, in tenths: 0 is nothing to attack, 100 is root without limits. What is left
# is the network of the host, which a proxy is for, and the right to listen below port 1024.
EXPOSURE = 16

# The user of the checks, which is no user of the machine.
SERVICE = 64321


def settings(name):
    """The values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


def systemd_takes_the_units(made):
    copies = [made.path / unit.name for unit in (UNIT, SOCKET)]
    for unit, copy in zip((UNIT, SOCKET), copies):
        copy.write_text(unit.read_text().replace("/usr/bin/switchback", str(made.program)))
    same(run(["systemd-analyze", "verify", "--man=no", *map(str, copies)]), "")


def little_is_exposed(made):
    said = run(["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(UNIT)])
    return re.search(r"exposure level for \S+: ([0-9.]+)", said)[1]


@functools.cache
def group(name):
    """The system calls of a group of systemd, those of the groups in it included."""
    lines = run(["systemd-analyze", "syscall-filter", name]).splitlines()[1:]
    found = set()
    for word in (line.strip() for line in lines):
        if word.startswith("@"):
            found |= group(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed():
    """The system calls that the filters of the unit leave: the first is a list of what may be, `~` takes away."""
    found = set()
    for line in settings("SystemCallFilter"):
        names = line.lstrip("~").split()
        calls = set().union(*(group(name) if name.startswith("@") else {name} for name in names))
        found = found - calls if line.startswith("~") else found | calls
    return found


def low_port():
    for port in range(600, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port below 1024")


class Service:
    """The program as the unit starts it, with its configuration in a folder: user, capabilities, and each system call noted."""

    def __init__(self, made):
        self.folder = made.path / "service"
        self.program = made.program
        self.trace = self.folder / "trace"
        text = (ROOT / "packaging/switchback.toml").read_text()
        self.ports = {"8080": low_port() if os.geteuid() == 0 else free_port(), "9900": free_port(), "9901": free_port()}
        for port, free in self.ports.items():
            text, count = re.subn(f'(address = "127.0.0.1):{port}"', rf'\g<1>:{free}"', text)
            same((port, count), (port, 1))
        self.writable = [self.folder / name for name in ("lib", "backups")]
        self.folder.mkdir(mode=0o755)
        for path in self.writable:
            path.mkdir(mode=0o700)
        self.trace.touch()
        if os.geteuid() == 0:
            for path in (*self.writable, self.trace):
                os.chown(path, SERVICE, SERVICE)
        text = re.sub(r'path = "/var/lib/switchback"', f'path = "{self.writable[0]}"', text)
        text = re.sub(r'path = "/var/backups/switchback"', f'path = "{self.writable[1]}"', text)
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notes.settimeout(20)
        self.notes.bind(str(self.folder / "notify"))
        (self.folder / "notify").chmod(0o777)
        self.config = self.folder / "switchback.toml"
        self.config.write_text(text)

    def command(self):
        (start,) = settings("ExecStart")
        start = start.replace("/usr/bin/switchback", str(self.program)).replace("/etc/switchback/switchback.toml", str(self.config))
        traced = ["strace", "-f", "-qq", "-y", "-s", "200", "-o", str(self.trace), *start.split()]
        if os.geteuid() != 0:
            return traced
        (right,) = settings("AmbientCapabilities")
        right = right.lower().removeprefix("cap_")
        return ["setpriv", f"--reuid={SERVICE}", f"--regid={SERVICE}", "--clear-groups", "--no-new-privs", f"--inh-caps=-all,+{right}",
                f"--ambient-caps=-all,+{right}", f"--bounding-set=-all,+{right}", *traced]

    def environment(self):
        (period,) = settings("WatchdogSec")
        return {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": period.replace("s", "000000")}

    def noted(self, wanted):
        """Waits for a note of the service, as systemd does."""
        while True:
            note = dict(line.split("=", 1) for line in self.notes.recv(4096).decode().splitlines())
            if wanted in note:
                return note

    def cli(self, *arguments):
        environment = {"PATH": "/usr/bin:/bin", "SWITCHBACK_ADMIN": f"http://127.0.0.1:{self.ports['9900']}"}
        return run([str(self.program), *arguments], env=environment)

    def calls(self):
        """Each system call that was made: its name and its text."""
        for line in self.trace.read_text(errors="replace").splitlines():
            found = re.match(r"\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed>)(.*)", line)
            if found:
                yield found[1], found[2]


def live(service, agent):
    """A day of the service: traffic, changes, a backup, a reload, a hand-over, its end."""
    server = Process("service", service.command(), service.folder, env=service.environment())
    main = None
    try:
        service.noted("READY")
        # The tracer passes no signal on, so they go to the program.
        main = int(run(["pgrep", "-P", str(server.child.pid)]).split()[0])
        wait_until("ready", lambda: answer(service.ports["9901"], "/readyz") == 200)
        for release, version in (("blue", "1.0.0"), ("green", "2.0.0")):
            service.cli("release", "set", release, "--version", version, "--endpoint", f"http://127.0.0.1:{agent}")
        service.cli("route", "set", "chat", "--path-prefix", "/", "--split", "blue=100")
        service.cli("split", "chat", "green=5")
        for _ in range(20):
            same(answer(service.ports["8080"], "/"), 200)
        service.cli("backup", "--by-proxy")
        service.cli("reload")
        os.kill(main, signal.SIGUSR2)
        main = int(service.noted("MAINPID")["MAINPID"])
        same(answer(service.ports["8080"], "/"), 200)
        service.cli("rollback")
        answer(service.ports["9901"], "/metrics")
        service.cli("status")
    finally:
        if main:
            os.kill(main, signal.SIGTERM)
            same(server.child.wait(20), 0)
        server.stop()


def answer(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return None


def the_service_stays_within_its_limits(made):
    service, port = Service(made), free_port()
    agent = Process("agent", [str(made.program), "agent", "--name", "blue", "--label", "1.0.0", "--address", f"127.0.0.1:{port}"], service.folder)
    agent.wait_for_port(port)
    live(service, port)
    agent.stop()
    calls = list(service.calls())
    names = {name for name, _ in calls}
    assert {"epoll_wait", "accept4", "fdatasync", "execve"} <= names, names
    same(names - allowed(), set())
    families = {found[1] for name, text in calls if name in ("socket", "socketpair") and (found := re.match(r"(AF_\w+)", text))}
    (restricted,) = settings("RestrictAddressFamilies")
    assert families <= set(restricted.split()), families
    # MemoryDenyWriteExecute
    executable = [text for name, text in calls if name in ("mmap", "mprotect", "pkey_mprotect") and "PROT_EXEC" in text]
    same([text for text in executable if "PROT_WRITE" in text], [])
    # ProtectSystem, ReadWritePaths
    written = {found[1] for name, text in calls if name == "openat" and (found := re.match(r'[^,]*, "([^"]*)", (?=[^)]*(?:O_WRONLY|O_RDWR|O_CREAT))', text))}
    outside = [path for path in written if not path.startswith("/dev/") and not any(path.startswith(f"{folder}/") for folder in service.writable)]
    same(outside, [])
    assert list(service.writable[1].iterdir()), "no backup was made"
    return f"{len(names)} system calls of {len(allowed())}, {len(written)} files written"


def a_socket_of_systemd_is_used(made):
    """systemd's own tool binds what the socket unit names, and starts the program with the first connection."""
    (address,) = re.findall(r"^ListenStream=(.*)$", SOCKET.read_text(), re.M)
    (name,) = re.findall(r"^FileDescriptorName=(.*)$", SOCKET.read_text(), re.M)
    text = (ROOT / "packaging/switchback.toml").read_text()
    assert f'[[listeners]]\naddress = "{address}"' in text, "the socket of the package is no listener of its configuration"
    folder, port, admin = made.path / "activated", free_port(), free_port()
    folder.mkdir()
    config = folder / "switchback.toml"
    config.write_text(f'''
[[listeners]]
address = "127.0.0.1:{port}"
[admin]
address = "127.0.0.1:{admin}"
[history]
path = "{folder / "history"}"
''')
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", f"--fdname={name}", str(made.program), "serve", "--config", str(config)]
    server = Process("activated", command, folder)
    # The socket exists before the program does, and the connection waits for it: nothing but the socket answers here.
    wait_until("bound", lambda: any(f":{port:04X} " in line for line in open("/proc/net/tcp")))
    # There is no route.
    same(answer(port, "/"), 404)
    wait_until("ready", lambda: ": ready " in server.log.read_text())
    same(server.stop(), 0)


CHECKS = [systemd_takes_the_units, little_is_exposed, the_service_stays_within_its_limits, a_socket_of_systemd_is_used]
