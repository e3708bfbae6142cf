"""A certificate and its key that the operator keeps: whether they are of use, and the copy that nginx reads."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Pending
from matrix_baremetal.host import Host
from matrix_baremetal.resources import elsewhere
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.x509 import look, public_key

# What `openssl verify` calls a chain with a link missing (openssl-verification-options(1): the numbers are fixed).
MISSING = ("2", "20", "21")


@dataclass(frozen=True)
class KeyPair(Resource):
    """A copy of the operator's pair in `directory`, which `directory`/files leads to.

    A copy, as their own tool may replace one file before the other or take both away, and nginx has to start at any
    moment. It stands in a directory named by its content, so that both files change in one step. Where the pair is
    not for the name, another web server that answers `elsewhere` under it will do.
    """

    live: ClassVar[bool] = True

    directory: str
    certificate: str = field(default="", compare=False)
    private_key: str = field(default="", compare=False)
    elsewhere: elsewhere.Documents | None = field(default=None, compare=False)
    up_to_date: bool = True

    @property
    def domain(self) -> str:
        """The name that is served with it."""
        return self.directory.rpartition("/")[2]

    @property
    def title(self) -> str:
        return f"copy of {self.certificate or 'the pair'} for {self.domain}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"{self.directory}/files/fullchain.pem", f"{self.directory}/current/fullchain.pem")

    def find(self, host: Host) -> Self | None:
        if host.live and self.elsewhere is not None and elsewhere.noted(host, self.domain, self.elsewhere):
            return self
        if not host.live or host.node(f"{self.directory}/files") is None:
            return None
        made = [name for name in host.names(self.directory) if name.startswith("files-")]
        same = made == [host.target(f"{self.directory}/files")] == [named(*self._given(host))]
        return replace(self, up_to_date=same and self._copied(host) == self._given(host))

    def make(self, host: Host, found: Self | None) -> None:
        given = self._given(host)
        if wrong := [message for message, _ in mistakes(host, self.certificate, self.private_key, (self.domain,))]:
            if self.elsewhere is not None and self._answered(host):
                return
            raise Pending("; ".join(wrong))
        if self._given(host) != given:
            raise Pending(f"{self.certificate} and {self.private_key} are being replaced right now")
        fresh = named(*given)
        host.mkdir(f"{self.directory}/{fresh}", 0o700)
        for name, content in zip(("fullchain.pem", "privkey.pem"), given, strict=True):
            host.write(f"{self.directory}/{fresh}/{name}", content or b"", 0o600)
        host.link(f"{self.directory}/files", fresh)
        clear(host, self.directory, but=fresh)

    def undo(self, host: Host) -> None:
        if host.target(f"{self.directory}/current") == "files":
            raise Pending("it is served until another can be, and goes then")  # `Served` clears it away
        clear(host, self.directory)

    def _answered(self, host: Host) -> bool:
        """Whether another web server answers in our place. Raises `Pending` where it answers otherwise."""
        seen = elsewhere.ask(host, self.domain, self.elsewhere or (), f"{self.directory}/current")
        if seen.fault:
            raise Pending(seen.fault)
        if seen.there:
            elsewhere.note(host, self.domain, self.elsewhere or ())
        return seen.there

    def _given(self, host: Host) -> tuple[bytes | None, bytes | None]:
        return host.read(self.certificate), host.read(self.private_key)

    def _copied(self, host: Host) -> tuple[bytes | None, bytes | None]:
        pair = f"{self.directory}/files"
        return host.read(f"{pair}/fullchain.pem"), host.read(f"{pair}/privkey.pem")


def named(certificate: bytes | None, key: bytes | None) -> str:
    """The directory of a copy."""
    digest = hashlib.sha256(b"\0".join((certificate or b"", key or b""))).hexdigest()
    return f"files-{digest[:16]}"


def clear(host: Host, directory: str, but: str | None = None) -> None:
    """Take away the copies, but for one, and without one the link to it as well."""
    if but is None:
        host.remove(f"{directory}/files")
    for name in host.names(directory):
        if name.startswith("files-") and name != but:
            host.remove_tree(f"{directory}/{name}")


def mistakes(host: Host, certificate: str, key: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """All that is wrong with a pair that is to serve these names: a sentence each, and what to do. Only looks."""
    there = {path: host.read(path) for path in (certificate, key)}
    for path, data in there.items():
        if not data:
            yield (
                f"{path} is {'empty' if data is not None else 'not there'}",
                "put it there, or name another in the config",
            )
    seen = look(host, certificate) if there[certificate] else None
    if there[certificate] and seen is None:
        yield f"{certificate} holds no certificate in PEM form", f"openssl x509 -in {certificate} -noout -text"
    if there[key]:
        yield from wrong_key(host, key, seen.public_key if seen else None, certificate)
    if seen is None:
        return
    if (left := seen.end - time.time()) < 0 or seen.begin > time.time():
        when = "expired on" if left < 0 else "is not valid before"
        day = time.strftime("%Y-%m-%d", time.gmtime(seen.end if left < 0 else seen.begin))
        yield f"{certificate} {when} {day}", "renew it"
    if uncovered := [name for name in names if not seen.covers(name)]:
        yield (
            f"{certificate} is not for {', '.join(uncovered)}, only for {', '.join(seen.names) or 'no name at all'}",
            f"get one that names {', '.join(names)}",
        )
    yield from broken_chain(host, certificate)


def wrong_key(host: Host, key: str, expected: str | None, certificate: str) -> Iterator[tuple[str, str]]:
    """Whether a key can be read without a passphrase, by root alone or a group, and is that of the certificate."""
    # An empty passphrase, or openssl would ask for one.
    shown = host.run("openssl", "pkey", "-in", str(host.path(key)), "-passin", "pass:", "-pubout", ok=range(256))
    if "ENCRYPTED" in (host.text(key) or ""):
        yield (
            f"{key} is protected by a passphrase, which nobody types when nginx starts",
            f"openssl pkey -in {key} -out NEW-FILE",
        )
    elif shown.status:
        yield f"{key} holds no private key in PEM form", f"openssl pkey -in {key} -noout -check"
    elif expected is not None and public_key(shown.out) != expected:
        yield f"{key} is not the key of {certificate}", "put both of one pair there"
    if host.path(key).stat().st_mode & 0o007:
        yield f"{key} can be read by every user of this machine", f"chmod o= {key}"


def broken_chain(host: Host, certificate: str) -> Iterator[tuple[str, str]]:
    """Whether each certificate of the file has its issuer beside it, up to one that is trusted or its own issuer."""
    path = str(host.path(certificate))
    said = host.run("openssl", "verify", "-no_check_time", "-untrusted", path, path, ok=range(256))
    found = re.search(r"error (\d+) at \d+ depth lookup: *(.*)", said.err + said.out)
    if found and found[1] in MISSING:
        yield (
            f"{certificate} lacks the certificates of its issuers, up to one that this machine trusts",
            "append the issuer's chain; or, for an authority of your own, put its root into "
            "/usr/local/share/ca-certificates and run: update-ca-certificates",
        )
