"""The command line: words in, an exit status out. Each command's module is imported only when it is asked for."""

from __future__ import annotations

import errno
import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TextIO

from matrix_baremetal import log, words
from matrix_baremetal.errors import FAILED, ConfigError, Error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, for a reader of its output who may leave at any time."""
    try:
        try:
            # A program that was started without any streams has None there.
            sys.stdin = sys.stdin or nothing()
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
        unread()
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # Files of ours are told with their path (`said_of`): this is one that somebody has stdout go to.
        unread()
        print("matrix-baremetal: there is no room for the output\nnext: df -h; df -i", file=sys.stderr)
        return FAILED


def unread() -> None:
    """Let nobody have what is still to be written to stdout: at exit Python would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def nothing() -> TextIO:
    """A stream with nothing to read, so that there is nobody to ask."""
    return os.fdopen(os.open(os.devnull, os.O_RDONLY))


def nowhere() -> TextIO:
    """A stream that nobody reads."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def run(argv: Sequence[str] | None) -> int:
    """Run one command. Every `Error` ends here as a sentence and the next step; anything else is a bug."""
    args = words.parser().parse_args(argv)
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


def command(args: Namespace) -> int:
    """Import the module of the command and run it."""
    import importlib

    module = importlib.import_module(f"matrix_baremetal.commands.{args.command}")
    status: int = module.run(args)
    return status


def tell(error: Error, *, json: bool) -> None:
    """An error for a person on stderr; with --json also as a document on stdout."""
    from matrix_baremetal import report

    # A config's mistakes begin with their place, where editors look for it.
    head = "" if isinstance(error, ConfigError) else "matrix-baremetal: "
    print(report.wrapped(f"{head}{error.message}", 2, sys.stderr), file=sys.stderr)
    if error.hint:
        print(report.wrapped(f"next: {error.hint}", 6, sys.stderr), file=sys.stderr)
    if json:
        report.document({"error": error.message, "next": error.hint, "status": error.status})


if __name__ == "__main__":
    sys.exit(main())
