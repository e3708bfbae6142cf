"""The words of `migrate`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, seconds

EXAMPLE = """\
  matrix-baremetal migrate postgres-major        after a new release of Debian
  matrix-baremetal migrate postgres-major --yes --no-backup"""


def add(commands: Commands) -> None:
    """Where the data of a homeserver come from, or go to, when it is not a backup."""
    ways = actions(command(commands, "migrate", "move the homeserver's data to another database", EXAMPLE))
    words = command(
        ways, "postgres-major", "move the database to the newest Postgres that Debian has brought", EXAMPLE
    )
    words.add_argument("--with-others", action="store_true", help="databases of others in the same cluster move too")
    words.add_argument("--no-backup", action="store_true", help="make no backup before")
    words.add_argument("--yes", action="store_true", help="do not ask")
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")
