"""What people and programs read on stdout: the plan, the outcome. No decisions are taken here."""

from __future__ import annotations

import json as json_module
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from matrix_baremetal.converge import Change, still_pending
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.resources.resource import Difference
from matrix_baremetal.site import Site

SIGNS = {"create": "+", "start": "+", "remove": "-", "forget": "-", "wait": " "}
COLOURS = {"+": "32", "-": "31", "~": "33", " ": "0", "!": "33", "✓": "32", "✗": "31", "dim": "2", "bold": "1"}


def coloured(text: str, colour: str) -> str:
    """Text in a colour where stdout is a terminal and nobody asked for plain text (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def wrapped(text: str, indent: int = 0, stream: TextIO | None = None, margin: int = 0) -> str:
    """Lines of prose broken between words where a terminal would break them anywhere; what follows is indented.

    `stream` is where they will go, stdout unless said; what isn't a terminal gets them as they are. `margin` columns
    are left free.
    """
    if not (stream or sys.stdout).isatty():
        return text
    fill = textwrap.TextWrapper(
        shutil.get_terminal_size().columns - margin,
        subsequent_indent=" " * indent,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    # What is coloured is longer than it looks.
    return "\n".join(line if "\x1b" in line else fill.fill(line) for line in text.splitlines())


def document(data: Any) -> None:
    """One JSON document on stdout."""
    # Where that is no UTF-8, Python's way to write what it hasn't got is not JSON's.
    print(json_module.dumps(data, indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


def plan(site: Site, changes: Sequence[Change], obstacles: Sequence[Obstacle], *, json: bool, verbose: bool) -> None:
    """The page that is read before anything changes; last what would keep all of it from being done."""
    if json:
        rows = {
            "changes": [row(change) for change in changes],
            "obstacles": [{"message": o.message, "hint": o.hint} for o in obstacles],
            "newer": [asdict(each) for each in site.versions.synapse.newer],
        }
        document({"server_name": site.config.server_name, **rows})
        return
    if not changes:
        print(f"{site.config.server_name} is as its config says. There is nothing to do.")
        if sentence := newer(site):
            print(wrapped(sentence))
        return
    print(f"What apply would change for {site.config.server_name}, in this order:\n")
    for change in changes:
        print(planned(change))
        for line in details(change, verbose=verbose):
            print(f"      {line}")
    if not obstacles:
        print("\n" + wrapped(f"{counted(changes)}. Nothing has been changed. To do it: matrix-baremetal apply"))
        return
    sentence = "Nothing has been changed, and nothing can be as long as this is in the way:"
    print("\n" + wrapped(f"{counted(changes)}. {sentence}"))
    in_the_way(obstacles)


def in_the_way(obstacles: Sequence[Obstacle]) -> None:
    """Each thing that is in the way, and how it gets out of it."""
    for obstacle in obstacles:
        said = wrapped(f"✗ {obstacle.message}\n  next: {obstacle.hint}", 2)
        print(f"\n{said.replace('✗', coloured('✗', '✗'), 1)}")


def newer(site: Site) -> str:
    """What this release has that is newer than what runs, in a sentence; empty where nothing is."""
    synapse = site.versions.synapse
    if not synapse.newer:
        return ""
    kind = ", which mends security holes," if any(each.security for each in synapse.newer) else ""
    return f"Synapse {synapse.version} runs here, and {synapse.newest}{kind} is there: matrix-baremetal upgrade"


def planned(change: Change) -> str:
    """A change that is to come, in a line."""
    sign, lines = SIGNS.get(change.verb, "~"), size(change)
    # Broken before it is coloured: what isn't seen has no width.
    line = wrapped(f"  {sign} {change.verb:<8} {change.title}{lines}", 6).replace(sign, coloured(sign, sign), 1)
    return line.replace(lines, coloured(lines, "dim")) if lines else line


def size(change: Change) -> str:
    """How long a new file is: its text is for -v."""
    lines = next((d.after.count("\n") for d in change.differences if d.field == "content"), 0)
    return f"  ({several('line', lines)})" if change.action == "create" and lines else ""


def details(change: Change, *, verbose: bool) -> Iterator[str]:
    """What differs, line by line; of a thing that isn't there yet only when asked for."""
    if change.edited:
        yield coloured("changed by hand; what is there now will be kept aside", "!")
    if change.verb == "forget":
        yield "it stays as it is, and is not looked after any more"
    if change.action == "create" and not verbose:
        return
    for difference in change.differences:
        if difference.field == "known":
            yield "nobody can tell as long as Postgres is down"
        elif difference.field == "stale":
            yield "what it reads has changed since it started"
        elif change.verb not in ("start", "switch", "wait", "check"):
            yield from spelled(difference)


def spelled(difference: Difference) -> Iterator[str]:
    """One difference: a unified diff where there are lines, else both values."""
    if "\n" not in difference.before + difference.after:
        yield from difference.lines
        return
    for line in difference.lines:
        yield coloured(line, line[0]) if line[0] in "+-" else coloured(line, "dim")


def counted(changes: Iterable[Change]) -> str:
    """2 to create, 1 to restart."""
    counts = Counter(change.verb for change in changes)
    return ", ".join(f"{count} to {verb}" for verb, count in counts.items())


def several(noun: str, count: int) -> str:
    """A count of things: 1 directory, 2 directories."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{count} {noun}s"


def indented(text: str) -> str:
    """Lines two spaces further in."""
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def row(change: Change) -> dict[str, Any]:
    """A change as JSON; its keys are a promise."""
    return asdict(change) | {"differences": [asdict(difference) for difference in change.differences]}


def applied(site: Site, changes: Sequence[Change], *, json: bool, quiet: bool) -> None:
    """How a run ended."""
    pending = still_pending(changes)
    if json:
        document(
            {"server_name": site.config.server_name, "changes": [row(c) for c in changes], "pending": len(pending)}
        )
    elif not changes and not quiet:
        print(f"{site.config.server_name} is as its config says. Nothing was changed.")
    elif not quiet:
        count = sum(change.outcome == "done" for change in changes)
        seconds = sum(change.seconds for change in changes)
        print(f"{several('change', count)} in {seconds:.1f} s.")
    if not json:
        waiting(pending)


def waiting(pending: Iterable[Change]) -> None:
    """What could not be made yet, and how it goes on."""
    for change in pending:
        print(f"{change.title} is pending: {change.reason}.")
        # A timer looks after certificates; whatever else has to wait goes on with the next run.
        if change.kind == "Certificate":
            print("It is tried again by itself, or now by: matrix-baremetal apply")
        else:
            words = (f"next: {change.hint}", "then: ") if change.hint else ("next: ",)
            print("\n".join(f"  {word}" for word in words) + "matrix-baremetal apply")


def rendered(paths: Sequence[str], *, json: bool, quiet: bool) -> None:
    """What render wrote."""
    if json:
        document({"files": list(paths)})
    elif not quiet:
        print("\n".join(paths))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces apart; on a terminal the last column is broken where it would run out."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    last = sum(widths[:-1]) + 2 * len(widths[:-1])
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in rows)
    # What is indented afterwards has to fit as well.
    return "\n".join(wrapped(line, last, margin=2) for line in lines)
