"""The words of `backup`, `restore` and `uninstall`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, Words, actions, command, converging, directory, file, seconds

EXAMPLE = """\
  matrix-baremetal backup create
  matrix-baremetal backup create --to /mnt/usb --no-media
  matrix-baremetal backup list
  matrix-baremetal backup verify --drill
  matrix-baremetal backup verify /mnt/usb/example.org-20260101T030000Z.tar.zst"""
RESTORE = """\
  matrix-baremetal restore example.org-20260101T030000Z.tar.zst
  matrix-baremetal restore example.org-20260101T030000Z.tar.zst.age --identity key.txt"""
UNINSTALL = """\
  matrix-baremetal uninstall                 data, secrets and backups stay
  matrix-baremetal uninstall --purge         they go too, once you have typed the server name"""


def add(commands: Commands) -> None:
    """What keeps a homeserver for bad days, brings it back, and takes it away."""
    ways = actions(command(commands, "backup", "one file with all that a new machine needs", EXAMPLE))
    words = command(ways, "create", "make a backup while the server runs, and read it again", EXAMPLE)
    words.add_argument("--to", metavar="DIR", type=directory, help="put it into DIR; default: backup.directory")
    words.add_argument("--no-media", action="store_true", help="leave out what people have uploaded")
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")
    command(ways, "list", "the backups that there are", "  matrix-baremetal backup list --json")
    words = command(ways, "verify", "read a backup from its first byte to its last", EXAMPLE)
    words.add_argument("file", metavar="FILE", nargs="?", help="default: the newest one")
    help = "load its database beside the one that runs, count, and take it away again"
    words.add_argument("--drill", action="store_true", help=help)
    identity(words)
    words = command(commands, "restore", "make this machine the server that a backup holds", RESTORE)
    words.add_argument("file", metavar="FILE")
    identity(words)
    words.add_argument("--yes", action="store_true", help="do not ask before data that is here is set aside")
    converging(words)
    words = command(commands, "uninstall", "stop and remove what was made here, and nothing else", UNINSTALL)
    words.add_argument("--purge", action="store_true", help="data, secrets, config and backups too")
    words.add_argument("--yes", action="store_true", help="do not ask")
    words.add_argument("--wait", metavar="SECONDS", type=seconds, default=0, help="wait for another run to end")


def identity(words: Words) -> None:
    """Whoever reads an encrypted backup has its private key."""
    words.add_argument("--identity", metavar="KEYFILE", type=file, help="the private key of an encrypted backup")
