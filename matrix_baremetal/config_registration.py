"""Who may make an account without an administrator, and until when or how long without one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal, TypeAlias

from matrix_baremetal.names import shown
from matrix_baremetal.settings import unverified
from matrix_baremetal.shape import Mistake, Mistakes

Mode: TypeAlias = Literal["closed", "token", "open"]
OPEN_TO_ALL = "nobody is asked for anything, so programs would make accounts by the thousand"
# A day and a time, and maybe the zone that is meant (RFC 3339 §5.6, seconds left out at will).
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(Z|[+-]\d\d:\d\d)?")
# The years that systemd's timers know, as far as they are of use (systemd.time(7)).
_YEARS = range(2000, 2200)


def moment(text: str) -> str:
    """Check that a text is a day and a time that there is."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"expected a day and a time, as in 2026-12-24T18:00, found the text {shown(text)}")
    try:
        found = end(text, UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"there is no {text}") from None
    if found.year not in _YEARS:
        raise ValueError(f"{text} is not between the years {_YEARS[0]} and {_YEARS[-1]}")
    return text


def end(text: str, zone: tzinfo) -> datetime:
    """The moment that a checked text means, in UTC; one that names no zone is in that of the machine.

    Where clocks are put back and an hour comes twice, it is the first of the two: it closes early, not late.
    """
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def here(when: datetime, zone: tzinfo) -> str:
    """A moment as the clock of this machine shows it, with the name of its zone."""
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def days(number: int) -> int:
    """Check for how many days a machine may be without anybody who looks after it."""
    if not 1 <= number <= 365:
        raise ValueError(f"{number} is not between 1 and 365")
    return number


@dataclass(frozen=True)
class Registration:
    """Who may make an account; with `until`, nobody from that moment on, and with `unattended_days`, nobody once no
    administrator has looked in for so long.
    """

    mode: Mode
    until: Annotated[str, moment] | None = None
    unattended_days: Annotated[int, days] | None = None

    def __post_init__(self) -> None:
        if self.mode == "closed":
            ends = [key for key in ("until", "unattended_days") if getattr(self, key)]
            mistakes = [
                Mistake((key,), "means nothing with mode: closed", "write mode: token, or remove it") for key in ends
            ]
            if mistakes:
                raise Mistakes(mistakes)

    def ungated(self, settings: Mapping[str, Any], *, mail: bool) -> list[Mistake]:
        """Find that it is open to whoever comes, person or program."""
        missing = None if self.mode != "open" or mail else unverified(settings)
        return [Mistake(("registration",), OPEN_TO_ALL, missing)] if missing else []
