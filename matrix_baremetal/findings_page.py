"""The page of doctor, for somebody at two in the morning: what is wrong, how that shows, and what to type next.

Text only, and plain without a terminal; who prints it is somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrix_baremetal.findings import STATES, Finding, State, counted
from matrix_baremetal.report import coloured, wrapped

SIGNS: dict[State, str] = {"fail": "✗", "warn": "!", "info": "i", "skip": "-", "pass": "✓"}
WORDS: dict[State, tuple[str, str]] = {
    "fail": ("fault", "faults"),
    "warn": ("warning", "warnings"),
    "info": ("note", "notes"),
    "skip": ("skipped", "skipped"),
    "pass": ("fine", "fine"),
}
# Lines of evidence for a person; all of them are in --json, and shown with -v.
MOST: dict[State, int] = {"fail": 12, "warn": 12, "info": 4}


def page(
    name: str, findings: Sequence[Finding], seconds: float, *, verbose: bool = False, quiet: bool = False
) -> Iterator[str]:
    """The whole page: what is wrong, the worst first, then what is skipped, and last how it is all in all."""
    states: tuple[State, ...] = ("fail",) if quiet else STATES if verbose else ("fail", "warn", "info")
    shown = [finding for finding in findings if finding.state in states]
    for finding in shown:
        yield from told(finding, verbose=verbose)
    skipped = [finding for finding in findings if finding.state == "skip"]
    if skipped and not verbose and not quiet:
        yield from passed_over(skipped)
    if quiet and not shown:
        return
    yield f"{name}: {summary(findings)}, in {seconds:.1f} s."
    worst = next((f for f in findings if f.state in ("fail", "warn") and f.next), None)
    if worst:
        yield f"next: {worst.next}"


def told(finding: Finding, *, verbose: bool = False) -> Iterator[str]:
    """One finding: its sentence under its id, the evidence, the next command, and an empty line."""
    sign = SIGNS[finding.state]
    seen = coloured(sign, sign) if finding.state in ("fail", "warn", "pass") else sign
    # Broken before it is coloured: what isn't seen has no width.
    sentence = wrapped(f"{sign} {finding.id}: {finding.message}", 2)
    yield sentence.replace(f"{sign} {finding.id}", f"{seen} {coloured(finding.id, 'bold')}", 1)
    if finding.state == "pass" and not verbose:
        return
    lines = [line for text in finding.evidence for line in text.splitlines()]
    most = len(lines) if verbose else MOST.get(finding.state, 0)
    for line in lines[:most]:
        yield f"    {line}"
    if len(lines) > most:
        yield coloured(f"    … {len(lines) - most} more lines: matrix-baremetal doctor -v {finding.id}", "dim")
    if finding.next:
        yield f"    next: {finding.next}"
    if finding.state in ("fail", "warn", "info"):
        yield ""


def passed_over(skipped: Sequence[Finding]) -> Iterator[str]:
    """What could not be asked, by the reason: there are many behind one cause."""
    reasons: dict[str, list[str]] = {}
    for finding in skipped:
        reasons.setdefault(finding.message, []).append(finding.id)
    for reason, ids in reasons.items():
        names = (
            ids[0] if len(ids) == 1 else f"{len(ids)} checks ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})"
        )
        yield f"- skipped {names}: {reason}"
    yield ""


def summary(findings: Sequence[Finding]) -> str:
    """2 faults, 1 warning, 60 fine."""
    rows = [(count, WORDS[state]) for state, count in counted(findings).items() if count or state == "fail"]
    return ", ".join(f"{count or 'no'} {words[count != 1]}" for count, words in rows)
