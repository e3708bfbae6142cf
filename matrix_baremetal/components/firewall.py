"""This machine's firewall, opened for what others have to reach, where the operator names it.

One profile of ufw's, or one service of firewalld's, has all ports; what else is in there stays as it is. Neither
is ever installed or switched on by us. A table of our own for nftables would open nothing, as what one chain drops no
other can let through: `show ports --nftables` is for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from matrix_baremetal import ports
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.firewall import Opened
from matrix_baremetal.components.component import Component
from matrix_baremetal.needs import Needs
from matrix_baremetal.ports import Opening
from matrix_baremetal.resources import firewalld, ufw
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.firewall import NAME, ordered
from matrix_baremetal.resources.firewalld import FirewalldService
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.ufw import UfwRule
from matrix_baremetal.site import Site

TITLE, MORE = "Matrix homeserver", "What others have to reach, and what for: matrix-baremetal show ports"


class Firewall(Component):
    """The profile or the service, and then the rule that names it."""

    def wanted(self) -> bool:
        return self.config.wall.kind != "none"

    def resources(self, needs: Needs) -> Iterator[Resource]:
        found, rule = tuple(ports.incoming(needs)), self._rule(needs)
        if isinstance(rule, UfwRule):
            yield File(ufw.PROFILE, profile(found))
        else:
            yield File(firewalld.SERVICE, service(found))
        yield rule

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield opened(self.site, needs, self._rule(needs))

    def _rule(self, needs: Needs) -> UfwRule | FirewalldService:
        wall, wanted = self.config.wall, ordered(each.named for each in ports.incoming(needs))
        return UfwRule(NAME, wanted) if wall.kind == "ufw" else FirewalldService(NAME, wanted, wall.zone or "")


def opened(site: Site, needs: Needs, rule: UfwRule | FirewalldService | None = None) -> Opened:
    """The question whether the firewall lets others in: the one with a rule of ours, or whichever there is."""
    incoming, outgoing = ports.incoming(needs), ports.outgoing(site)
    return Opened(ordered(each.named for each in incoming), ordered(each.named for each in outgoing), rule)


def profile(found: tuple[Opening, ...]) -> str:
    """An application profile (ufw(8), APPLICATION INTEGRATION)."""
    kinds = {kind: ports.numbers(found, kind) for kind in ("tcp", "udp")}
    each = "|".join(f"{','.join(numbers)}/{kind}" for kind, numbers in kinds.items() if numbers).replace("-", ":")
    return (
        "# Written by matrix-baremetal; a change here is undone by the next run.\n"
        f"[{NAME}]\ntitle={TITLE}\n"
        f"description={MORE}\nports={each}\n"
    )


def service(found: tuple[Opening, ...]) -> str:
    """A service (firewalld.service(5))."""
    top = ElementTree.Element("service")
    top.append(ElementTree.Comment(" Written by matrix-baremetal; a change here is undone by the next run. "))
    ElementTree.SubElement(top, "short").text = TITLE
    ElementTree.SubElement(top, "description").text = MORE
    for each in found:
        ElementTree.SubElement(top, "port", protocol=each.protocol, port=each.numbers)
    ElementTree.indent(top)
    text: bytes = ElementTree.tostring(top, "utf-8", xml_declaration=True)
    return text.decode() + "\n"
