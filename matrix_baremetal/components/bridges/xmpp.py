"""XMPP, by Debian's BitlBee, a gateway that has IRC on its other side, and a heisenbridge that talks to nothing else.

Each person here uses accounts at XMPP servers of their own; the gateway keeps those, encrypted with a word of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.bridges.heisenbridge import Heisenbridge
from matrix_baremetal.components.component import service_reads
from matrix_baremetal.config_beside import Owned
from matrix_baremetal.data import Data, Tree
from matrix_baremetal.needs import Need, Needs, Port
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

GATEWAY = "matrix-bridge-xmpp-gateway.service"
USER = "matrix-xmpp-gateway"
# Debian's own starts when its package comes, for everybody on the loopback address, and with all networks.
DEBIANS = "bitlbee.service"
PORT = 9897
ETC = "/etc/matrix-xmpp"
HOME = f"/var/lib/{USER}"

CONFIG = f"""\
# Written by matrix-baremetal; a change here is undone by the next run.
[settings]
DaemonInterface = 127.0.0.1
DaemonPort = {PORT}
# People get in with words of their own, which their accounts are encrypted with.
AuthMode = Open
ConfigDir = {HOME}/accounts
Protocols = jabber
# Without this line no server's certificate is looked at.
CAfile = /etc/ssl/certs/ca-certificates.crt
"""


class Xmpp(Heisenbridge):
    """heisenbridge and BitlBee, each in a unit and with a user of its own."""

    name = "xmpp"
    bot = "xmppbot"
    port = 9899
    people = "xmpp_"
    steps = (
        f"As {{owner}}, accept the invitation of {{bot}}, or invite it to a chat of two, and say there: "
        f"ADDNETWORK jabber, then: ADDSERVER jabber 127.0.0.1 {PORT}, then: OPEN jabber",
        "In the room that opens: PASSWORD and a new word, which your accounts are encrypted with, then: CONNECT",
        "In the room &bitlbee that opens: register and the same word",
        "There: account add jabber you@example.net and its password, then: account jabber on",
        "The contacts are in &bitlbee; to talk to one, say QUERY and their name in the room before that",
        "A group: in &bitlbee chat add jabber room@conference.example.net, in the room before that JOIN #room",
        "Who else of {server_name} may use it is told it by {owner}: ADDMASK *:{server_name}",
    )

    @property
    def asked(self) -> Owned:
        """What the config says of it."""
        return self.config.bridges.xmpp

    @property
    def units(self) -> tuple[str, ...]:
        """Its own and the gateway's."""
        return self.unit, GATEWAY

    @property
    def keeps(self) -> str:
        """Where it has what it knows, for people."""
        return f"in Synapse's rooms and in {HOME}"

    def needs(self) -> Iterator[Need]:
        yield from super().needs()
        yield Port(PORT, GATEWAY)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield SystemUser(USER)
        # Before the package comes.
        yield Mask(DEBIANS)
        yield Packages("the bridge to XMPP", ("bitlbee",), beside=True)
        yield Directory(ETC, 0o755)
        yield File(f"{ETC}/bitlbee.conf", CONFIG)
        for place in (HOME, f"{HOME}/accounts"):
            yield Directory(place, 0o700, owner=USER, group=USER)
        yield Service(GATEWAY, reads=(f"{ETC}/bitlbee.conf", *service_reads(GATEWAY)), program="/usr/sbin/bitlbee")
        yield from super().resources(needs)

    def data(self, needs: Needs) -> Data:
        return Data(trees={"xmpp": Tree(HOME, USER, ("accounts",), GATEWAY)}, units=self.units)
