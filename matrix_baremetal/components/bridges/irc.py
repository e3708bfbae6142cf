"""IRC, by heisenbridge: each person here connects to each network as with a client that is always on."""

from __future__ import annotations

from matrix_baremetal.components.bridges.heisenbridge import Heisenbridge
from matrix_baremetal.config_beside import Owned


class Irc(Heisenbridge):
    """heisenbridge, to the networks of IRC."""

    name = "irc"
    bot = "heisenbridge"
    port = 9898
    people = "irc_"
    steps = (
        "As {owner}, accept the invitation of {bot}, or invite it to a chat of two, and say there: HELP",
        "To a network that it knows (NETWORKS lists them): OPEN libera",
        "To another: ADDNETWORK work, then: ADDSERVER work irc.example.net 6697 --tls, then: OPEN work",
        "In the room that opens: NICK yourname, then: CONNECT, then: JOIN #channel",
        "Who else of {server_name} may use it is told it by {owner}: ADDMASK *:{server_name}",
    )

    @property
    def asked(self) -> Owned:
        """What the config says of it."""
        return self.config.bridges.irc
