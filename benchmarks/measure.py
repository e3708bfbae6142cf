"""Samples, their spread, and the rows of the table in docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


def spread(samples: Sequence[float], unit: str = "s", digits: int = 1) -> str:
    """The median, and between which two all samples lie."""
    middle = f"{statistics.median(samples):.{digits}f}"
    ends = f"{min(samples):.{digits}f}–{max(samples):.{digits}f}"
    return f"{middle} {unit} ({ends})".replace(" (", f" ({'' if len(samples) > 1 else 'one run: '}")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that what slows the machine down for a while slows both."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
