"""The files of a release and an installation from them, as an unprivileged user where the service is one."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import debian
import fleet
import release
import shell
import systemd
import unit
from harness import ROOT, Suite, binary
from world import World, run


@contextlib.contextmanager
def world():
    """A stripped program, its manual pages and the folder of a release."""
    path = pathlib.Path(tempfile.mkdtemp())
    try:
        path.chmod(0o755)
        program, man = path / "switchback", path / "man"
        run(["strip", "--strip-debug", "-o", str(program), binary()])
        run(["cargo", "run", "--quiet", "--locked", "--example", "man", "--", str(man)], cwd=ROOT)
        yield World(path, program, man)
    finally:
        shutil.rmtree(path)


def main():
    suite = Suite()
    with world() as made:
        for module in (shell, release, debian, unit, systemd, fleet):
            for function in module.CHECKS:
                suite.check(function.__name__, function, made, seconds=240)
    suite.finish()


if __name__ == "__main__":
    main()
