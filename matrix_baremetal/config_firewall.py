"""Whether this machine's firewall is opened for what the homeserver needs, and which firewall that is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from matrix_baremetal.names import shown
from matrix_baremetal.shape import Mistake, Mistakes

Kind: TypeAlias = Literal["none", "ufw", "firewalld"]


def zone(text: str) -> str:
    """Check the name of a zone of firewalld's: letters, digits, _ and -, 17 at most (firewalld.zone(5))."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,17}", text):
        raise ValueError(f"{shown(text)} is no name of a zone; firewall-cmd --get-zones lists those that there are")
    return text


@dataclass(frozen=True)
class Firewall:
    """Which firewall is opened, and in which zone of firewalld's; without one it is its default zone.

    It is said and never guessed, as an upgrade of ours must change nobody's firewall.
    """

    kind: Kind = "none"
    zone: Annotated[str, zone] | None = None

    def __post_init__(self) -> None:
        if self.zone is not None and self.kind != "firewalld":
            message = "zones are firewalld's, and that is not what is opened"
            raise Mistakes([Mistake(("zone",), message, "write kind: firewalld, or remove it")])
