"""The Debian package, installed into a folder by the machine's own dpkg: upgraded, removed, purged."""

import os
import shutil
import stat

from world import one, run, same

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]

EDITED = "# edited by its operator\n"


class System:
    """A system in a folder. Maintainer scripts run outside it and are told where it is, as when an image is made."""

    def __init__(self, path):
        self.root = path
        for name in ("info", "updates", "triggers"):
            (path / "var/lib/dpkg" / name).mkdir(parents=True)
        (path / "var/lib/dpkg/status").touch()
        self.dpkg("--add-architecture", run(["dpkg", "--print-architecture"]).strip())

    def dpkg(self, *arguments):
        options = [f"--root={self.root}", "--force-script-chrootless", "--force-depends", "--log=/dev/null"]
        return run([*AS_ROOT, "dpkg", *options, *arguments])

    def status(self):
        return run(["dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", "${Version} ${db:Status-Status}", "switchback"])

    def path(self, name):
        return self.root / name.lstrip("/")

    def user(self):
        lines = [line.split(":") for line in self.path("/etc/passwd").read_text().splitlines()]
        (found,) = [line for line in lines if line[0] == "switchback"]
        return found

    def write(self, name, text):
        run([*AS_ROOT, "sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", str(self.path(name)), text])

    def read(self, name):
        return run([*AS_ROOT, "cat", str(self.path(name))])

    def exists(self, name):
        return run([*AS_ROOT, "sh", "-c", '[ ! -e "$1" ] || echo yes', "sh", str(self.path(name))]) != ""


def package(made):
    return one(made.small_release, "*.deb")


def later(made, configuration=""):
    """The package of a later version, with something added to its configuration."""
    folder, built = made.path / "later", made.path / "later.deb"
    shutil.rmtree(folder, ignore_errors=True)
    run(["dpkg-deb", "-R", str(package(made)), str(folder)])
    control = folder / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {made.version}-1", "Version: 99.0.0-1"))
    with (folder / "etc/switchback/switchback.toml").open("a") as file:
        file.write(configuration)
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(folder), str(built)])
    shutil.rmtree(folder)
    return str(built)


def installed(made, name):
    system = System(made.path / name)
    system.dpkg("-i", str(package(made)))
    same(system.status(), f"{made.version}-1 installed")
    return system


def lintian_finds_nothing(made):
    run(["lintian", "--allow-root", "--fail-on", "error,warning", str(one(made.release, "*.deb"))])


def files_user_and_rights_are_there_after_an_installation(made):
    system = installed(made, "fresh")
    system.dpkg("--verify", "switchback")
    same(run([str(system.path("/usr/bin/switchback")), "version"]), f"switchback {made.version}\n")
    _, _, uid, gid, _, home, login = system.user()
    same((home, login), ("/var/lib/switchback", "/usr/sbin/nologin"))
    expected = {
        "/var/lib/switchback": (int(uid), int(gid), 0o700),
        "/var/backups/switchback": (int(uid), int(gid), 0o700),
        "/var/log/switchback": (int(uid), int(gid), 0o750),
        "/etc/switchback/secrets": (0, int(gid), 0o750),
        "/etc/switchback/switchback.toml": (0, 0, 0o644),
        "/usr/bin/switchback": (0, 0, 0o755),
    }
    found = {name: system.path(name).stat() for name in expected}
    same({name: (at.st_uid, at.st_gid, stat.S_IMODE(at.st_mode)) for name, at in found.items()}, expected)
    assert not system.exists("/etc/systemd/system"), "it starts by itself"


def an_upgrade_keeps_the_configuration_and_the_history(made):
    system = installed(made, "upgraded")
    configuration = "/etc/switchback/switchback.toml"
    shipped = system.read(configuration)
    system.write(configuration, shipped + EDITED)
    system.write("/var/lib/switchback/history.redb", "revisions")
    system.dpkg("-i", later(made))
    same(system.status(), "99.0.0-1 installed")
    same(system.read(configuration), shipped + EDITED)
    # The later version's own configuration has changed as well: both are there, and the operator's is in force.
    system.dpkg("--force-confold", "-i", later(made, "# a new key\n"))
    same(system.read(configuration), shipped + EDITED)
    same(system.read(f"{configuration}.dpkg-dist"), shipped + "# a new key\n")
    # And back to the earlier version.
    system.dpkg("--force-downgrade", "--force-confold", "-i", str(package(made)))
    same(system.status(), f"{made.version}-1 installed")
    same(system.read("/var/lib/switchback/history.redb"), "revisions")


def what_nobody_edited_follows_the_package(made):
    system = installed(made, "unedited")
    shipped = system.read("/etc/switchback/switchback.toml")
    system.dpkg("-i", later(made, "# a new key\n"))
    same(system.read("/etc/switchback/switchback.toml"), shipped + "# a new key\n")


def a_removal_keeps_what_a_purge_removes_and_backups_stay(made):
    system = installed(made, "purged")
    kept = {"/var/lib/switchback/seal.key": "key", "/etc/switchback/switchback.toml": EDITED, "/etc/switchback/secrets/token": "token"}
    backup = "/var/backups/switchback/switchback-20270131T030000000Z.backup"
    for name, text in (kept | {backup: "backup"}).items():
        system.write(name, text)
    system.dpkg("--remove", "switchback")
    assert not system.exists("/usr/bin/switchback")
    same({name: system.read(name) for name in kept}, kept)
    system.dpkg("--purge", "switchback")
    left = {name for name in (*kept, backup, "/var/log/switchback") if system.exists(name)}
    same(left, {backup, "/etc/switchback/secrets/token"})
    assert "switchback" in system.read("/etc/passwd"), "the owner of the backups"


def nothing_is_left_of_a_package_that_was_never_used(made):
    system = installed(made, "unused")
    system.dpkg("--purge", "switchback")
    found = [path for path in system.root.rglob("*switchback*") if path.relative_to(system.root).parts[:3] != ("var", "lib", "dpkg")]
    same(found, [])


CHECKS = [
    lintian_finds_nothing,
    files_user_and_rights_are_there_after_an_installation,
    an_upgrade_keeps_the_configuration_and_the_history,
    what_nobody_edited_follows_the_package,
    a_removal_keeps_what_a_purge_removes_and_backups_stay,
    nothing_is_left_of_a_package_that_was_never_used,
]
