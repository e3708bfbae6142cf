"""The words of `user`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, localpart

EXAMPLE = """\
  matrix-baremetal user list
  matrix-baremetal user add bob                          asks for the password
  matrix-baremetal user add bob --generate               invents one
  matrix-baremetal user add eve --admin --password-stdin < file"""


def add(commands: Commands) -> None:
    """user add, user list."""
    ways = actions(command(commands, "user", "accounts of the homeserver", EXAMPLE))
    command(ways, "list", "all accounts", "  matrix-baremetal user list --json")
    words = command(ways, "add", "make an account", EXAMPLE)
    words.add_argument("name", metavar="NAME", type=localpart, help="alice, for @alice:example.org")
    words.add_argument("--admin", action="store_true", help="make an administrator")
    source = words.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help="read the password from stdin, one line")
    source.add_argument("--generate", action="store_true", help="invent a password and keep it for root to read")
