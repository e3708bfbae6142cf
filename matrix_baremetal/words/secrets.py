"""The words of `secrets`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, converging

EXAMPLE = """\
  matrix-baremetal secrets list
  matrix-baremetal secrets rotate macaroon_secret_key"""


def add(commands: Commands) -> None:
    """secrets list, rotate."""
    ways = actions(command(commands, "secrets", "what secrets there are, and new ones in their place", EXAMPLE))
    command(ways, "list", "what secrets there are, and what another one would end", EXAMPLE)
    words = command(ways, "rotate", "put a new one in place of one that somebody saw", EXAMPLE)
    words.add_argument("name", metavar="NAME", help="as in: matrix-baremetal secrets list")
    words.add_argument("--yes", action="store_true", help="ask nothing")
    converging(words)
