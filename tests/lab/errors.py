"""What goes wrong in the lab and a person can mend: one sentence and the next step."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class LabError(Exception):
    """The lab can't do what was asked. `hint` is the next step, best a command."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n  {hint}")
        self.message = message
        self.hint = hint


class CommandFailed(LabError):
    """A command ended with a status that its caller did not expect; says all that it said."""

    def __init__(self, where: str, argv: Sequence[str], status: int, stdout: str = "", stderr: str = "") -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr
        said = "\n".join(text.rstrip() for text in (stdout, stderr) if text.strip())
        super().__init__(f"on {where}: {shlex.join(argv)}\nended with status {status}\n{said}".rstrip())


class CommandTimeout(CommandFailed):
    """A command took longer than it was given and was stopped."""

    def __init__(self, where: str, argv: Sequence[str], seconds: float, stdout: str = "", stderr: str = "") -> None:
        super().__init__(where, argv, 124, stdout, f"{stderr}\n(stopped after {seconds:g} s)")
