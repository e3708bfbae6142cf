"""What a check found: one finding each, the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["fail", "warn", "info", "skip", "pass"]
# The order of the page. A fail is a fault, and makes the exit status 3; a warning alone does not.
STATES: tuple[State, ...] = ("fail", "warn", "info", "skip", "pass")


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing, with what was seen and what to do next; `seconds` is how long it took.

    `fix` is the command that mends it, where there is one that nobody needs to think about: it asks nothing, loses
    nothing, and may be run again.
    """

    id: str
    state: State
    message: str
    evidence: tuple[str, ...] = ()
    next: str = ""
    fix: str = ""
    seconds: float = 0.0


def sorted_by_state(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; among equals the order of the checks stays, which has causes before their effects."""
    return sorted(findings, key=lambda finding: STATES.index(finding.state))


def counted(findings: Iterable[Finding]) -> dict[State, int]:
    """How many there are of each state, in the order of the page; every state is there."""
    states = [finding.state for finding in findings]
    return {state: states.count(state) for state in STATES}
