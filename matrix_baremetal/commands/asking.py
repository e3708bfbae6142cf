"""Asking a person whether to go on."""

from __future__ import annotations

import sys
from argparse import Namespace

from matrix_baremetal.commands.init import Unanswered


def confirmed(args: Namespace) -> None:
    """Ask whether to go on. Raises `Unanswered`."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise Unanswered("nobody can be asked here", hint="the same command with --yes, once you have read the page")
    if input("Type yes to go on: ").strip().lower() != "yes":
        raise Unanswered("nothing was changed", hint="type yes, or say --yes")
