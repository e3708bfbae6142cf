"""IRC, by heisenbridge: each person here connects to each network as with a client that is always on."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.bridges.bridge import OPT, Bridge
from matrix_baremetal.components.programs import virtualenv
from matrix_baremetal.resources.files import Directory, Link
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.versions import lock

PLACE = f"{OPT}/irc"


class Irc(Bridge):
    """heisenbridge, which keeps what it has to know in Synapse's rooms, and so needs no database and no backup."""

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

    def wanted(self) -> bool:
        """As the config says."""
        return self.config.bridges.irc.enabled

    def options(self) -> Iterator[str]:
        """Whose it is: else it would be that of whoever comes first."""
        yield f"--owner={self.words()['owner']}"

    def words(self) -> dict[str, str]:
        """Whose it is."""
        return {"owner": f"@{self.config.bridges.irc.owner}:{self.config.server_name}"}

    def program(self) -> Iterator[Resource]:
        """A virtualenv from the lock, beside the older ones."""
        version, pins = self.site.versions.heisenbridge.version, lock("heisenbridge")
        yield Directory(OPT, 0o755)
        yield Directory(PLACE, 0o755)
        yield virtualenv(f"{PLACE}/{version}", pins, self.site.facts.python, self.site.wheelhouse)
        yield Link(f"{PLACE}/current", version)

    def reads(self) -> tuple[str, ...]:
        """The version that is the current one, and its virtualenv."""
        return f"{PLACE}/current", f"{PLACE}/{self.site.versions.heisenbridge.version}/complete.json"
