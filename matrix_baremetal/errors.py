"""What an operator can cause or mend: one sentence, where, and the next step.

Anything that is not an `Error` is a bug and keeps its traceback. Only `cli` catches these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

FAILED = 1
USAGE = 2
DIFFERS = 3


class Error(Exception):
    """Something went wrong that a person can understand and mend.

    `message` is one sentence; `hint` is what to do next, best a command; `status` is the exit status. `passes` says
    that the cause may go by itself, such as a network that is late at boot, so that the same again may succeed.
    """

    status = FAILED

    def __init__(self, message: str, hint: str | None = None, *, passes: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.passes = passes


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file that an operator wrote, with its place (line and column count from 1)."""

    line: int
    column: int
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Obstacle:
    """Something in the way: one sentence, and how to get it out of the way; whether it may go by itself."""

    message: str
    hint: str
    passes: bool = field(default=False, compare=False)


class ConfigError(Error):
    """All mistakes of one file at once: an operator mends them in one go, not one a run."""

    status = USAGE

    def __init__(self, file: str, problems: Sequence[Problem], hint: str | None = None) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        lines = [
            f"{file}:{p.line}:{p.column}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in self.problems
        ]
        super().__init__("\n".join(lines), hint=hint or f"edit {file}, then run: matrix-baremetal plan")


class Unreached(Error):
    """The network or a server has gone away in mid-download; what has come is kept, to be gone on with."""


class Pending(Error):
    """A thing that can't be had yet through no fault of this machine; the rest goes on and a timer tries again."""

    status = DIFFERS


class Busy(Error):
    """Another run holds the lock."""
