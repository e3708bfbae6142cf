"""The words of `mail`."""

from __future__ import annotations

import argparse

from matrix_baremetal import names
from matrix_baremetal.words.common import Commands, actions, command

EXAMPLE = "  matrix-baremetal mail test alice@example.org"


def add(commands: Commands) -> None:
    """mail test."""
    ways = actions(command(commands, "mail", "whether mail leaves this server", EXAMPLE))
    words = command(ways, "test", "send a mail by the mail server of the config, and say what came of it", EXAMPLE)
    words.add_argument("address", metavar="ADDRESS", type=address)


def address(text: str) -> str:
    """An e-mail address. Raises what argparse turns into a sentence."""
    try:
        return names.email(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
