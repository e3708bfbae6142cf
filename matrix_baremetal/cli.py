"""The command line: words in, an exit status out. Each command's module is imported only when it is asked for."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from matrix_baremetal import __version__, log
from matrix_baremetal.errors import USAGE, ConfigError, Error

EXAMPLES = """\
examples:
  matrix-baremetal install                 asks for the server name, then sets everything up
  matrix-baremetal plan                    what apply would change; changes nothing
  matrix-baremetal apply                   after an edit of /etc/matrix-baremetal/config.yaml
  matrix-baremetal user add bob --generate

exit status: 0 done; 1 failed; 2 wrong usage or config;
             3 plan has changes, something is pending, or status found a fault
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, for a reader of its output who may leave at any time."""
    try:
        try:
            # A program that was started without any streams has None there.
            sys.stdout, sys.stderr = (stream or nowhere() for stream in (sys.stdout, sys.stderr))
            for stream in (sys.stdout, sys.stderr):
                # A terminal or a log that is no UTF-8 gets \\u2713 for a tick, and a name of any bytes is printed.
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="backslashreplace")
            return run(argv)
        finally:
            # Here, where a reader who has left is noticed: at exit Python would complain, and end with 120.
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def nowhere() -> TextIO:
    """A stream that nobody reads."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def run(argv: Sequence[str] | None) -> int:
    """Run one command. Every `Error` ends here as a sentence and the next step; anything else is a bug."""
    args = parser().parse_args(argv)
    log.verbose = args.verbose
    # A caller's umask of 077 would make a virtualenv that its service can't read.
    os.umask(0o022)
    try:
        return command(args)
    except Error as error:
        tell(error, json=args.json)
        return error.status
    except KeyboardInterrupt:
        print("\nstopped; what was begun is whole, and the same command goes on from here", file=sys.stderr)
        return 130


def command(args: argparse.Namespace) -> int:
    """Import the module of the command and run it."""
    import importlib

    module = importlib.import_module(f"matrix_baremetal.commands.{args.command}")
    status: int = module.run(args)
    return status


def tell(error: Error, *, json: bool) -> None:
    """An error for a person on stderr; with --json also as a document on stdout."""
    # A config's mistakes begin with their place, where editors look for it.
    head = "" if isinstance(error, ConfigError) else "matrix-baremetal: "
    print(f"{head}{error.message}", file=sys.stderr)
    if error.hint:
        print(f"next: {error.hint}", file=sys.stderr)
    if json:
        from matrix_baremetal import report

        report.document({"error": error.message, "next": error.hint, "status": error.status})


COMMANDS = ("init", "install", "plan", "apply", "render", "status", "user", "list", "add")
CHOICE = re.compile(r"argument (?:COMMAND|ACTION): invalid choice: '([^']*)'")


class Words(argparse.ArgumentParser):
    """argparse, with examples kept as written and the exit status of our contract."""

    def __init__(self, **options: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> None:  # type: ignore[override]
        if (choice := CHOICE.search(message)) is not None:
            import difflib

            near = difflib.get_close_matches(choice[1], COMMANDS, n=1)
            message = f"there is no command {choice[1]}" + (f"; did you mean {near[0]}?" if near else "")
        print(f"{self.prog}: {message}\nnext: {self.prog} --help", file=sys.stderr)
        raise SystemExit(USAGE)


def parser() -> Words:
    """All words that may be typed."""
    top = Words(
        prog="matrix-baremetal",
        description="Your own Matrix homeserver on Debian, without Docker.",
        epilog=EXAMPLES,
    )
    top.add_argument("--version", action="version", version=f"matrix-baremetal {__version__}")
    common(top, suppress=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Words)

    def add(name: str, help: str, example: str) -> Words:
        words: Words = commands.add_parser(
            name, help=help, description=help[0].upper() + help[1:] + ".", epilog=f"examples:\n{example}"
        )
        common(words, suppress=True)
        return words

    questions(add("init", "ask what has no default and write the config", INIT_EXAMPLE))
    words = add("install", "set everything up: config, homeserver, certificate, first administrator", INSTALL_EXAMPLE)
    questions(words)
    words.add_argument("--unattended", action="store_true", help="never ask; what is missing is an error")
    words.add_argument("--admin", metavar="NAME", type=localpart, help="make this administrator, with a password")
    converging(words)
    add(
        "plan",
        "show what apply would change, and change nothing",
        "  matrix-baremetal plan\n  matrix-baremetal plan -v",
    )
    converging(add("apply", "bring this machine to what the config says", "  matrix-baremetal apply"))
    words = add("render", "write the files that apply would write below DIR", "  matrix-baremetal render /tmp/look")
    words.add_argument("directory", metavar="DIR")
    add("status", "units, versions, memory, certificates and disk at a glance", "  matrix-baremetal status --json")
    user_words(add("user", "accounts of the homeserver", USER_EXAMPLE))
    internal = commands.add_parser("certificates")
    common(internal, suppress=True)
    internal.add_argument("action", choices=("deploy", "retry"))
    return top


INIT_EXAMPLE = """\
  matrix-baremetal init
  matrix-baremetal init --server-name example.org --email you@example.org --yes"""
INSTALL_EXAMPLE = """\
  matrix-baremetal install
  matrix-baremetal install --unattended --server-name example.org --email you@example.org --admin alice"""
USER_EXAMPLE = """\
  matrix-baremetal user list
  matrix-baremetal user add bob                          asks for the password
  matrix-baremetal user add bob --generate               invents one
  matrix-baremetal user add eve --admin --password-stdin < file"""


def common(words: argparse.ArgumentParser, *, suppress: bool) -> None:
    """Options that may stand before and behind the command; behind it they must not reset what stood before."""
    none, false = (argparse.SUPPRESS, argparse.SUPPRESS) if suppress else (None, False)
    words.add_argument("--config", metavar="FILE", default=none, help="default: /etc/matrix-baremetal/config.yaml")
    root = argparse.SUPPRESS if suppress else "/"
    words.add_argument("--root", metavar="DIR", type=directory, default=root, help="work on DIR as /")
    words.add_argument("--json", action="store_true", default=false, help="one JSON document on stdout")
    loud = words.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="store_true", default=false, help="say more")
    loud.add_argument("-q", "--quiet", action="store_true", default=false, help="say only what went wrong")


def questions(words: argparse.ArgumentParser) -> None:
    """What init would ask."""
    words.add_argument("--server-name", metavar="NAME", help="the part after the colon in @alice:example.org")
    words.add_argument("--email", metavar="ADDRESS", help="for the certificate authority")
    words.add_argument("--yes", action="store_true", help="ask nothing; take the defaults")
    words.set_defaults(unattended=False)


def converging(words: argparse.ArgumentParser) -> None:
    """What a run that changes the machine may be told."""
    words.add_argument("--wheelhouse", metavar="DIR", type=directory, help="take Python packages from DIR alone")
    words.add_argument("--wait", metavar="SECONDS", type=float, default=0, help="wait for another run to end")


def directory(text: str) -> str:
    """A directory that is there, as an absolute path: what we start has another working directory, and // is /."""
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"there is no directory {text}")
    return os.path.realpath(text)


def localpart(text: str) -> str:
    """A user's name. Raises what argparse turns into a sentence."""
    from matrix_baremetal import names

    try:
        return names.localpart(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def user_words(words: argparse.ArgumentParser) -> None:
    """user add, user list."""
    actions = words.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Words)
    listing = actions.add_parser("list", help="all accounts", epilog="examples:\n  matrix-baremetal user list --json")
    common(listing, suppress=True)
    adding = actions.add_parser("add", help="make an account", epilog=f"examples:\n{USER_EXAMPLE}")
    common(adding, suppress=True)
    adding.add_argument("name", metavar="NAME", type=localpart, help="alice, for @alice:example.org")
    adding.add_argument("--admin", action="store_true", help="make an administrator")
    source = adding.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help="read the password from stdin, one line")
    source.add_argument("--generate", action="store_true", help="invent a password and keep it for root to read")


if __name__ == "__main__":
    sys.exit(main())
