"""How far a run is: a line for each change as it ends, and on a terminal what is under way, for how long."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

from matrix_baremetal import log, report
from matrix_baremetal.converge import Change


class Progress:
    """Tells each change as it ends; on a terminal also which one is under way, and for how long.

    A person who watches an install is spared the dozens of directories and files that are made in no time: they are
    counted. With -v, and where nobody watches, each is told.
    """

    def __init__(self, *, quiet: bool, live: Live | None = None) -> None:
        self.quiet = quiet
        self.live = live
        self.small = 0

    def tell(self, change: Change) -> Change:
        """Say it, and pass it on."""
        if not change.ended:
            if self.live is not None:
                self.live.show(f"{change.verb} {change.title}")
        elif self.live is not None and small(change) and not log.verbose:
            self.small += 1
        elif not self.quiet:
            self._say(told(change))
        return change

    def end(self) -> None:
        """Say how many were only counted."""
        if self.small:
            things = report.several("small thing", self.small)
            self._say([f"  {report.coloured('✓', '✓')}          create {things} more (-v names each)"])

    def _say(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.live.say(line) if self.live is not None else print(line, flush=True)


def small(change: Change) -> bool:
    """Whether nobody would miss it: something new, made at once, with nothing to say of it."""
    return change.action == "create" and change.outcome == "done" and not change.kept and not timed(change)


def timed(change: Change) -> bool:
    """Whether it took long enough to have its time told."""
    return change.seconds >= 0.05


def told(change: Change) -> Iterator[str]:
    """A change that ended, in lines."""
    sign = "✓" if change.outcome == "done" else "!"
    spent = f"{change.seconds:5.1f} s" if timed(change) else "       "
    line = report.wrapped(f"  {sign} {spent}  {change.verb} {change.title}", 13)
    # Broken before it is coloured: what isn't seen has no width.
    yield line.replace(sign, report.coloured(sign, sign), 1)
    if change.reason:
        yield report.wrapped(f"             {change.outcome}: {change.reason}", 13)
    for kept in change.kept:
        yield report.wrapped(f"             what was there is kept: {kept}", 13)


class Live:
    """The line at the bottom of a terminal that says what is under way and for how long, drawn by rich."""

    def __init__(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
        self.drawing = Progress(*columns, transient=True)
        self.task = self.drawing.add_task("look at this machine", total=None)

    def show(self, text: str) -> None:
        """Another thing is under way."""
        self.drawing.remove_task(self.task)
        self.task = self.drawing.add_task(text, total=None)

    def say(self, line: str) -> None:
        """Put a line above it."""
        from rich.text import Text

        self.drawing.console.print(Text.from_ansi(line), soft_wrap=True)


@contextlib.contextmanager
def telling(*, json: bool, quiet: bool) -> Iterator[Progress]:
    """The progress of a run: drawn where a person watches, plain lines elsewhere, nothing with --json."""
    if json or quiet or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        yield Progress(quiet=quiet or json)
        return
    try:
        live = Live()
    except ImportError:
        yield Progress(quiet=False)
        return
    with live.drawing:
        progress = Progress(quiet=False, live=live)
        yield progress
        progress.end()
