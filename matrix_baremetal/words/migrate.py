"""The words of `migrate`."""

from __future__ import annotations

import argparse

from matrix_baremetal.words.common import Commands, Words, actions, command, converging, directory, file, seconds

EXAMPLE = """\
  matrix-baremetal migrate from-docker /srv/synapse --check
  matrix-baremetal migrate from-docker /srv/synapse
  matrix-baremetal migrate from-docker /srv/synapse --dump /srv/synapse.dump
  matrix-baremetal migrate from-docker /srv/synapse --postgres-data /srv/postgres
  matrix-baremetal migrate from-debian
  matrix-baremetal migrate sqlite-to-postgres"""
MAJOR = """\
  matrix-baremetal migrate postgres-major        after a new release of Debian
  matrix-baremetal migrate postgres-major --yes --no-backup"""


def add(commands: Commands) -> None:
    """Where the data of a homeserver come from, or go to, when it is not a backup."""
    help = "take over an existing Synapse, or move the rows of this one"
    ways = actions(command(commands, "migrate", help, f"{EXAMPLE}\n{MAJOR}"))
    words = command(ways, "from-docker", "take over the folder that a container of Synapse has at /data", EXAMPLE)
    words.add_argument("folder", metavar="DATA_DIR", type=directory)
    help = "its Postgres database, as the files that its container left: of a release that this machine has"
    database(words).add_argument("--postgres-data", metavar="DIR", type=directory, help=help)
    taking(words)
    words = command(
        ways, "from-debian", "take over what Debian's package of Synapse, or Synapse's own, has left", EXAMPLE
    )
    words.add_argument("folder", metavar="DIR", type=directory, nargs="?", default="/etc/matrix-synapse")
    database(words)
    words.set_defaults(postgres_data=None)
    taking(words)
    words = command(ways, "sqlite-to-postgres", "move this server's rows from SQLite to Postgres", EXAMPLE)
    moving(words)
    words = command(ways, "postgres-major", "move the database to the newest Postgres that Debian has brought", MAJOR)
    words.add_argument("--with-others", action="store_true", help="databases of others in the same cluster move too")
    words.add_argument("--no-backup", action="store_true", help="make no backup before")
    words.add_argument("--yes", action="store_true", help="do not ask")
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")


def database(words: Words) -> argparse._MutuallyExclusiveGroup:
    """The ways to its database, one of which may be named."""
    ways = words.add_mutually_exclusive_group()
    ways.add_argument("--dump", metavar="FILE", type=file, help="its Postgres database, as pg_dump wrote it")
    return ways


def taking(words: Words) -> None:
    """What every way to take something over may be told."""
    words.add_argument("--email", metavar="ADDRESS", help="for the certificate authority, in the new config")
    words.add_argument("--hostname", metavar="NAME", help="where apps reach it, if not at its public_baseurl")
    moving(words)


def moving(words: Words) -> None:
    """What the ways that bring rows here may be told."""
    words.add_argument("--check", action="store_true", help="only say what would be done, and what stops it")
    words.add_argument("--yes", action="store_true", help="do not ask")
    converging(words)
