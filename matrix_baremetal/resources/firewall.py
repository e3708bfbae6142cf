"""What ufw and firewalld have in common: under which name they know what is ours, and how a port is written."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Of ufw's application profile and of firewalld's service.
NAME = "matrix-baremetal"


def ordered(ports: Iterable[str]) -> tuple[str, ...]:
    """Ports such as 443/tcp and 49152-49407/udp, each once, in the order of their numbers."""
    return tuple(sorted(set(ports), key=lambda port: (*span(port), port)))


def span(port: str) -> tuple[int, int]:
    """The first and the last number of a port or a range of them, whatever stands between the two and behind."""
    numbers = [int(number) for number in re.findall(r"\d+", port)]
    return numbers[0], numbers[-1]


def within(port: str, other: str) -> bool:
    """Whether a port or a range is among another, both as of `ordered`."""
    (first, last), (low, high) = span(port), span(other)
    return low <= first and last <= high and port.rpartition("/")[2] == other.rpartition("/")[2]
