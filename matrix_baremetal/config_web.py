"""What an operator asks for of programs that run in people's browsers: a part of the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from matrix_baremetal import names
from matrix_baremetal.shape import Mistake, Mistakes

# This machine, and what no router of the internet passes on (RFC 1918, RFC 4193, RFC 4291).
PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")


@dataclass(frozen=True)
class Release:
    """An archive to install in place of the pinned one: a mirror's, or another version; its hash is what counts."""

    url: Annotated[str, names.url]
    sha256: Annotated[str, names.sha256]


@dataclass(frozen=True)
class WebClient:
    """Which web client is served, under which name; without one it is chat.SERVER_NAME."""

    kind: Literal["element", "hydrogen", "none"] = "none"
    hostname: Annotated[str, names.hostname] | None = None
    release: Release | None = None

    def __post_init__(self) -> None:
        if self.kind == "none":
            given = [name for name in ("hostname", "release") if getattr(self, name) is not None]
            why = "means nothing without a web client"
            if given:
                raise Mistakes([Mistake((name,), why, "write kind: element, or remove it") for name in given])


@dataclass(frozen=True)
class AdminUi:
    """A page for administrators, under admin.SERVER_NAME unless named, and the networks that it is for."""

    enabled: bool = False
    kind: Literal["ketesa", "synapse-admin"] = "ketesa"
    hostname: Annotated[str, names.hostname] | None = None
    allow: tuple[Annotated[str, names.network], ...] = ()
    release: Release | None = None

    @property
    def networks(self) -> tuple[str, ...]:
        """Give the networks that it is for: this machine and private ones, unless some are listed."""
        return self.allow or PRIVATE
