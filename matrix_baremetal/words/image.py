"""The words of `image`."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, actions, command, converging

PREPARE = """\
  matrix-baremetal image prepare
  chroot /mnt matrix-baremetal image prepare"""
CHECK = """\
  matrix-baremetal image check
  matrix-baremetal image check --root /mnt"""


def add(commands: Commands) -> None:
    """image prepare, check."""
    help = "an image of a machine, from which homeservers start in seconds"
    ways = actions(command(commands, "image", help, f"{PREPARE}\n{CHECK}"))
    help = "make what every homeserver needs and none has for itself"
    converging(command(ways, "prepare", help, PREPARE))
    command(ways, "check", "list secrets and identities that must not be in an image", CHECK)
