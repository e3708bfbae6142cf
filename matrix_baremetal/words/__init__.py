"""All words that may be typed. Light: it is read at every start, also where Tab is pressed or --help is asked for."""

from __future__ import annotations

from matrix_baremetal import __version__
from matrix_baremetal.words import (
    backup,
    bridge,
    database,
    image,
    install,
    look,
    mail,
    migrate,
    secrets,
    token,
    upgrade,
    user,
)
from matrix_baremetal.words.common import Words, common

EXAMPLES = """\
examples:
  matrix-baremetal install                 asks for the server name, then sets everything up
  matrix-baremetal plan                    what apply would change; changes nothing
  matrix-baremetal apply                   after an edit of /etc/matrix-baremetal/config.yaml
  matrix-baremetal user add bob --generate
  matrix-baremetal token create            invites somebody to make an account
  matrix-baremetal backup create           one file for a bad day; made each night anyway
  matrix-baremetal upgrade --check         whether there is a newer Synapse

exit status: 0 done; 1 failed; 2 wrong usage or config;
             3 plan has changes, something is pending, status or doctor found a fault,
               or upgrade --check something newer
"""


def parser() -> Words:
    """The command line, in the order in which people meet its commands."""
    top = Words(
        prog="matrix-baremetal",
        description="Your own Matrix homeserver on Debian, without Docker.",
        epilog=EXAMPLES,
    )
    top.add_argument("--version", action="version", version=f"matrix-baremetal {__version__}")
    common(top, suppress=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Words)
    for part in (install, look, user, token, mail, bridge, secrets, image, backup, database, migrate, upgrade):
        part.add(commands)
    return top
