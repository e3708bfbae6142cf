"""What several checks ask of systemd, asked once: each program that is started takes its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from matrix_baremetal.checks import declared
from matrix_baremetal.checks.check import PATIENCE, Check
from matrix_baremetal.checks.declared import Current, Runs
from matrix_baremetal.checks.pressure import Pressure
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources import services
from matrix_baremetal.resources.systemd import shown_of_each

PROPERTIES = tuple(dict.fromkeys((*declared.PROPERTIES, *services.PROPERTIES, "ControlGroup")))


def together(checks: Sequence[Check], host: Host) -> tuple[Check, ...]:
    """The same checks, those about units with what systemd says of theirs. Where it says nothing, each asks."""
    names = tuple(dict.fromkeys(check.name for check in checks if isinstance(check, Runs | Current | Pressure)))
    try:
        asked = shown_of_each(host, names, *PROPERTIES, timeout=PATIENCE) if names else {}
    except Error:
        return tuple(checks)
    return tuple(told(checks, asked))


def told(checks: Iterable[Check], asked: Mapping[str, dict[str, str]]) -> Iterable[Check]:
    """The checks about units, each with what was said of its own."""
    for check in checks:
        unit = isinstance(check, Runs | Current | Pressure)
        yield replace(check, seen=asked.get(check.name)) if unit else check  # type: ignore[attr-defined, call-arg]
