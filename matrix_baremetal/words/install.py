"""The words of the commands that make a homeserver, from init to render, and of what certbot's hook runs."""

from __future__ import annotations

import argparse

from matrix_baremetal.words.common import Commands, command, common, converging, localpart, seconds

INIT_EXAMPLE = """\
  matrix-baremetal init
  matrix-baremetal init --server-name example.org --email you@example.org --yes
  matrix-baremetal init --server-name example.org --without web_client,admin_ui"""
INSTALL_EXAMPLE = """\
  matrix-baremetal install
  matrix-baremetal install --unattended --server-name example.org --email you@example.org --admin alice"""


def add(commands: Commands) -> None:
    """From nothing to a homeserver, and what keeps it as its config says."""
    questions(command(commands, "init", "ask what has no default and write the config", INIT_EXAMPLE))
    help = "set everything up: config, homeserver, certificate, first administrator"
    words = command(commands, "install", help, INSTALL_EXAMPLE)
    questions(words)
    words.add_argument("--unattended", action="store_true", help="never ask; what is missing is an error")
    words.add_argument("--admin", metavar="NAME", type=localpart, help="make this administrator, with a password")
    help = "try again for so long what a network that comes late makes fail"
    words.add_argument("--retry", metavar="SECONDS", type=seconds, default=0, help=help)
    converging(words)
    example = "  matrix-baremetal plan\n  matrix-baremetal plan -v"
    command(commands, "plan", "show what apply would change, and change nothing", example)
    converging(command(commands, "apply", "bring this machine to what the config says", "  matrix-baremetal apply"))
    example = "  matrix-baremetal render /tmp/look"
    words = command(commands, "render", "write the files that apply would write below DIR", example)
    words.add_argument("directory", metavar="DIR")
    internal = commands.add_parser("certificates")
    common(internal, suppress=True)
    internal.add_argument("action", choices=("deploy", "retry", "rehearse"))


def parts(text: str) -> tuple[str, ...]:
    """Parts of a new config. Raises `ArgumentTypeError` where it knows one by no such name."""
    from matrix_baremetal.first_config import PARTS

    found = tuple(text.split(","))
    for name in found:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(PARTS)}")
    return found


def questions(words: argparse.ArgumentParser) -> None:
    """What init would ask."""
    words.add_argument("--server-name", metavar="NAME", help="the part after the colon in @alice:example.org")
    words.add_argument("--email", metavar="ADDRESS", help="for the certificate authority")
    help = "leave these out of the config: web_client, admin_ui, turn; with a comma between them"
    words.add_argument("--without", metavar="PART", type=parts, default=(), help=help)
    words.add_argument("--yes", action="store_true", help="ask nothing; take the defaults")
    words.set_defaults(unattended=False)
