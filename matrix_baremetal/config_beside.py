"""What an operator may ask for beside the homeserver: TURN, group calls, bridges. The rest is in `config`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from matrix_baremetal import addresses, names
from matrix_baremetal.config_web import Release
from matrix_baremetal.shape import Mistake, Mistakes

# Settings of Synapse that lead its clients to a TURN server.
TURN = ("turn_uris", "turn_shared_secret_path", "turn_username", "turn_password", "turn_password_path")


@dataclass(frozen=True)
class Turn:
    """The server that relays calls: what others see of this machine, and which private networks it relays to."""

    enabled: bool = False
    external_ip: Annotated[str, addresses.external] = "auto"
    allowed_peers: tuple[Annotated[str, addresses.peers], ...] = ()


# What Synapse has to have switched on for group calls (Element Call's docs/self_hosting.md).
EXPERIMENTS = ("msc4143_enabled", "msc4222_enabled")
RELEASES = "https://github.com/element-hq/lk-jwt-service/releases"
# What belongs to which of the two.
GROUP = ("hostname", "relay", "livekit", "lk_jwt_service", "page")
ROOMS = ("jitsi_hostname", "jitsi_repository")
UNKNOWN = "nobody whom this release could ask publishes the hash of {}, so it has to come from you"
ARCHIVE = "https://github.com/element-hq/element-call/releases/download/vX.Y.Z/element-call-X.Y.Z.tar.gz"


SELF = "self-hosted"


def jitsi(text: str) -> str:
    """Check where a Jitsi is that there is already, or that there is none, or one of our own."""
    return text if text in ("none", SELF) else names.hostname(text)


def fingerprint(text: str) -> str:
    """Check the fingerprint of a key as gpg prints it, with or without spaces; forty digits come of it."""
    whole = text.replace(" ", "").upper()
    if not re.fullmatch(r"[0-9A-F]{40}", whole):
        raise ValueError(
            f"{names.shown(text)} is no fingerprint of a key: forty digits, as gpg --show-keys prints it"
        )
    return whole


@dataclass(frozen=True)
class Repository:
    """Another place to get packages from: its address, that of its key, and which key that is.

    Without an address the key is where upstream has it, below that address. A mirror has upstream's signatures, so a
    fingerprint is for what somebody signs anew.
    """

    url: Annotated[str, names.url]
    key: Annotated[str, names.url] | None = None
    fingerprint: Annotated[str, fingerprint] | None = None


@dataclass(frozen=True)
class CallPage:
    """Element Call as a page of its own; without a name it is call.SERVER_NAME.

    `others` are names under which other homeservers have LiveKit and lk-jwt-service, with which it may speak too.
    """

    hostname: Annotated[str, names.hostname] | None = None
    release: Release | None = None
    others: tuple[Annotated[str, names.hostname], ...] = ()

    def __post_init__(self) -> None:
        if self.release is None:
            hint = f"fetch {ARCHIVE}, run sha256sum on it, and write release: {{url: ADDRESS, sha256: HASH}}"
            raise Mistakes([Mistake((), UNKNOWN.format("Element Call's archive"), hint)])


@dataclass(frozen=True)
class Calls:
    """Calls of more than two: by servers of our own that Element Call uses, or by a Jitsi, our own or elsewhere.

    `hostname` is where those servers answer; without one it is matrix-rtc.SERVER_NAME. `relay`: who can't reach them
    directly comes by the TURN server. `page` is for browsers. `jitsi_hostname` is where our
    own Jitsi does; without one it is meet.SERVER_NAME.
    """

    element_call: bool = False
    hostname: Annotated[str, names.hostname] | None = None
    external_ip: Annotated[str, addresses.external] = "auto"
    relay: bool = False
    livekit: Release | None = None
    lk_jwt_service: Release | None = None
    page: CallPage | None = None
    jitsi: Annotated[str, jitsi] = "none"
    jitsi_hostname: Annotated[str, names.hostname] | None = None
    jitsi_repository: Repository | None = None

    def __post_init__(self) -> None:
        if self.element_call and self.lk_jwt_service is None:
            hint = f"fetch it from {RELEASES}, look at it, and write lk_jwt_service: {{url: ADDRESS, sha256: HASH}}"
            raise Mistakes([Mistake(("element_call",), UNKNOWN.format("lk-jwt-service"), hint)])
        given = [] if self.element_call else [(each, "element_call: true") for each in GROUP]
        given += [] if self.jitsi == SELF else [(each, f"jitsi: {SELF}") for each in ROOMS]
        wrong = [
            Mistake((name,), f"means nothing without {needs}", "write that, or remove it")
            for name, needs in given
            if getattr(self, name) not in (None, False)
        ]
        if wrong:
            raise Mistakes(wrong)

    def under(self, server_name: str) -> str | None:
        """Give the name that the servers for group calls answer to; None where there are none."""
        return (self.hostname or f"matrix-rtc.{server_name}") if self.element_call else None

    def rooms_under(self, server_name: str) -> str | None:
        """Give the name that our own Jitsi answers to; None where there is none."""
        return (self.jitsi_hostname or f"meet.{server_name}") if self.jitsi == SELF else None

    def page_under(self, server_name: str) -> str | None:
        """Give the name that the page for calls answers to; None where there is none."""
        return (self.page.hostname or f"call.{server_name}") if self.page else None

    def jitsi_for(self, server_name: str) -> str | None:
        """Give the name of the Jitsi that clients are led to; None where they are led to none."""
        return self.rooms_under(server_name) or (None if self.jitsi == "none" else self.jitsi)

    def clashes(
        self, settings: Mapping[str, Any], federates: bool, homeserver: str, taken: tuple[str | None, ...]
    ) -> list[Mistake]:
        """Find what does not go with calls: of Synapse's settings, of federation, a name that is `taken`.

        The first of those is the server name.
        """
        found, own = list[Mistake](), taken[0] or ""
        rooms, page, used = self.rooms_under(own), self.page_under(own), (homeserver, self.under(own), *taken)
        for key, name, others, what in (
            (("jitsi_hostname",), rooms, used, "pages of Jitsi"),
            (("page", "hostname"), page, (*used, rooms), "a page for calls"),
        ):
            if name is not None and name in others:
                why = f"{what} on a name that serves something else too could do what that can"
                found.append(Mistake(("calls", *key), why, "give it a name of its own"))
        if not self.element_call:
            return found
        if not federates:
            why = "who calls is asked of this server in the way of other servers, and federation.enabled is false"
            found.append(Mistake(("calls", "element_call"), why, "allow no server but this one: federation.allow"))
        if self.under(own) in taken:
            why = "a program for browsers answers to that name"
            found.append(Mistake(("calls", "hostname"), why, "give it a name of its own, or the homeserver's"))
        if "matrix_rtc" in settings:
            why = "synapse.settings has matrix_rtc, which says where others' servers for group calls are"
            found.append(Mistake(("calls", "element_call"), why, "keep one of the two"))
        theirs = settings.get("experimental_features")
        theirs = theirs if isinstance(theirs, Mapping) else {}
        missing = [name for name in EXPERIMENTS if "experimental_features" in settings and not theirs.get(name)]
        if missing:
            why = f"experimental_features of synapse.settings lacks {' and '.join(missing)}, which group calls need"
            found.append(Mistake(("calls", "element_call"), why, f"write {missing[0]}: true there"))
        return found


@dataclass(frozen=True)
class Owned:
    """A bridge of heisenbridge's; `owner` is who may use it first, and lets others."""

    enabled: bool = False
    owner: Annotated[str, names.localpart] | None = None

    def __post_init__(self) -> None:
        if self.enabled and self.owner is None:
            message = "without an owner it would be that of whoever writes to it first"
            raise Mistakes([Mistake(("enabled",), message, "write owner: NAME, who has an account here")])


@dataclass(frozen=True)
class Mautrix:
    """One of the mautrix bridges: `users` are who may use it, everybody with an account here where none is named."""

    enabled: bool = False
    users: tuple[Annotated[str, names.localpart], ...] = ()
    admins: tuple[Annotated[str, names.localpart], ...] = ()
    release: Release | None = None


def _id(number: int) -> int:
    if number < 1:
        raise ValueError(f"{number} is no id; https://my.telegram.org/apps gives you one")
    return number


@dataclass(frozen=True)
class Telegram(Mautrix):
    """The bridge to Telegram; id and hash are those of a program, as my.telegram.org gives them to everybody."""

    api_id: Annotated[int, _id] | None = None
    api_hash_file: Annotated[str, names.path] | None = None

    def __post_init__(self) -> None:
        missing = [name for name in ("api_id", "api_hash_file") if getattr(self, name) is None]
        if self.enabled and missing:
            message = f"Telegram talks to no program without an id and a hash, and {' and '.join(missing)} is missing"
            raise Mistakes([Mistake(("enabled",), message, "make both at https://my.telegram.org/apps")])


@dataclass(frozen=True)
class Bridges:
    """To which other networks there is a bridge."""

    irc: Owned = Owned()
    xmpp: Owned = Owned()
    whatsapp: Mautrix = Mautrix()
    telegram: Telegram = Telegram()
    signal: Mautrix = Mautrix()
    discord: Mautrix = Mautrix()


NO_TURN, NO_CALLS, NO_BRIDGES = Turn(), Calls(), Bridges()
