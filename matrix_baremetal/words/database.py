"""The words of `database`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, seconds

EXAMPLE = """\
  matrix-baremetal database maintain --check     what of it is empty, and what would be done
  matrix-baremetal database maintain             while the homeserver runs
  matrix-baremetal database maintain --full      gives the room back to the disk; stops the homeserver"""


def add(commands: Commands) -> None:
    """database maintain."""
    ways = actions(command(commands, "database", "keep the homeserver's database small", EXAMPLE))
    help = "clear away dead rows and make bloated indexes anew"
    words = command(ways, "maintain", help, EXAMPLE)
    full = "also write tables anew that are mostly empty; the homeserver stands still meanwhile"
    words.add_argument("--full", action="store_true", help=full)
    words.add_argument("--check", action="store_true", help="only say what of it is empty and what would be done")
    words.add_argument("--yes", action="store_true", help="do not ask")
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")
