"""The words of the commands that look at a homeserver: status, show."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command

SHOW = """\
  matrix-baremetal show dns
  matrix-baremetal show well-known --for nginx
  matrix-baremetal show ports"""
SCHEMA = "  matrix-baremetal show config-schema > /etc/matrix-baremetal/config.schema.json"


def add(commands: Commands) -> None:
    """They change nothing."""
    help = "units, versions, memory, certificates and disk at a glance"
    command(commands, "status", help, "  matrix-baremetal status --json")
    help = "what to tell a DNS provider, another web server, a router, an editor"
    ways = actions(command(commands, "show", help, SHOW))
    words = command(ways, "dns", "the DNS records to make", "  matrix-baremetal show dns --zone")
    words.add_argument("--zone", action="store_true", help="as lines for a zone file")
    help = "what to put on another web server that has the server name"
    words = command(ways, "well-known", help, "  matrix-baremetal show well-known --for apache")
    # As in well_known.SERVERS, which is not light enough for here.
    servers = ("nginx", "apache", "caddy", "static")
    words.add_argument("--for", dest="server", choices=servers, help="in the words of this web server")
    command(ways, "ports", "the ports to open and to forward", "  matrix-baremetal show ports --json")
    command(ways, "config-schema", "the config's JSON Schema, for editors", SCHEMA)
