"""What an operator may ask for beside the homeserver: a TURN server, bridges. The rest is in `config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from matrix_baremetal import addresses, names
from matrix_baremetal.shape import Mistake, Mistakes

# Settings of Synapse that lead its clients to a TURN server.
TURN = ("turn_uris", "turn_shared_secret_path", "turn_username", "turn_password", "turn_password_path")


@dataclass(frozen=True)
class Turn:
    """The server that relays calls: what others see of this machine, and which private networks it relays to."""

    enabled: bool = False
    external_ip: Annotated[str, addresses.external] = "auto"
    allowed_peers: tuple[Annotated[str, addresses.peers], ...] = ()


@dataclass(frozen=True)
class Irc:
    """The bridge to IRC; `owner` is who may use it first, and lets others."""

    enabled: bool = False
    owner: Annotated[str, names.localpart] | None = None

    def __post_init__(self) -> None:
        if self.enabled and self.owner is None:
            message = "without an owner it would be that of whoever writes to it first"
            raise Mistakes([Mistake(("enabled",), message, "write owner: NAME, who has an account here")])


@dataclass(frozen=True)
class Bridges:
    """To which other networks there is a bridge."""

    irc: Irc = Irc()


NO_TURN, NO_BRIDGES = Turn(), Bridges()
