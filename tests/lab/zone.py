"""What the pretend internet's DNS says: a name and everything below it for each guest, and what tests put on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import network, releases
from .places import DISKS, RUN, lock, read_json, write_json

FILE = RUN / "zone.json"
LETS_ENCRYPT = ("acme-v02.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org")
_EXTRA = DISKS / "dns.json"


def _at(octet: int) -> dict[str, Any]:
    return {"a": [network.ip4(octet)], "aaaa": [network.ip6(octet)]}


def sites(internet: str, machines: Mapping[str, str]) -> dict[str, Any]:
    """A whole zone for homeservers on machines of their own: names with their addresses, and the internet's."""
    zone: dict[str, Any] = {name: {"a": [internet]} for name in (*LETS_ENCRYPT, "acme.test", "ns.test")}
    for name, address in machines.items():
        zone[name] = zone[f"*.{name}"] = {"a": [address]}
    return zone


def publish() -> None:
    """Write the zone file anew; the server reads it at the next question. A guest without power keeps its names."""
    zone: dict[str, Any] = {name: _at(network.INFRA) for name in (*LETS_ENCRYPT, "acme.test", "ns.test")}
    zone |= {name: _at(network.MIRROR) for name in releases.HOSTS}
    for path in DISKS.glob("*/guest.json"):
        kept = read_json(path)
        if kept:
            zone[f"{kept['name']}.test"] = zone[f"*.{kept['name']}.test"] = _at(kept["octet"])
    zone.update(read_json(_EXTRA) or {})
    write_json(FILE, zone)


def forget(domain: str) -> None:
    """Drop what tests said about a name and those below it."""
    extra = read_json(_EXTRA) or {}
    write_json(_EXTRA, {n: held for n, held in extra.items() if n != domain and not n.endswith(f".{domain}")})


class Dns:
    """The records that a test sets by hand; they win over those that guests have by themselves."""

    def set(
        self,
        name: str,
        *,
        a: Sequence[str] = (),
        aaaa: Sequence[str] = (),
        srv: Sequence[tuple[int, int, int, str]] = (),
        txt: Sequence[str] = (),
        caa: Sequence[str] = (),
        cname: str | None = None,
        forward: str | None = None,
    ) -> None:
        """`name` holds exactly these records from now on; `*.NAME` is a wildcard. `forward` is the address of a name
        server that is asked for it and all below it.
        """
        held: dict[str, Any] = {"a": [*a], "aaaa": [*aaaa], "srv": [list(s) for s in srv], "txt": [*txt]}
        held |= {"caa": [*caa]} if caa else {}
        if cname is not None:
            held = {"cname": cname}
        if forward is not None:
            held = {"forward": forward}
        self._change(name, held)

    def delete(self, name: str) -> None:
        """`name` does not exist from now on (NXDOMAIN), though a guest has it."""
        self._change(name, None)

    def reset(self, name: str) -> None:
        """`name` is again what the guests make of it."""
        with lock("lab"):
            extra = read_json(_EXTRA) or {}
            extra.pop(name.lower().rstrip("."), None)
            write_json(_EXTRA, extra)
            publish()

    def _change(self, name: str, held: dict[str, Any] | None) -> None:
        with lock("lab"):
            write_json(_EXTRA, {**(read_json(_EXTRA) or {}), name.lower().rstrip("."): held})
            publish()
