"""The words of the commands that look at a homeserver: status, doctor, show."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, seconds

SHOW = """\
  matrix-baremetal show dns
  matrix-baremetal show well-known --for nginx
  matrix-baremetal show ports
  matrix-baremetal show oidc"""
PORTS = """\
  matrix-baremetal show ports --nftables   rules for a firewall of your own
  matrix-baremetal show ports --json"""
SCHEMA = "  matrix-baremetal show config-schema > /etc/matrix-baremetal/config.schema.json"

DOCTOR_EXAMPLE = """\
  matrix-baremetal doctor
  matrix-baremetal doctor dns certificates       only those whose ids begin so
  matrix-baremetal doctor --list                 what is asked, and under which id
  matrix-baremetal doctor --explain dns          what it means, and what to do; without a network
  matrix-baremetal doctor --fix                  mend what needs no thought, after a look
  matrix-baremetal doctor --probe-from ssh:me@shell.example.net
                                                 whether firewall and router let people in
  matrix-baremetal doctor --bundle               one file for somebody who helps"""


def add(commands: Commands) -> None:
    """They change nothing."""
    help = "units, versions, memory, certificates and disk at a glance"
    words = command(commands, "status", help, "  matrix-baremetal status --json\n  matrix-baremetal status --space")
    help = "say what takes the disk by name: tables, rooms, people's uploads; may take minutes"
    words.add_argument("--space", action="store_true", help=help)
    words = command(commands, "doctor", "every check, worst first, each with what to do next", DOCTOR_EXAMPLE)
    words.add_argument(
        "ids", metavar="ID", nargs="*", help="only this check, or all whose ids begin with ID and a dot"
    )
    one = words.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="list the checks, and ask none")
    help = "say what the checks mean and what to do where they fail, and ask none"
    one.add_argument("--explain", action="store_true", help=help)
    help = "write what was seen, files and logs into one file here, without secrets, for somebody who helps"
    one.add_argument("--bundle", action="store_true", help=help)
    help = "tell only what is other than at the last look with --changes, as each day's timer does"
    one.add_argument("--changes", action="store_true", help=help)
    one.add_argument(
        "--fix", action="store_true", help="say which commands would mend what was found, ask, and run them"
    )
    words.add_argument("--yes", action="store_true", help="with --fix: do not ask")
    help = "look at the ports from another machine of yours too, which has Python: ssh:[USER@]HOST[:PORT]"
    words.add_argument("--probe-from", metavar="MACHINE", default="", help=help)
    words.add_argument(
        "--wait", metavar="SECONDS", type=seconds, default=0, help="with --changes: wait for another run to end"
    )
    help = "what to tell a DNS provider, another web server, a router, an editor"
    ways = actions(command(commands, "show", help, SHOW))
    words = command(ways, "dns", "the DNS records to make", "  matrix-baremetal show dns --zone")
    words.add_argument("--zone", action="store_true", help="as lines for a zone file")
    help = "what to put on another web server that has the server name"
    words = command(ways, "well-known", help, "  matrix-baremetal show well-known --for apache")
    # As in well_known.SERVERS, which is not light enough for here.
    servers = ("nginx", "apache", "caddy", "static")
    words.add_argument("--for", dest="server", choices=servers, help="in the words of this web server")
    words = command(ways, "ports", "the ports to open and to forward", PORTS)
    words.add_argument("--nftables", action="store_true", help="as rules for your own firewall")
    command(ways, "oidc", "what to enter at an identity provider", "  matrix-baremetal show oidc --json")
    command(ways, "config-schema", "the config's JSON Schema, for editors", SCHEMA)
