"""Which pair a server reads: a link that leads to the best there is, and the self-signed pair that always is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from matrix_baremetal.host import Host
from matrix_baremetal.resources import key_pair
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class SelfSigned(Resource):
    """A pair in `directory`/self-signed, so that the web server always starts, and `directory`/current if none is."""

    directory: str
    domain: str = ""

    @property
    def title(self) -> str:
        name = self.domain or self.directory.rpartition("/")[2]
        return f"self-signed certificate for {name}, for now"

    @property
    def noun(self) -> str:
        return "self-signed certificate"

    def find(self, host: Host) -> Self | None:
        # A power cut may leave names without content.
        there = all(host.read(f"{self.directory}/self-signed/{name}") for name in ("fullchain.pem", "privkey.pem"))
        return self if there and host.node(f"{self.directory}/current") else None

    def make(self, host: Host, found: Self | None) -> None:
        pair = f"{self.directory}/self-signed"
        host.remove_tree(f"{pair}.new")
        host.mkdir(f"{pair}.new", 0o700)
        host.run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "3650", "-subj", "/CN=not yet certified", "-addext", f"subjectAltName=DNS:{self.domain}"),
            *(
                "-keyout",
                str(host.path(f"{pair}.new/privkey.pem")),
                "-out",
                str(host.path(f"{pair}.new/fullchain.pem")),
            ),
        )
        host.run("sync", "-f", str(host.path(f"{pair}.new")))
        host.remove_tree(pair)
        host.rename(f"{pair}.new", pair)
        if host.node(f"{self.directory}/current") is None:
            host.link(f"{self.directory}/current", "self-signed")

    def undo(self, host: Host) -> None:
        host.remove_tree(f"{self.directory}/self-signed")
        host.remove(f"{self.directory}/current")
        host.remove(self.directory)


@dataclass(frozen=True)
class Served(Resource):
    """The link by which servers read a certificate: to `pair` where that is whole, else to what it leads to now.

    What is served goes on being served until there is something better; the self-signed pair is the last resort.
    """

    current: str
    pair: str = field(default="self-signed", compare=False)
    best: bool = True
    target: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        domain = self.current.rpartition("/")[0].rpartition("/")[2]
        return f"certificate that is served for {domain}"

    @property
    def noun(self) -> str:
        return "link"

    def verb(self, found: Resource | None) -> str:
        return "switch"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.current, f"{self.current}/fullchain.pem")

    @property
    def directory(self) -> str:
        """Where the link is, and the pairs that are named without a path."""
        return self.current.rpartition("/")[0]

    def find(self, host: Host) -> Self | None:
        target = host.target(self.current)
        return None if target is None else replace(self, best=target == self._best(host), target=target)

    def stale_after(self, touched: frozenset[str]) -> Self:
        # The pair is about to be made: then it will be the better one.
        made = f"{self._place(self.pair)}/fullchain.pem" in touched
        return replace(self, best=False) if made and self.target != self.pair else self

    def make(self, host: Host, found: Self | None) -> None:
        best = self._best(host)
        host.link(self.current, best)
        if "files" not in (best, self.pair):
            key_pair.clear(host, self.directory)

    def _best(self, host: Host) -> str:
        pairs = (self.pair, host.target(self.current) or "", "self-signed")
        return next((pair for pair in pairs if pair and self._whole(host, pair)), "self-signed")

    def _whole(self, host: Host, pair: str) -> bool:
        return all(host.path(f"{self._place(pair)}/{name}").exists() for name in ("fullchain.pem", "privkey.pem"))

    def _place(self, pair: str) -> str:
        return pair if pair.startswith("/") else f"{self.directory}/{pair}"
