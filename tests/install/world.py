"""What the checks share: the program, its pages, and a release that is made once."""

import functools
import os
import subprocess
import sys

from harness import ROOT


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


# The words that the scripts of a release ask a program for.
SMALL = '''
#include <stdio.h>
#include <string.h>
int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "version")) puts("switchback VERSION");
    return 0;
}
'''

# The byte in the head of an ELF file that names the machine, and two of its values.
MACHINE, X86_64, ARM64 = 18, 0x3E, 0xB7


class World:
    """The program, stripped, and a small one of the same version for what does not depend on the program."""

    def __init__(self, path, program, man):
        self.path, self.program, self.man = path, program, man
        self.version = run([str(program), "version"]).split()[1]
        self.small = path / "small"
        source = path / "small.c"
        source.write_text(SMALL.replace("VERSION", self.version))
        run(["cc", "-O1", "-s", "-o", str(self.small), str(source)])

    @functools.cached_property
    def foreign(self):
        """The small program for the other architecture, as far as its head says: nothing runs it here."""
        head = bytearray(self.small.read_bytes())
        head[MACHINE] = ARM64 if head[MACHINE] == X86_64 else X86_64
        path = self.path / "foreign"
        path.write_bytes(head)
        return path

    def make(self, name, *programs):
        """A release, by the script of the release workflow, from another folder."""
        folder = self.path / name
        environment = os.environ | {"PYTHON": sys.executable, "MAN": str(self.man), "LEVEL": "1"}
        run([str(ROOT / "packaging/release"), str(folder), *map(str, programs)], env=environment, cwd="/")
        return folder

    @functools.cached_property
    def release(self):
        return self.make("release", self.program)

    @functools.cached_property
    def small_release(self):
        return self.make("small-release", self.small)

    @functools.cached_property
    def both(self):
        return self.make("both", self.small, self.foreign)


def one(folder, pattern):
    """The file of a folder that the pattern matches."""
    (found,) = folder.glob(pattern)
    return found
