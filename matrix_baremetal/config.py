"""What an operator asks for: /etc/matrix-baremetal/config.yaml as frozen dataclasses.

Their fields are the contract (docs/design.md §3) as far as this release goes; `LATER` names the rest of it. Nothing
here looks at the host: whether a name resolves or a password file exists is for preflight.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from matrix_baremetal import names, yamlfile
from matrix_baremetal.config_alerts import NO_ALERTS, Alerts
from matrix_baremetal.config_beside import NO_BRIDGES, NO_CALLS, NO_TURN, TURN, Bridges, Calls, Turn
from matrix_baremetal.config_ddns import Ddns
from matrix_baremetal.config_firewall import Firewall
from matrix_baremetal.config_firewall import Kind as Wall
from matrix_baremetal.config_ldap import Ldap
from matrix_baremetal.config_mail import Mail
from matrix_baremetal.config_oidc import Provider, clashes, distinct
from matrix_baremetal.config_registration import Mode, Registration
from matrix_baremetal.config_tls import Acme, Tls
from matrix_baremetal.config_web import AdminUi, WebClient, former, shared
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.nodes import FrozenDict
from matrix_baremetal.settings import permitted
from matrix_baremetal.shape import Mistake, Mistakes

# The contract has these and this release has not: keys, values, and mappings where only a word is taken.
LATER = frozenset({"synapse.workers={}"})


class Unusable(Error):
    """There is no config, or nothing that one could be made of."""

    status = USAGE


@dataclass(frozen=True)
class Federation:
    """Which other servers this one talks with, and how they find it."""

    enabled: bool = True
    delegation: Literal["well-known", "srv", "none"] = "well-known"
    allow: tuple[Annotated[str, names.remote_server], ...] = ()

    @property
    def found_by(self) -> str | None:
        """Say how other servers find this one; None where they have no business here."""
        return self.delegation if self.enabled else None

    def __post_init__(self) -> None:
        if self.allow and not self.enabled:
            message = "nobody is let in while federation.enabled is false"
            raise Mistakes([Mistake(("allow",), message, "remove the list or write enabled: true")])


@dataclass(frozen=True)
class Admin:
    """An administrator's account; with neither a password's file nor its hash a password is generated."""

    name: Annotated[str, names.localpart]
    password_file: Annotated[str, names.path] | None = None
    password_hash: Annotated[str, names.bcrypt] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.password_file and self.password_hash:
            message = "there is a password_file too, and only one of the two can be the password"
            raise Mistakes([Mistake(("password_hash",), message, "remove one of the two")])


@dataclass(frozen=True)
class Synapse:
    """What is Synapse's own: settings passed on as they are, and how many processes."""

    settings: Annotated[Mapping[str, Any], permitted] = FrozenDict()
    workers: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", FrozenDict(self.settings))  # so that it can be hashed


def _count(number: int) -> int:
    if not 1 <= number <= 1000:
        raise ValueError(f"{number} is not between 1 and 1000")
    return number


@dataclass(frozen=True)
class Backup:
    """When backups are made, where they are kept and how many, whom they are encrypted to, what takes them away."""

    schedule: Literal["daily", "none"] = "daily"
    keep: Annotated[int, _count] = 7
    directory: Annotated[str, names.path] = "/var/lib/matrix-baremetal/backups"
    include_media: bool = True
    encrypt_to: Annotated[str, names.recipient] | None = None
    command: Annotated[str, names.path] | None = None


@dataclass(frozen=True)
class Metrics:
    """Whether Prometheus finds numbers about the homeserver here, and about the machine too."""

    enabled: bool = False
    machine: bool = True


def _distinct(admins: tuple[Admin, ...]) -> tuple[Admin, ...]:
    seen: set[str] = set()
    twice = []
    for index, admin in enumerate(admins):
        if admin.name in seen:
            twice.append(Mistake((index, "name"), f"{admin.name} is listed twice", "remove one of the two"))
        seen.add(admin.name)
    if twice:
        raise Mistakes(twice)
    return admins


@dataclass(frozen=True)
class Config:
    """The whole file. `hostname` is never empty: what is left out is matrix.SERVER_NAME."""

    server_name: Annotated[str, names.server_name]
    hostname: Annotated[str, names.hostname] = ""
    former_hostnames: tuple[Annotated[str, names.hostname], ...] = ()
    database: Literal["postgres", "sqlite"] = "postgres"
    tls: Tls = field(default_factory=Tls)
    acme: Acme = field(default_factory=Acme)
    federation: Federation = Federation()
    registration: Mode | Registration = "closed"
    admins: Annotated[tuple[Admin, ...], _distinct] = ()
    synapse: Synapse = Synapse()
    turn: Turn = NO_TURN
    calls: Calls = NO_CALLS
    bridges: Bridges = NO_BRIDGES
    mail: Mail | None = None
    oidc: Annotated[tuple[Provider, ...], distinct] = ()
    ldap: Ldap | None = None
    ddns: Ddns | None = None
    firewall: Wall | Firewall = "none"
    alerts: Alerts = NO_ALERTS
    metrics: Metrics = Metrics()
    web_client: WebClient = field(default_factory=WebClient)
    admin_ui: AdminUi = field(default_factory=AdminUi)
    backup: Backup = Backup()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hostname", self.hostname or f"matrix.{self.server_name}")
        mistakes = []
        for index, admin in enumerate(self.admins):
            try:
                names.user_id(admin.name, self.server_name)
            except ValueError as error:
                mistakes.append(Mistake(("admins", index, "name"), str(error)))
        if self.mail and "email" in self.synapse.settings:
            message = "synapse.settings has email too, and only one of the two can be how mail leaves"
            mistakes.append(Mistake(("mail",), message, "remove one of the two"))
        if self.alerts.mail and not self.mail:
            message = "there is no mail.smtp, so no mail leaves this server"
            mistakes.append(
                Mistake(("alerts", "mail"), message, "write mail: {smtp: {host: …, from: …}}, or remove it")
            )
        mistakes += self.opening.ungated(self.synapse.settings, mail=self.mail is not None)
        mistakes += clashes(self.oidc, self.synapse.settings)
        mistakes += self.ldap.clashes(self.synapse.settings) if self.ldap else []
        rooms = self.calls.rooms_under(self.server_name)
        browsers = (self.client_hostname, self.admin_hostname, self.page_hostname, rooms)
        mistakes += former(self.former_hostnames, self.hostname, self.server_name, browsers)
        mistakes += shared(self.hostname, self.server_name, self.client_hostname, self.admin_hostname)
        if self.turn.enabled and (theirs := sorted(set(self.synapse.settings).intersection(TURN))):
            message = f"synapse.settings has a TURN server of its own ({', '.join(theirs)})"
            mistakes.append(Mistake(("turn", "enabled"), message, "keep one of the two"))
        if self.calls.relay and not self.turn.enabled:
            message = "it is the TURN server that relays, and turn.enabled is false"
            mistakes.append(Mistake(("calls", "relay"), message, "write turn: {enabled: true}, or remove it"))
        taken = (self.server_name, self.client_hostname, self.admin_hostname)
        mistakes += self.calls.clashes(self.synapse.settings, self.federation.enabled, self.hostname, taken)
        if mistakes:
            raise Mistakes(mistakes)

    @property
    def opening(self) -> Registration:
        """Say who may make an account, and until when."""
        asked = self.registration
        return asked if isinstance(asked, Registration) else Registration(asked)

    @property
    def wall(self) -> Firewall:
        """Say which firewall is opened for this homeserver."""
        asked = self.firewall
        return asked if isinstance(asked, Firewall) else Firewall(asked)

    @property
    def client_hostname(self) -> str | None:
        """Say where the web client is; None where there is none."""
        return self.web_client.under(self.server_name)

    @property
    def admin_hostname(self) -> str | None:
        """Say where the admin page is; None where there is none."""
        return self.admin_ui.under(self.server_name)

    @property
    def calls_hostname(self) -> str | None:
        """Say where the servers for group calls are; None where there are none."""
        return self.calls.under(self.server_name)

    @property
    def page_hostname(self) -> str | None:
        """Say where the page for group calls is; None where there is none."""
        return self.calls.page_under(self.server_name)

    @property
    def registration_client(self) -> str | None:
        """Say which client of ours can make accounts: Hydrogen can't (its FAQ)."""
        return self.client_hostname if self.web_client.kind == "element" else None


def decode(text: str | bytes, file: str) -> Config:
    """Read the text of a config, or raise one `ConfigError` with all its mistakes; `file` is for messages."""
    return yamlfile.decode(text, file, Config, LATER)


def load(path: Path) -> Config:
    """Read the config file, or say what to do where it is missing or can't be read."""
    try:
        if path.exists() and not path.is_file():
            raise Unusable(f"{path} is not a file.", hint=f"move it away, then: {_init(path)}")
        with path.open("rb") as file:
            raw = file.read(yamlfile.MOST_BYTES + 1)
    except FileNotFoundError:
        raise Unusable(f"There is no {path} yet.", hint=_init(path)) from None
    except OSError as error:
        raise Unusable(
            f"{path} can't be read: {error.strerror}.", hint="run this as root, or mend the disk"
        ) from None
    return decode(raw, str(path))


def _init(path: Path) -> str:
    return (
        "matrix-baremetal init"
        if str(path) == DEFAULT
        else f"matrix-baremetal --config {shlex.quote(str(path))} init"
    )


DEFAULT = "/etc/matrix-baremetal/config.yaml"
