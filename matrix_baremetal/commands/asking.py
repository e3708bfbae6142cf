"""Asking a person whether to go on."""

from __future__ import annotations

import sys

from matrix_baremetal.commands.init import Unanswered

GO_ON = "Type yes to go on: "


def agreed(question: str, alone: str, hint: str, wanted: str = "yes") -> None:
    """Ask, and go on only after the wanted word. Raises `Unanswered`, with `alone` where nobody is here."""
    if not sys.stdin.isatty():
        raise Unanswered(alone, hint=hint)
    # Not input's own prompt, which goes to stdout, where --json has its document.
    print(question, end="", file=sys.stderr, flush=True)
    try:
        answer = input()
    except EOFError:
        # Ctrl-D is no yes.
        print(file=sys.stderr)
        answer = ""
    if answer.strip().lower() != wanted:
        raise Unanswered("nothing was changed", hint=f"type {wanted}, or say --yes")


def confirmed(*, yes: bool) -> None:
    """Ask whether to go on after a page that says what will be done. Raises `Unanswered`."""
    if not yes:
        agreed(GO_ON, "nobody can be asked here", "the same command with --yes, once you have read the page")
