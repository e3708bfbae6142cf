"""What a check is: one question to the host, made by a component, answered by one finding."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from matrix_baremetal.findings import Finding, State
from matrix_baremetal.host import Host
from matrix_baremetal.resources import systemd

# Seconds: how long a program may take that a check starts.
PATIENCE = 4.0
APPLY = "matrix-baremetal apply"


@dataclass(frozen=True)
class Check(ABC):
    """One question to the host.

    Its id is made of `form` and its fields, and is a promise: people and their monitoring name it. `look` may raise
    `Error`, which is a fault with its own hint.
    """

    # What its id looks like, filled in with itself: dns.a.{0.name}.
    form: ClassVar[str] = ""
    # What it finds out, in words that end a sentence beginning with "whether".
    asks: ClassVar[str] = ""
    # Whether it waits for the network: such checks run side by side, and start no programs.
    remote: ClassVar[bool] = False
    # 0: the machine and its names, which make sense before an install too; 1: what is declared; 2: what is served;
    # 3: what others make of it. Causes stand before their effects.
    depth: ClassVar[int] = 1
    # All kinds, as docs/checks.md lists them.
    kinds: ClassVar[list[type[Check]]] = []

    def __init_subclass__(cls) -> None:
        if cls.form:
            Check.kinds.append(cls)

    @property
    def id(self) -> str:
        """Its name among all checks of a site."""
        return self.form.format(self)

    @property
    def after(self) -> tuple[str, ...]:
        """Ids of checks that are no remote ones: where one of them fails, this one has nothing to say of its own."""
        return ()

    @abstractmethod
    def look(self, host: Host) -> Finding:
        """Ask, and say what was found. Never writes."""

    def found(
        self, state: State, message: str, evidence: tuple[str, ...] = (), next: str = "", fix: str = ""
    ) -> Finding:
        """A finding of this check; where nothing else is said to do, it is what mends it."""
        return Finding(self.id, state, message, evidence, next or fix, fix)

    def fine(self, message: str, *evidence: str) -> Finding:
        """All is as it should be."""
        return self.found("pass", message, evidence)

    def told(self, message: str, *evidence: str, next: str = "") -> Finding:
        """Nothing is wrong, and somebody may want to know."""
        return self.found("info", message, evidence, next)

    def skipped(self, message: str) -> Finding:
        """There is nothing to say, and why."""
        return self.found("skip", message)

    def warned(self, message: str, *evidence: str, next: str = "", fix: str = "") -> Finding:
        """Something to look at soon."""
        return self.found("warn", message, evidence, next, fix)

    def failed(self, message: str, *evidence: str, next: str = "", fix: str = "") -> Finding:
        """A fault."""
        return self.found("fail", message, evidence, next, fix)


def documented(kind: type[Check]) -> str:
    """How a kind's ids look in the documentation: dns.a.NAME."""
    return re.sub(r"\{0\.(\w+)\}", lambda match: match[1].upper(), kind.form)


def last_lines(host: Host, unit: str, count: int = 4) -> tuple[str, ...]:
    """The last lines that a unit left in the journal, within a check's time."""
    return systemd.last_lines(host, unit, count, PATIENCE)


def shown(host: Host, unit: str, *properties: str) -> dict[str, str]:
    """What systemd knows of a unit, by property, within a check's time."""
    return systemd.shown(host, unit, *properties, timeout=PATIENCE)


def short(unit: str) -> str:
    """A unit's name as people say it."""
    return unit.removesuffix(".service")
