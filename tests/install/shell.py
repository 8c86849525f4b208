"""Manual pages and completions, which are made from the command line itself."""

import re
import subprocess

from world import run, same


def verbs(made, *above):
    """The verbs that `help` lists."""
    said = run([str(made.program), *above, "--help"])
    listed = re.search(r"^Commands:\n((?: .*\n|\n(?= {2}))+)", said, re.M)
    found = re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", listed[1], re.M) if listed else []
    return [verb for verb in found if verb != "help"]


def every_verb_has_a_page(made):
    expected = {"switchback.1"}
    for verb in verbs(made):
        expected.add(f"switchback-{verb}.1")
        expected |= {f"switchback-{verb}-{part}.1" for part in verbs(made, verb)}
    same({path.name for path in made.man.iterdir()}, expected)
    assert len(expected) > 40, expected
    return f"{len(expected)} pages"


def pages_keep_the_rules(made):
    """No error, no warning of mandoc, and none of the program that people read pages with."""
    pages = sorted(map(str, made.man.iterdir()))
    run(["mandoc", "-T", "lint", "-W", "warning", *pages])
    for page in pages:
        shown = subprocess.run(["man", "--warnings", "-l", page], env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat", "MANWIDTH": "100", "LANG": "C.UTF-8"}, capture_output=True, text=True)
        same((page, shown.returncode, shown.stderr), (page, 0, ""))
    shown = run(["man", "-l", str(made.man / "switchback-rollback.1")], env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat", "MANWIDTH": "100", "LANG": "C.UTF-8"})
    for words in ("--dry-run", "switchback rollback --to 41 -m 'back to Friday'"):
        assert re.search(rf"^ *.*{re.escape(words)}", shown, re.M), shown


COMPLETE = r"""
source "$1"
function=$(complete -p switchback | sed 's/.*-F \([^ ]*\) .*/\1/')
shift
COMP_WORDS=(switchback "$@")
COMP_CWORD=$#
"$function" switchback "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash_completes_verbs_and_options(made):
    script = made.path / "completion"
    script.write_text(run([str(made.program), "completions", "bash"]))

    def completed(*words):
        return sorted(run(["bash", "--norc", "-c", COMPLETE, "bash", str(script), *words]).split())

    same(completed("rollb"), ["rollback"])
    same(completed("rollo"), ["rollout"])
    assert {"start", "abort", "watch"} <= set(completed("rollout", "")), completed("rollout", "")
    same(completed("rollback", "--dr"), ["--dry-run"])
    same(completed("completions", "b"), ["bash"])
    same(completed("history-w"), [])


CHECKS = [every_verb_has_a_page, pages_keep_the_rules, bash_completes_verbs_and_options]
