"""The words of `bridge`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command

EXAMPLE = """\
  matrix-baremetal bridge list
  matrix-baremetal bridge status
  matrix-baremetal bridge login-help irc"""


def add(commands: Commands) -> None:
    """bridge list, status, login-help."""
    ways = actions(command(commands, "bridge", "bridges to other networks", EXAMPLE))
    command(ways, "list", "the bridges that there are, and whether the config asks for them", EXAMPLE)
    words = command(ways, "status", "whether bridges run, and the homeserver and they hear each other", EXAMPLE)
    words.add_argument("name", metavar="NAME", nargs="?", help="default: all that the config asks for")
    words = command(ways, "login-help", "what to do first to use a bridge", EXAMPLE)
    words.add_argument("name", metavar="NAME")
