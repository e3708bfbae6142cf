"""What the words of several commands are made of: the parser, the options that stand everywhere, checked values."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TypeAlias

from matrix_baremetal.errors import USAGE

CHOICE = re.compile(r"argument (?:COMMAND|ACTION): invalid choice: '([^']*)' \(choose from (.*)\)")


class Words(argparse.ArgumentParser):
    """argparse, with examples kept as written and the exit status of our contract."""

    def __init__(self, **options: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> None:  # type: ignore[override]
        if (choice := CHOICE.search(message)) is not None:
            import difflib

            near = difflib.get_close_matches(choice[1], re.findall(r"\w+", choice[2]), n=1)
            message = f"there is no command {choice[1]}" + (f"; did you mean {near[0]}?" if near else "")
        print(f"{self.prog}: {message}\nnext: {self.prog} --help", file=sys.stderr)
        raise SystemExit(USAGE)


# argparse has no public name for what add_subparsers gives.
Commands: TypeAlias = "argparse._SubParsersAction[Words]"


def command(commands: Commands, name: str, help: str, examples: str) -> Words:
    """A command, with its examples."""
    words: Words = commands.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=f"examples:\n{examples}"
    )
    common(words, suppress=True)
    return words


def actions(words: Words) -> Commands:
    """The second words of a command that has some, such as `user add`."""
    return words.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Words)


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


def converging(words: argparse.ArgumentParser) -> None:
    """What a run that changes the machine may be told."""
    words.add_argument(
        "--wheelhouse",
        metavar="DIR",
        type=directory,
        help="take Python packages from DIR alone, and releases that lie there",
    )
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")


def seconds(text: str) -> float:
    """How long to wait. A float would take nan, with which no wait ever ends, and less than nothing."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write one like 60")
    return float(text)


def directory(text: str) -> str:
    """A directory that is there, as an absolute path: what we start has another working directory, and // is /."""
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"there is no directory {text}")
    return os.path.realpath(text)


def file(text: str) -> str:
    """A file that is there, as an absolute path."""
    if not os.path.isfile(text):
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return os.path.realpath(text)


def localpart(text: str) -> str:
    """A user's name. Raises what argparse turns into a sentence."""
    from matrix_baremetal import names

    try:
        return names.localpart(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
