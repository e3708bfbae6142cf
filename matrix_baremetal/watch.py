"""What is other than at the last look: the doctor's daily run tells that alone, so that a journal says news once.

A warning or a fault is told when it comes, when it becomes another, and when it is gone. What can't be asked now is
as it was. Counts in a sentence change each day, and are no news.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

PATH = "/var/lib/matrix-baremetal/doctor.json"
BAD = ("fail", "warn")


@dataclass(frozen=True)
class Known:
    """What was bad at the last look: its state, and what was said of it, with # for each number."""

    state: str
    said: str


def known(finding: Finding) -> Known:
    """A finding as it is remembered."""
    return Known(finding.state, re.sub(r"\d+", "#", finding.message))


def read(host: Host) -> dict[str, Known]:
    """What was bad at the last look, by id; nothing where there was none."""
    try:
        rows = json.loads(host.text(PATH) or "{}")
        return {str(id): Known(str(row["state"]), str(row["said"])) for id, row in rows["bad"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(host: Host, bad: Mapping[str, Known]) -> None:
    """Remember it."""
    rows = {id: {"state": each.state, "said": each.said} for id, each in bad.items()}
    host.write(PATH, json.dumps({"bad": rows}, indent=1) + "\n", 0o600)


def news(before: Mapping[str, Known], findings: Sequence[Finding]) -> list[Finding]:
    """The findings that are bad and were not, or not so; and those that were and are no more."""
    return [
        finding
        for finding in findings
        if (known(finding) != before.get(finding.id) if finding.state in BAD else mended(before, finding))
    ]


def mended(before: Mapping[str, Known], finding: Finding) -> bool:
    """Whether a finding was bad, and is good now; what is skipped can't say so."""
    return finding.id in before and finding.state not in (*BAD, "skip")


def bad_now(before: Mapping[str, Known], findings: Sequence[Finding], *, some: bool) -> dict[str, Known]:
    """What to remember of a look; where only `some` were asked, what is known of the others stays."""
    asked = {finding.id: finding for finding in findings}
    kept = {
        id: each
        for id, each in before.items()
        if (id not in asked and some) or (id in asked and asked[id].state == "skip")
    }
    return kept | {finding.id: known(finding) for finding in findings if finding.state in BAD}
