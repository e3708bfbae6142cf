"""ufw, the firewall of many Debian machines: what it lets in, and the one rule of ours.

Rules are read from where ufw keeps them and from the kernel, not from what ufw prints, which is in the language of
the machine. Nothing here starts a ufw that is off: whoever came in by ssh might be shut out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.firewall import NAME, ordered, within
from matrix_baremetal.resources.resource import Resource

PROGRAM = "/usr/sbin/ufw"
PROFILE = f"/etc/ufw/applications.d/{NAME}"
DEFAULTS, SWITCH = "/etc/default/ufw", "/etc/ufw/ufw.conf"
# A file of rules, and by which program the kernel tells which chain that they are in.
FAMILIES = (
    ("/etc/ufw/user.rules", "iptables", "ufw-user-input"),
    ("/etc/ufw/user6.rules", "ip6tables", "ufw6-user-input"),
)
# iptables(8) and what ufw writes before each rule: action, protocol, port, address, port and address of the sender,
# with a profile two more words, the direction with its interface, and a comment.
TUPLE = re.compile(
    r"^### tuple ### (?P<action>\S+) (?P<protocol>\S+) (?P<ports>\S+) (?P<to>\S+) (?P<sent>\S+) (?P<by>\S+)"
    r"(?: (?P<profile>\S+) \S+)? (?P<way>(?:in|out)\S*)(?: comment=\S+)?$",
    re.MULTILINE,
)
LOADED = re.compile(rf"^-A \S+ -p (\w+) .*--dports? (\S+) .*dapp_{NAME}\b(?!-).*-j ACCEPT$", re.MULTILINE)
ANYWHERE, EVERY = {"0.0.0.0/0", "::/0"}, "0-65535"
NOT_THERE = 1


@dataclass(frozen=True)
class Rule:
    """One rule of ufw's: what becomes of which ports; `broad` says that it is the same for everybody."""

    verdict: str
    ports: tuple[str, ...]
    way: str
    broad: bool
    profile: str

    def decides(self, port: str) -> bool:
        """Whether it says what becomes of a port: who is let in from some places alone was thought of as well."""
        thought_of = self.opens and not any(each.startswith(EVERY) for each in self.ports)
        return (self.broad or thought_of) and any(within(port, each) for each in self.ports)

    @property
    def opens(self) -> bool:
        """Whether it lets somebody in."""
        return self.verdict.startswith(("allow", "limit"))


def installed(host: Host) -> bool:
    """Whether there is a ufw."""
    return host.node(PROGRAM) is not None


def switched_on(host: Host) -> bool:
    """Whether its rules are meant to be in force, as they are after the next boot."""
    on = re.search(r"^ENABLED=['\"]?yes", host.text(SWITCH) or "", re.MULTILINE | re.IGNORECASE)
    return bool(on) and installed(host)


def active(host: Host) -> bool:
    """Whether its rules are in force; where that may not be asked, whether they are meant to be."""
    return switched_on(host) and chain(host, *FAMILIES[0][1:]) is not None


def chain(host: Host, program: str, name: str) -> str | None:
    """What the kernel has in a chain of ufw's; None where there is no such chain, nothing where we may not look."""
    told = host.run(program, "-S", name, ok=range(256), timeout=10)
    return None if told.status == NOT_THERE else told.out


def rules(host: Host, file: str = FAMILIES[0][0]) -> Iterator[Rule]:
    """The rules of a file in their order: the first that fits decides."""
    for found in TUPLE.finditer(host.text(file) or ""):
        kinds = ("tcp", "udp") if found["protocol"] == "any" else (found["protocol"],)
        numbers = EVERY if found["ports"] == "any" else found["ports"]
        ports = tuple(port for kind in kinds for port in spread(numbers, kind))
        broad = {found["to"], found["by"]} <= ANYWHERE and found["sent"] == "any" and found["way"] in ("in", "out")
        yield Rule(found["action"], ports, found["way"].partition("_")[0], broad, found["profile"] or "")


def spread(ports: str, protocol: str) -> list[str]:
    """Ports as ufw and iptables write them, 80,443 or 49152:49407, each for itself."""
    return [f"{port.replace(':', '-')}/{protocol}" for port in ports.split(",")]


def closed(host: Host, ports: Iterable[str], way: Literal["in", "out"] = "in") -> tuple[str, ...]:
    """Which of these ports are kept closed, as its rules and what it does without one say."""
    policy = {"in": "INPUT", "out": "OUTPUT"}[way]
    usual = re.search(rf"^DEFAULT_{policy}_POLICY=\W?ACCEPT", host.text(DEFAULTS) or "", re.MULTILINE)
    known = [rule for rule in rules(host) if rule.way == way]
    return ordered(port for port in ports if not next((r.opens for r in known if r.decides(port)), usual is not None))


@dataclass(frozen=True)
class UfwRule(Resource):
    """The rule that lets in what the profile of this name has, and those ports alone: as ufw keeps it for a boot, and
    where ufw is on, in the kernel.
    """

    live: ClassVar[bool] = True

    profile: str
    ports: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"ufw's rule for {self.profile}"

    def find(self, host: Host) -> Self | None:
        tables = [*self._stored(host), *self._loaded(host)]
        if not any(tables):
            return None
        return replace(self, ports=next((table for table in tables if table != self.ports), self.ports))

    def make(self, host: Host, found: Self | None) -> None:
        if not installed(host):
            raise Error("the config has firewall: ufw, and ufw is not installed", hint="apt install ufw")
        if any(table not in ((), self.ports) for table in self._stored(host)):
            host.run("ufw", "app", "update", self.profile, timeout=60)
        host.run("ufw", "allow", self.profile, timeout=60)
        if any(table != self.ports for table in self._loaded(host)):
            # Somebody has taken it out of the kernel behind ufw's back.
            host.run("ufw", "reload", timeout=60)

    def undo(self, host: Host) -> None:
        if installed(host):
            host.run("ufw", "delete", "allow", self.profile, timeout=60)

    def _stored(self, host: Host) -> Iterator[tuple[str, ...]]:
        """What ufw keeps, for IPv4 and where it cares for that for IPv6."""
        if installed(host):
            for file, _, _ in families(host):
                ours = (rule.ports for rule in rules(host, file) if rule.profile == self.profile and rule.opens)
                yield ordered(port for ports in ours for port in ports)

    def _loaded(self, host: Host) -> Iterator[tuple[str, ...]]:
        """What is in force; nothing where ufw is off, or where only its own word can be had."""
        if not (host.live and active(host)):
            return
        for _, program, name in families(host):
            if text := chain(host, program, name):
                yield ordered(p for kind, ports in LOADED.findall(text) for p in spread(ports, kind))


def families(host: Host) -> tuple[tuple[str, str, str], ...]:
    """IPv4, and IPv6 where ufw and the kernel have it."""
    wanted = re.search(r"^IPV6=['\"]?yes", host.text(DEFAULTS) or "", re.MULTILINE | re.IGNORECASE)
    return FAMILIES if wanted and host.node("/proc/sys/net/ipv6") else FAMILIES[:1]
