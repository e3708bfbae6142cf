"""The words of the commands that look at a homeserver: status."""

from __future__ import annotations

from matrix_baremetal.words.common import Commands, command


def add(commands: Commands) -> None:
    """They change nothing."""
    help = "units, versions, memory, certificates and disk at a glance"
    command(commands, "status", help, "  matrix-baremetal status --json")
