"""This machine's own firewall: whether it lets in what others have to reach.

One in front of the machine shows only from outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from matrix_baremetal.checks.check import APPLY, PATIENCE, Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources import firewalld, ufw
from matrix_baremetal.resources.firewalld import FirewalldService
from matrix_baremetal.resources.ufw import UfwRule

WALLS = {"ufw": ufw, "firewalld": firewalld}
NFT = "/usr/sbin/nft"
# A chain that everything that comes in goes through, and what it does without a rule, as `nft list chains` has it.
INPUT = re.compile(
    r"^table (\S+ \S+) \{|^\tchain (\S+) \{\n\t\ttype filter hook input [^\n]*policy drop;", re.MULTILINE
)
SWITCH = {
    "ufw": "let ssh in first, or you may be shut out: ufw allow ssh; ufw enable",
    "firewalld": "systemctl enable --now firewalld",
}
ONE = "keep one (ufw disable, or systemctl disable --now firewalld), then: reboot"
LOOK = {"ufw": "ufw status numbered", "firewalld": "firewall-cmd --list-all"}


@dataclass(frozen=True)
class Opened(Check):
    """What others have to reach, and we, against the rules of the firewall that there is.

    `rule` is ours, where one is asked for.
    """

    form = "firewall"
    asks = "the firewall of this machine, ufw or firewalld, lets in what others have to reach"

    incoming: tuple[str, ...] = field(repr=False)
    outgoing: tuple[str, ...] = field(repr=False)
    rule: UfwRule | FirewalldService | None = None

    def look(self, host: Host) -> Finding:
        if ufw.switched_on(host) and firewalld.active(host):
            message = "ufw and firewalld are both on, and what the one lets in the other may drop"
            return self.warned(message, next=ONE)
        if isinstance(self.rule, UfwRule):
            return self._looked_after(host, "ufw", self.rule)
        if isinstance(self.rule, FirewalldService):
            return self._looked_after(host, "firewalld", self.rule)
        for kind, wall in WALLS.items():
            if wall.active(host):
                return self._judged(host, kind, f"write firewall: {kind} into the config, then: {APPLY}")
        if others := dropping(host):
            return self.told(
                f"rules of somebody's own ({', '.join(others)}) drop what comes in; whether they let in what others "
                "have to reach is not looked into",
                next="matrix-baremetal show ports --nftables; matrix-baremetal doctor --probe-from ssh:HOST",
            )
        return self.fine("no firewall of this machine keeps a port closed")

    def _looked_after(self, host: Host, kind: str, rule: UfwRule | FirewalldService) -> Finding:
        wall = WALLS[kind]
        if not wall.installed(host):
            mend = f"apt install {kind}, or write firewall: none into the config"
            return self.failed(f"{kind} is to be opened, and it is not installed", next=mend)
        if rule.find(host) != rule:
            return self.failed(f"{kind} does not let in all that others have to reach, and no more", fix=APPLY)
        if not wall.active(host):
            return self.warned(f"{kind} is off, so it keeps nothing closed", next=SWITCH[kind])
        if isinstance(rule, FirewalldService) and rule.zone and not firewalld.used(host, rule.zone):
            message = f"nobody comes in by the zone {rule.zone}, in which firewalld lets in what others have to reach"
            return self.warned(message, next="firewall-cmd --get-active-zones, and set firewall.zone in the config")
        return self._judged(host, kind, f"see whether a rule before ours keeps it closed: {LOOK[kind]}")

    def _judged(self, host: Host, kind: str, mend: str) -> Finding:
        """What its rules come to."""
        if kind == "ufw":
            shut, kept = ufw.closed(host, self.incoming), ufw.closed(host, self.outgoing, "out")
        else:
            zone = self.rule.zone if isinstance(self.rule, FirewalldService) else ""
            shut, kept = firewalld.closed(host, self.incoming, zone or firewalld.usual(host)), ()
        if shut:
            return self.warned(f"{kind} keeps closed what others have to reach: {', '.join(shut)}", next=mend)
        if kept:
            many = f"{kind} keeps this machine from where it has to get to: {', '.join(kept)}"
            return self.warned(many, next=f"ufw allow out {kept[0]}; what for, says: matrix-baremetal show ports")
        return self.fine(f"{kind} lets in what others have to reach")


def dropping(host: Host) -> list[str]:
    """The chains that drop what comes in unless a rule of theirs lets it; none where we may not look."""
    if host.node(NFT) is None:
        return []
    table, found = "", []
    for begun, chain in INPUT.findall(host.run("nft", "list", "chains", ok=range(256), timeout=PATIENCE).out):
        table = begun or table
        if chain:
            found.append(f"{table} {chain}")
    return found
