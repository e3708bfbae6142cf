"""firewalld: what its zones let in, and our service in one of them.

What it keeps is read from its files; what is in force, it is asked. A new service counts from a reload on, and a
reload drops what somebody has put in force for the moment (fail2ban does): where there is such a thing, it is left to
the operator. Nothing here starts a firewalld that is off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self
from xml.etree import ElementTree

from matrix_baremetal.errors import Error, Pending
from matrix_baremetal.host import Host
from matrix_baremetal.resources.firewall import NAME, ordered, within
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.systemd import shown

PROGRAM, UNIT = "/usr/bin/firewall-cmd", "firewalld.service"
# An operator's files come before the package's own.
PLACES = ("/etc/firewalld", "/usr/lib/firewalld")
SERVICE = f"{PLACES[0]}/services/{NAME}.xml"
SECONDS = 60
PASSING = (
    "firewalld has rules that are in force for the moment alone, and the reload that opens the ports would drop them"
)


def installed(host: Host) -> bool:
    """Whether there is a firewalld."""
    return host.node(PROGRAM) is not None


def active(host: Host) -> bool:
    """Whether it runs."""
    return installed(host) and shown(host, UNIT, "ActiveState")["ActiveState"] == "active"


def usual(host: Host) -> str:
    """The zone of all interfaces of which nobody said otherwise."""
    found = re.search(r"^DefaultZone=(\S+)", host.text(f"{PLACES[0]}/firewalld.conf") or "", re.MULTILINE)
    return found[1] if found else "public"


def used(host: Host, zone: str) -> bool:
    """Whether anybody comes in by a zone: it is the default one, or an interface or a sender's address is in it."""
    told = host.run("firewall-cmd", "--get-active-zones", ok=range(256), timeout=SECONDS).out
    return zone == usual(host) or re.search(rf"^{zone}\b(?!-)", told, re.MULTILINE) is not None


def element(host: Host, kind: str, name: str) -> ElementTree.Element | None:
    """What firewalld's files say of a zone or a service; None where they don't know it, or can't be read."""
    for place in PLACES:
        text = host.text(f"{place}/{kind}/{name}.xml")
        if text is not None:
            try:
                return ElementTree.fromstring(text)
            except ElementTree.ParseError:
                return None
    return None


def members(host: Host, zone: str) -> set[str]:
    """The services that a zone keeps."""
    found = element(host, "zones", zone)
    return {each.get("name", "") for each in found.findall("service")} if found is not None else set()


def holding(host: Host) -> list[str]:
    """The zones that keep our service: each has a file of the operator's, as it was changed."""
    names = (name.removesuffix(".xml") for name in host.names(f"{PLACES[0]}/zones") if name.endswith(".xml"))
    return [name for name in names if NAME in members(host, name)]


def closed(host: Host, ports: Iterable[str], zone: str) -> tuple[str, ...]:
    """Which of these ports a zone keeps closed, as it is in force now, but for what rich rules say."""
    told = host.run("firewall-cmd", "--list-all", f"--zone={zone}", ok=range(256), timeout=SECONDS).out
    rows = dict(re.findall(r"^  ([a-z -]+): ?(.*)$", told, re.MULTILINE))
    if not rows or rows.get("target") == "ACCEPT":
        return ()
    known = rows.get("ports", "").split()
    for service in rows.get("services", "").split():
        known += served(host, service)
    return ordered(port for port in ports if not any(within(port, each) for each in known))


def served(host: Host, service: str) -> list[str]:
    """The ports of a service, and of those that it includes."""
    found = element(host, "services", service)
    if found is None:
        return []
    own = [f"{p.get('port')}/{p.get('protocol')}" for p in found.findall("port") if p.get("port")]
    return own + [port for each in found.findall("include") for port in served(host, each.get("service", ""))]


@dataclass(frozen=True)
class FirewalldService(Resource):
    """The service of this name in a zone, its default one where none is named: as firewalld keeps it, and where it
    runs, in force with those ports alone.
    """

    live: ClassVar[bool] = True

    service: str
    ports: tuple[str, ...] = ()
    zone: str = ""

    @property
    def title(self) -> str:
        return f"firewalld's service {self.service}"

    def find(self, host: Host) -> Self | None:
        if not installed(host):
            return None
        kept = holding(host)
        if not kept:
            return None
        place = self._place(host)
        if kept != [place]:
            return replace(self, zone=next(zone for zone in kept if zone != place))
        if not (host.live and active(host)):
            return self
        return replace(self, ports=self._known(host) or () if self._in_force(host, place) else ())

    def make(self, host: Host, found: Self | None) -> None:
        if not installed(host):
            raise Error("the config has firewall: firewalld, and it is not installed", hint="apt install firewalld")
        place, runs = self._place(host), host.live and active(host)
        if element(host, "zones", place) is None:
            hint = "firewall-cmd --get-zones, and set firewall.zone in the config to one of them"
            raise Error(f"firewalld has no zone {place}, in which the ports are to be open", hint=hint)
        for zone in holding(host):
            if zone != place:
                self._leave(host, zone, runs)
        added = (f"--zone={place}", f"--add-service={self.service}")
        if runs and self._known(host) == self.ports:
            command(host, "--permanent", *added)
            command(host, *added)
            return
        passing = runs and self._passing(host)
        if place not in holding(host):
            # By its files: it knows no service that has come since its last reload.
            host.run("firewall-offline-cmd", *added, timeout=SECONDS)
        if passing:
            raise Pending(PASSING, hint="firewall-cmd --runtime-to-permanent keeps them; then firewall-cmd --reload")
        if runs:
            command(host, "--reload")

    def undo(self, host: Host) -> None:
        if installed(host):
            runs = host.live and active(host)
            for zone in holding(host):
                self._leave(host, zone, runs)

    def _place(self, host: Host) -> str:
        return self.zone or usual(host)

    def _in_force(self, host: Host, place: str) -> bool:
        """Whether the zone has our service at the moment."""
        return "yes" in command(host, f"--query-service={self.service}", f"--zone={place}").split()

    def _known(self, host: Host) -> tuple[str, ...] | None:
        """The ports that it knows our service by, since its last reload; None where it knows none."""
        told = re.search(r"^  ports: ?(.*)$", command(host, f"--info-service={self.service}"), re.MULTILINE)
        return ordered(told[1].split()) if told else None

    def _leave(self, host: Host, zone: str, runs: bool) -> None:
        """Have a zone without our service."""
        if runs and self._known(host) is not None:
            command(host, "--permanent", f"--zone={zone}", f"--remove-service={self.service}")
            command(host, f"--zone={zone}", f"--remove-service={self.service}")
        if zone in holding(host):
            words = (f"--zone={zone}", f"--remove-service-from-zone={self.service}")
            host.run("firewall-offline-cmd", *words, timeout=SECONDS)

    def _passing(self, host: Host) -> bool:
        """Whether anything is in force that a reload would drop; our service in a zone is not meant."""
        for words in (("--list-all-zones",), ("--list-all-policies",), ("--direct", "--get-all-rules")):
            now, kept = command(host, *words), command(host, "--permanent", *words)
            if lasting(now) != lasting(kept):
                return True
        return False


def command(host: Host, *words: str) -> str:
    """What firewall-cmd says; a question that it answers with no, or does not know, says little and fails nothing."""
    ok = range(256) if words[0].startswith(("--info", "--query")) else (0,)
    return host.run("firewall-cmd", *words, ok=ok, timeout=SECONDS).out


def lasting(text: str) -> list[str]:
    """What `--list-all-zones` says, but for what it has by itself at each start, and for us."""
    lines = (re.sub(rf" \([a-z, ]*\)$| {NAME}\b(?!-)", "", line) for line in text.splitlines())
    return [line.rstrip() for line in lines if not line.startswith("  interfaces:")]
