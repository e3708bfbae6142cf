"""What a component may need of another without knowing it: a database, a name, a setting, a port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from matrix_baremetal.resources.filled import SecretCopy
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class Database:
    """A database for the server of this name, which runs as the system user of this name.

    Each of its processes may open so many connections.
    """

    name: str
    processes: int = 1


@dataclass(frozen=True)
class Domain:
    """A DNS name that a certificate is needed for.

    `elsewhere` are documents (path and JSON): another web server that answers these under the name, over TLS that
    holds, spares the certificate. None: this machine has to answer under the name itself.
    """

    name: str
    elsewhere: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class Proxy:
    """Pass requests for what is below these paths on to a port of this machine, as they came; nothing else.

    With `allow`, only those of these networks.
    """

    paths: tuple[str, ...]
    port: int
    body_size: int | None = None
    timeout: int = 60
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Below:
    """Pass requests below a path on to a port of this machine, without that path, which the program there knows not.

    With `socket` a connection may become a WebSocket, which stays open for hours.
    """

    below: str
    port: int
    socket: bool = False


@dataclass(frozen=True)
class Document:
    """Answer a path with a small JSON file that any website's script may read (CORS)."""

    path: str
    file: str


@dataclass(frozen=True)
class Page:
    """Answer a path with a file for people's browsers, which may load nothing from elsewhere; `kind` is its type."""

    path: str
    file: str
    kind: str


@dataclass(frozen=True)
class Files:
    """Answer all that nothing else answers with a program for browsers, the files below a directory.

    `documents` (path and file) are its settings. What the pattern `hashed` fits never changes, as a hash is in its
    name; all else is asked for anew each time. `policy` is its Content-Security-Policy. With `allow` it is for these
    networks alone. With `otherwise` that page answers all that is no file, but for what a homeserver would.
    """

    root: str
    documents: tuple[tuple[str, str], ...] = ()
    hashed: str = ""
    policy: str = ""
    allow: tuple[str, ...] = ()
    otherwise: str = ""


@dataclass(frozen=True)
class Rooms:
    """Answer with the pages of Jitsi Meet below a directory; each word behind the name is a room.

    `script` is their settings, `xmpp` the port of this machine where browsers' XMPP goes (BOSH, and a WebSocket).
    Addresses may have somebody's token in their query, so nothing of them is written to a log.
    """

    pages: str
    script: str
    xmpp: int


Location = Proxy | Below | Document | Page | Files | Rooms


@dataclass(frozen=True)
class VHost:
    """What a name answers over HTTPS on a port; all that is not listed is 404."""

    domain: str
    locations: tuple[Location, ...]
    port: int = 443


@dataclass(frozen=True)
class Setting:
    """A top-level key of Synapse's homeserver.yaml.

    `secrets` are texts in the value, each with the file whose content it stands for: for what Synapse takes inline
    alone. Such a key stands in a file of its own, which only Synapse can read. With `files`, which are made before,
    the value is a path under which Synapse can read the last of them, and which is Synapse's to know; where there is
    a value too, that path stands in it wherever the file's own does. The values of those of `many` make one list,
    together with the operator's own.
    """

    key: str
    value: Any = None
    secrets: tuple[tuple[str, str], ...] = ()
    files: tuple[Resource, ...] = ()
    many: bool = False

    @property
    def handed(self) -> tuple[str, str] | None:
        """By which name Synapse is handed which file."""
        path = self.files[-1].name if self.files else ""
        return (path.rpartition("/")[2], path) if path else None

    @property
    def given(self) -> tuple[str, ...]:
        """The operator's own files, whose content goes into its secrets."""
        copied = (file.source for file in self.files if isinstance(file, SecretCopy))
        return (*(path for _, path in self.secrets), *copied)


@dataclass(frozen=True)
class Module:
    """Packages of Python beside Synapse's own, for a module that it loads; the lock of this name pins them."""

    lock: str


@dataclass(frozen=True)
class StubStatus:
    """nginx's own numbers (ngx_http_stub_status_module) on a port of the loopback address, for this machine alone."""

    port: int


@dataclass(frozen=True)
class Port:
    """A port that something of ours listens on: `unit` may hold it, anybody else is in the way.

    `purpose` says why others must reach it; without one it is this machine's own. With `last` it is the first of a
    range, of which single ones are taken for a while as they are needed.
    """

    number: int
    unit: str
    purpose: str = ""
    protocol: Literal["tcp", "udp"] = "tcp"
    last: int | None = None


Need = Database | Domain | VHost | Setting | Module | StubStatus | Port
N = TypeVar("N", Database, Domain, VHost, Setting, Module, StubStatus, Port)


@dataclass(frozen=True)
class Needs:
    """All that the components of a site need, in their order."""

    everything: tuple[Need, ...]

    def of(self, kind: type[N]) -> tuple[N, ...]:
        """The needs of one kind."""
        return tuple(need for need in self.everything if isinstance(need, kind))

    def vhosts(self) -> tuple[VHost, ...]:
        """One vhost a name and port: what several components want of the same is put together."""
        found: dict[tuple[str, int], tuple[Location, ...]] = {}
        for vhost in self.of(VHost):
            key = vhost.domain, vhost.port
            found[key] = (*found.get(key, ()), *vhost.locations)
        return tuple(VHost(domain, locations, port) for (domain, port), locations in found.items())

    def domains(self) -> tuple[str, ...]:
        """The names that need a certificate, each once."""
        return tuple(dict.fromkeys(domain.name for domain in self.of(Domain)))

    def elsewhere(self, name: str) -> tuple[tuple[str, str], ...] | None:
        """What another web server may answer under a name in place of ours; None where nobody else may."""
        asked = [domain.elsewhere for domain in self.of(Domain) if domain.name == name]
        return None if None in asked else next(iter(asked), None)
