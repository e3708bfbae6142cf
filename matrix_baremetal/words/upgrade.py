"""The words of `upgrade` and `rollback`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, command, converging

UPGRADE = """\
  matrix-baremetal upgrade --check                 is there something newer? 3 where there is
  matrix-baremetal upgrade
  matrix-baremetal upgrade --to 1.163.2"""


def add(commands: Commands) -> None:
    """From one Synapse to another, and back."""
    words = command(
        commands, "upgrade", "bring Synapse and what is beside it to the versions of this release", UPGRADE
    )
    words.add_argument("--to", metavar="VERSION", help="to this one; --check lists what is newer")
    words.add_argument(
        "--check", action="store_true", help="say what there is and what is in its way; change nothing"
    )
    words.add_argument("--no-backup", action="store_true", help="make no backup of the database before")
    words.add_argument(
        "--force", action="store_true", help="also at a bad moment: while Synapse is at work on its tables"
    )
    converging(words)
    help = "bring back the Synapse that ran before the last upgrade"
    converging(command(commands, "rollback", help, "  matrix-baremetal rollback"))
