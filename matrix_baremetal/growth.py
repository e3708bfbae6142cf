"""How full the disks were day by day, as the daily run of doctor noted it, and how fast they fill up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.host import Host

PATH = "/var/lib/matrix-baremetal/growth.json"
DAY = 86400
# Days: what is older says little of today; less than the last is too short to say anything.
KEPT, LEAST = 60, 3
# Samples that lie nearer to each other are one.
APART = DAY // 4


@dataclass(frozen=True)
class Sample:
    """One day: when (seconds since 1970), the bytes in use of the file system of each path, and those of what grows,
    such as the database.
    """

    at: int
    used: Mapping[str, int]
    parts: Mapping[str, int]


def read(host: Host) -> tuple[Sample, ...]:
    """The samples, the oldest first; none where there is no note that makes sense."""
    try:
        rows: list[dict[str, Any]] = json.loads(host.text(PATH) or "[]")
        return tuple(Sample(int(r["at"]), numbers(r["used"]), numbers(r["parts"])) for r in rows)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def numbers(rows: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by name."""
    return {str(name): int(size) for name, size in rows.items()}


def remember(host: Host, sample: Sample) -> None:
    """Note one more, and let go of what is old. One of today takes the place of another of today."""
    kept = [each for each in read(host) if sample.at - KEPT * DAY < each.at <= sample.at - APART]
    rows = [{"at": each.at, "used": dict(each.used), "parts": dict(each.parts)} for each in (*kept, sample)]
    host.write(PATH, json.dumps(rows) + "\n", 0o600)


def rate(points: Sequence[tuple[int, int]]) -> float | None:
    """Bytes a day, by the straight line that is nearest to all points (moment, bytes); None of too short a time.

    All of them, not the ends: a vacuum or an upgrade in between is no growth.
    """
    if len(points) < LEAST or points[-1][0] - points[0][0] < LEAST * DAY * 0.9:
        return None
    days = [(moment - points[0][0]) / DAY for moment, _ in points]
    middle, level = sum(days) / len(days), sum(size for _, size in points) / len(points)
    spread = sum((day - middle) ** 2 for day in days)
    return sum((day - middle) * (size - level) for day, (_, size) in zip(days, points, strict=True)) / spread


def of_disk(samples: Sequence[Sample], path: str) -> float | None:
    """Bytes a day that the file system of a path gets fuller by."""
    return rate([(each.at, each.used[path]) for each in samples if path in each.used])


def of_parts(samples: Sequence[Sample]) -> dict[str, float]:
    """The same of what grows, the fastest first."""
    names = dict.fromkeys(name for each in samples for name in each.parts)
    found = {name: rate([(each.at, each.parts[name]) for each in samples if name in each.parts]) for name in names}
    known = {name: speed for name, speed in found.items() if speed is not None}
    return dict(sorted(known.items(), key=lambda row: -row[1]))
