"""Whom the daily look of doctor tells: a part of the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from matrix_baremetal import names
from matrix_baremetal.shape import Mistake, Mistakes


def _distinct(people: tuple[str, ...]) -> tuple[str, ...]:
    twice = [i for i, name in enumerate(people) if name in people[:i]]
    if twice:
        raise Mistakes([Mistake((i,), f"{people[i]} is listed twice", "remove one of the two") for i in twice])
    return people


@dataclass(frozen=True)
class Alerts:
    """People here who read the news in a room, and an address for mail where that is not to be had, or instead."""

    invite: Annotated[tuple[Annotated[str, names.localpart], ...], _distinct] = ()
    mail: Annotated[str, names.email] | None = None


NO_ALERTS = Alerts()
