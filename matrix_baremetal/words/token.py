"""The words of `token`."""

from __future__ import annotations

import argparse
import re

from matrix_baremetal.words.common import Commands, actions, command

EXAMPLE = """\
  matrix-baremetal token create                          for one account, within seven days
  matrix-baremetal token create --uses 30 --expires 12h
  matrix-baremetal token list
  matrix-baremetal token revoke abcd-efgh-2345-6789"""
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# Some ten years: what lasts longer is meant to last for ever.
LONGEST = 520 * UNITS["w"]


def add(commands: Commands) -> None:
    """token create, list, revoke."""
    ways = actions(command(commands, "token", "let people make accounts themselves", EXAMPLE))
    words = command(ways, "create", "make a token, which is an invitation to make an account", EXAMPLE)
    help = "for how many accounts; default: 1; or: unlimited"
    words.add_argument("--uses", metavar="N", type=uses, default=1, help=help)
    help = "for how long, such as 12h, 7d or 2w; default: 7d; or: never"
    words.add_argument("--expires", metavar="TIME", type=span, default=7 * UNITS["d"], help=help)
    command(ways, "list", "all tokens", "  matrix-baremetal token list --json")
    words = command(ways, "revoke", "take a token back; accounts made with it stay", EXAMPLE)
    words.add_argument("token", metavar="TOKEN", type=token)


def uses(text: str) -> int | None:
    """A number of accounts; None for any. Raises what argparse turns into a sentence."""
    if text == "unlimited":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of accounts; write one like 5, or unlimited")
    return int(text)


def span(text: str) -> int | None:
    """A time in seconds; None for ever."""
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,8})([mhdw])", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write one like 30m, 12h, 7d or 2w, or never")
    return seconds


def token(text: str) -> str:
    """A token as Synapse allows it (its admin API's registration_tokens)."""
    if not re.fullmatch(r"[A-Za-z0-9._~-]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no token; see: matrix-baremetal token list")
    return text
