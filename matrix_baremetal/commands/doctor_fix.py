"""doctor --fix: runs the commands that mend what was found, where nobody needs to think about them.

Causes come before their effects: after each command the rest is looked at again, and what is fine by then is left.
"""

from __future__ import annotations

import shlex
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence

from matrix_baremetal import doctor, report
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.together import together
from matrix_baremetal.commands.asking import confirmed
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

NONE = "nothing was found that doctor can mend by itself"
OURS = "matrix-baremetal"


def fixable(findings: Iterable[Finding], checks: Sequence[Check]) -> dict[str, list[str]]:
    """The commands that mend, each once, with the ids of what it is for; in the order of the checks."""
    found: dict[str, list[str]] = {}
    order = {check.id: number for number, check in enumerate(checks)}
    for finding in sorted(findings, key=lambda each: order[each.id]):
        if finding.fix and finding.state in ("fail", "warn"):
            found.setdefault(finding.fix, []).append(finding.id)
    return found


def mended(host: Host, checks: Sequence[Check], findings: list[Finding], args: Namespace) -> list[Finding]:
    """Say what would be run, ask, run it, and look once more; gives what is found then.

    Raises `Unanswered` where nobody agrees.
    """
    commands = fixable(findings, checks)
    if not args.json:
        say(commands)
    if not commands:
        return findings
    confirmed(yes=args.yes)
    by_id = {check.id: check for check in checks}
    for command, ids in commands.items():
        now = doctor.examine(together([by_id[id] for id in ids], host), host)
        if command in fixable(now, checks):
            carry_out(host, command, args)
        elif not args.json:
            print(f"  not needed any more: {command}")
    return doctor.examine(together(checks, host), host)


def say(commands: dict[str, list[str]]) -> None:
    """What would be run, and for what."""
    if not commands:
        print(f"{NONE}.\n")
        return
    print("To mend what was found, doctor would run, in this order:\n")
    rows = [
        (f"  {command}", ", ".join([*ids[:4], *(["…"] if len(ids) > 4 else [])])) for command, ids in commands.items()
    ]
    print(report.table(rows) + "\n")


def carry_out(host: Host, command: str, args: Namespace) -> None:
    """Run one; that it failed is said, and the next look shows what it left."""
    argv = shlex.split(command)
    if argv[0] == OURS:
        argv += ["--config", args.config] if args.config else []
    began, how = time.monotonic(), "done"
    try:
        host.run(*argv, ok=(0, 3) if argv[0] == OURS else (0,))
    except Error as error:
        how = f"failed: {error.message}"
    if not args.json:
        print(f"  {command}: {how}, {time.monotonic() - began:.1f} s", flush=True)
