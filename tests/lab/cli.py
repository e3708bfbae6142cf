"""The command `bin/lab`: the lab for people and shell scripts."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from . import client, machine
from .errors import LabError
from .guest import Guest
from .lab import Lab

_EXAMPLES = """examples:
  bin/lab up one                     a Debian 13 machine, one.test, with our package installed
  bin/lab up two --debian 12 --bare  a plain Debian 12 machine, two.test
  bin/lab run one -- matrix-baremetal --help
  bin/lab run one                    a shell there
  bin/lab put one config.yaml /etc/matrix-baremetal/
  bin/lab get one /var/log/letsencrypt ./logs
  bin/lab client -- curl https://matrix.one.test/_matrix/client/versions
  bin/lab kill one; bin/lab up one   pull the plug; power is back
  bin/lab down                       all of it goes away
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bin/lab",
        description="A pretend internet on this machine, with Debian guests in it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="give a guest power, making it if it is new")
    up.add_argument("name")
    up.add_argument("--debian", type=int, choices=(12, 13), help="release of a new guest (13)")
    up.add_argument("--bare", action="store_true", help="without our package")
    up.add_argument("--deb", metavar="FILE", help="the package to install (the newest one built)")
    up.add_argument(
        "--bind", metavar="DIR:PLACE", action="append", default=[], help="show DIR in the guest, read-only"
    )
    up.add_argument("--from", dest="lower", metavar="LABEL", help="start from a snapshot")
    run = commands.add_parser("run", help="run a command in a guest; without one, a shell")
    run.add_argument("--user", help="as this user of the guest")
    run.add_argument("name")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD")
    for verb, what in (("put", "copy a file or directory into a guest"), ("get", "copy one out of a guest")):
        copy = commands.add_parser(verb, help=what)
        copy.add_argument("name")
        copy.add_argument("source", metavar="SRC")
        copy.add_argument("target", metavar="DST")
    for verb, what in (("kill", "pull the plug"), ("reboot", "shut down cleanly and boot again")):
        commands.add_parser(verb, help=what).add_argument("name")
    freeze = commands.add_parser("snapshot", help="shut a guest down and keep its disk for `up --from`")
    freeze.add_argument("name")
    freeze.add_argument("label")
    outside = commands.add_parser("client", help="run a program of this machine as somebody on that internet")
    outside.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD")
    commands.add_parser("list", help="what is there")
    down = commands.add_parser("down", help="take a guest away with its disk, or everything")
    down.add_argument("name", nargs="?")
    return parser


def _words(given: Sequence[str]) -> list[str]:
    """What follows `--`."""
    return list(given[1:] if given[:1] == ["--"] else given)


def _up(lab: Lab, asked: argparse.Namespace) -> int:
    binds = [tuple(bind.rsplit(":", 1)) for bind in asked.bind]
    if any(len(bind) != 2 for bind in binds):
        raise LabError("--bind wants two directories", "as: --bind build/wheels:/srv/wheels")
    lab.up(asked.name, asked.debian, asked.bare, asked.deb, [(b[0], b[1]) for b in binds], asked.lower)
    return 0


def _run(lab: Lab, asked: argparse.Namespace) -> int:
    """Our own stdin, stdout and stderr are the command's; its end is ours and ours is its."""
    guest = lab.guest(asked.name)
    words = _words(asked.words)
    if not words:
        return _shell(guest)
    started = guest.popen(words, user=asked.user)
    try:
        return started.wait()
    except BaseException:
        started.terminate()
        raise


def _shell(guest: Guest) -> int:
    if not sys.stdin.isatty():
        raise LabError("what shall run there?", f"run: bin/lab run {guest.name} -- CMD (a shell needs a terminal)")
    term = f"TERM={os.environ.get('TERM', 'linux')}"
    argv = machine.enter(guest.name, "env", term, "sh", "-c", "cd; exec bash --login")
    return subprocess.run(argv, check=False).returncode


def _client(lab: Lab, asked: argparse.Namespace) -> int:
    words = _words(asked.words)
    if not words:
        raise LabError("what shall the client run?", "as: bin/lab client -- curl https://one.test")
    argv = lab.client_argv(words)
    sys.stdout.flush()
    os.execvpe(argv[0], argv, client.environment())


def _list(lab: Lab) -> int:
    guests = lab.list()
    for guest in guests:
        disk = guest.disk
        power = "up" if guest.alive else "off"
        kind = disk.lower or ("bare" if disk.bare else "package")
        line = f"{disk.name:16} Debian {disk.debian}  {power:4} {guest.ip:12} {guest.ip6:12} {kind}\n"
        sys.stdout.write(line)
    if not guests:
        sys.stderr.write("lab: no guests; run: bin/lab up NAME\n")
    return 0


def _one(lab: Lab, asked: argparse.Namespace) -> int:
    """The commands that are one call."""
    guest = lab.guest(asked.name)
    if asked.command == "put":
        guest.put(asked.source, asked.target)
    elif asked.command == "get":
        guest.get(asked.source, asked.target)
    elif asked.command == "kill":
        guest.kill()
    elif asked.command == "reboot":
        guest.reboot()
    else:
        lab.snapshot(guest, asked.label)
    return 0


def _carry_out(asked: argparse.Namespace) -> int:
    lab = Lab()
    if asked.command == "down":
        lab.down(asked.name)
        return 0
    if asked.command == "list":
        return _list(lab)
    return {"up": _up, "run": _run, "client": _client}.get(asked.command, _one)(lab, asked)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Exit status: the command's own for run and client, else 0, or 1 with a sentence that says what to do next."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        return _carry_out(_parser().parse_args())
    except LabError as e:
        sys.stderr.write(f"lab: {e}\n")
        return 1
    except KeyboardInterrupt:
        return 130
