"""What can't be had yet and why: a note for each, which `status` reads, and when the timer may try it again."""

from __future__ import annotations

import json
import math
import time

from matrix_baremetal.host import Host

PENDING = "/var/lib/matrix-baremetal/pending"
# Seconds until the next try after the 1st, 2nd, … failure. Let's Encrypt allows five failed validations of a name
# an hour (letsencrypt.org/docs/rate-limits), and a person who mends DNS wants the certificate soon.
BACK_OFF = (900, 900, 1800, 3600, 7200, 14400, 28800)
# Seconds: what an authority may make us wait. A week is the longest period of Let's Encrypt's limits.
LONGEST = 7 * 86400


def note_of(host: Host, path: str) -> dict[str, float | str]:
    """A small JSON object that we keep; empty where there is none or it is broken."""
    try:
        row = json.loads(host.text(path) or "{}")
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def number(row: dict[str, float | str], key: str) -> float:
    """A number of a note; 0 where it has none, or something else stands there."""
    found = row.get(key)
    return found if isinstance(found, int | float) and math.isfinite(found) else 0


def moment(row: dict[str, float | str], key: str, most: float) -> float:
    """A moment of a note that may be so many seconds ahead; 0 where it is further: the clock was wrong by then."""
    found = number(row, key)
    return found if found <= time.time() + most else 0


def note(host: Host, name: str) -> dict[str, float | str]:
    """The note on a name; empty where nothing is pending."""
    return note_of(host, f"{PENDING}/{name}")


def postpone(
    host: Host,
    name: str,
    why: str,
    *,
    directory: str = "",
    tried: bool = True,
    refused: bool = False,
    wait: float = 0,
) -> None:
    """Note that a name is pending.

    After each order that was `tried` the next wait is longer; `refused` says that the authority, `directory`, had a
    word in it, and `wait` how many seconds it asked for itself.
    """
    now, before = time.time(), note(host, name)
    failures, held = max(int(number(before, "failures")), 0) + tried, min(wait, LONGEST)
    usual = BACK_OFF[min(failures, len(BACK_OFF)) - 1] if tried else BACK_OFF[0]
    row: dict[str, float | str] = {"reason": why, "failures": failures, "last": int(now)}
    row |= {"next": int(now + max(usual, held)), "refused": refused or bool(before.get("refused"))}
    row |= {"held": int(now + held), "directory": directory} if held else {}
    host.mkdir(PENDING, 0o755)
    host.write(f"{PENDING}/{name}", json.dumps(row) + "\n", 0o644)


def held(host: Host, name: str, directory: str) -> float:
    """Until when an authority said that it is not to be asked, in seconds since 1970; 0 where it may be."""
    row = note(host, name)
    until = moment(row, "held", LONGEST) if row.get("directory") == directory else 0
    return until if time.time() < until else 0


def due(host: Host, name: str) -> bool:
    """Whether the timer should try it now: it is pending, and its wait is over."""
    row = note(host, name)
    return bool(row) and time.time() >= moment(row, "next", LONGEST)


def settled(host: Host, name: str) -> None:
    """It is pending no more."""
    host.remove(f"{PENDING}/{name}")
