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

    def under(self, server_name: str) -> str | None:
        """Give the name that it answers to; None where there is none."""
        return None if self.kind == "none" else self.hostname or f"chat.{server_name}"


@dataclass(frozen=True)
class AdminUi:
    """A page for administrators, under admin.SERVER_NAME unless named, and the networks that it is for."""

    enabled: bool = False
    kind: Literal["ketesa", "synapse-admin"] = "ketesa"
    hostname: Annotated[str, names.hostname] | None = None
    allow: tuple[Annotated[str, names.network], ...] = ()
    release: Release | None = None

    def under(self, server_name: str) -> str | None:
        """Give the name that it answers to; None where there is none."""
        return (self.hostname or f"admin.{server_name}") if self.enabled else None

    @property
    def networks(self) -> tuple[str, ...]:
        """Give the networks that it is for: this machine and private ones, unless some are listed."""
        return self.allow or PRIVATE


def former(
    names: tuple[str, ...], homeserver: str, server_name: str, browsers: tuple[str | None, ...]
) -> list[Mistake]:
    """Find names of before that are still in use: their vhost is another's, maybe that of a program for browsers."""
    return [
        Mistake(("former_hostnames", index), f"{name} is not former: {use}", "remove it from this list")
        for index, name in enumerate(names)
        for use in (
            *(["it is the hostname now"] if name == homeserver else []),
            *(["it is the server name, which is served anyway"] if name == server_name else []),
            *(["a program for browsers answers to it"] if name in browsers else []),
            *(["it is listed twice"] if name in names[:index] else []),
        )
    ]


def shared(homeserver: str, server_name: str, client: str | None, admin: str | None) -> list[Mistake]:
    """Find programs for browsers on a name where another could do what they can."""
    found, own = list[Mistake](), "give it a name of its own, or remove the line"
    if client == homeserver:
        why = "a web client on the homeserver's own name could be tricked by what people upload there"
        found.append(Mistake(("web_client", "hostname"), why, own))
    if admin in (homeserver, server_name, client) and admin:
        why = "an admin page on a name that serves something else too could be tricked by that"
        found.append(Mistake(("admin_ui", "hostname"), why, own))
    return found
